"""What one worker does: load a network once, then harmonize one picture after the other."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import PurePosixPath

import cv2

from edge_harmony.backends.base import LoadRequest, get_backend
from edge_harmony.errors import EdgeHarmonyError, InputError
from edge_harmony.folder.items import Item, Outcome
from edge_harmony.folder.storage import read, suffix_of, write
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.rows import set_threads


@dataclass(frozen=True)
class Work:
    """How pictures are harmonized; it can be sent to other processes.

    Attributes:
        backend: name of what runs the network.
        request: what it loads.
        fit: resize masks of another size instead of refusing them.
        quality: of JPEG and WebP.
    """

    backend: str
    request: LoadRequest
    fit: bool = False
    quality: int = 95

    def start(self) -> Worker:
        """Load the network.

        Raises:
            EdgeHarmonyError: it cannot be loaded here.
        """
        return Worker(self)

    def settings(self) -> dict[str, object]:
        """What results depend on, for people and for comparison."""
        request = self.request
        return {
            "model": request.model,
            "backend": self.backend,
            "precision": request.precision,
            "artifact": request.artifact and str(request.artifact),
            "weights": request.weights and str(request.weights),
            "fit_mask": self.fit,
            "quality": self.quality,
        }


class Worker:
    """A loaded network; see :class:`Work`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        if work.request.threads:
            set_threads(work.request.threads)
            cv2.setNumThreads(work.request.threads)
        self._harmonizer = Harmonizer(get_backend(work.backend).load(work.request.resolved()))

    def do(self, item: Item) -> Outcome:
        """Harmonize one; what is wrong with it is told in the outcome."""
        try:
            if item.mask is None:
                stem = PurePosixPath(item.composite).stem
                raise InputError(f"there is no mask for {item.composite}", f"name it {stem}.png")
            composite, mask = read(item.composite), read(item.mask)
            write(
                item.output,
                self._harmonizer.harmonize_bytes(
                    composite,
                    mask,
                    suffix_of(item.output),
                    names=(item.composite, item.mask),
                    fit=self._work.fit,
                    quality=self._work.quality,
                ),
            )
        except EdgeHarmonyError as error:
            return Outcome(item, str(error))
        except MemoryError:
            return Outcome(item, "there is not enough memory for it; use fewer --workers")
        except Exception as error:  # one picture must not end the work on thousands
            logging.getLogger("edge_harmony").exception("%s", item.composite)
            return Outcome(item, f"{type(error).__name__}: {error}; report this picture")
        return Outcome(item)

    def close(self) -> None:
        """Free the network."""
        self._harmonizer.close()
