"""The work of one worker: load a network once, then harmonize one item after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol

import cv2

from edge_harmony.backends.artifact_runner import manifest_of
from edge_harmony.backends.base import LoadRequest, Runner
from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import EdgeHarmonyError, InputError, UsageError, first_line, is_out_of_memory
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.identity import check_outputs
from edge_harmony.folder.items import PICTURES, FileKind, Item, Outcome
from edge_harmony.folder.storage import read, suffix_of, write
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.parallel_rows import set_threads


class FolderWorker(Protocol):
    """A loaded network; see :meth:`Work.start`."""

    def do(self, item: Item) -> Outcome:
        """Harmonize one item; the outcome holds its error."""

    def close(self) -> None:
        """Free the network."""


@dataclass(frozen=True)
class Work:
    """How pictures are harmonized; an instance can be sent to other processes.

    Attributes:
        kind: the kind of files.
        at_a_time: how many items a machine does at a time; 0: one for each worker.
        backend: name of the backend.
        request: the network to load.
        fit: resize masks of another size instead of refusing them.
        quality: of JPEG, WebP, HEIC and AVIF.
        strength: share of the change, 0 to 1.5.
        mask_value: the class id that is the foreground in masks.
        invert_mask: what is white in masks is the background.
    """

    kind: ClassVar[FileKind] = PICTURES
    at_a_time: ClassVar[int] = 0

    backend: str
    request: LoadRequest
    fit: bool = False
    quality: int = 95
    strength: float = 1.0
    mask_value: int | None = None
    invert_mask: bool = False

    def start(self) -> FolderWorker:
        """Load the network.

        Raises:
            EdgeHarmonyError: the network cannot be loaded on this machine.
        """
        return _PictureWorker(self)

    def load(self) -> Runner:
        """Load the network, in the process that works: it may run on another machine, so it reads the manifest itself.

        Raises:
            EdgeHarmonyError: it cannot be loaded here.
        """
        request = self.request
        return load_runner(
            request.model,
            backend=self.backend,
            precision=request.precision,
            artifact=request.artifact,
            weights=request.weights,
            threads=request.threads,
            device=request.device,
        )

    def settings(self) -> dict[str, object]:
        """The settings that results depend on, for people and for comparison.

        Raises:
            EdgeHarmonyError: a file is missing or damaged.
        """
        request = self.request
        return {
            "model": request.model,
            "backend": self.backend,
            "precision": request.precision,
            "artifact": request.artifact and manifest_of(request, request.artifact).file_sha256,
            "weights": request.weights and _hash(request.weights),
            "fit_mask": self.fit,
            "quality": self.quality,
            "strength": self.strength,
            "mask_value": self.mask_value,
            "invert_mask": self.invert_mask,
        }


class _PictureWorker:
    def __init__(self, work: Work) -> None:
        self._work = work
        if work.request.threads:
            set_threads(work.request.threads)
            cv2.setNumThreads(work.request.threads)
        self._harmonizer = Harmonizer(work.load())

    def do(self, item: Item) -> Outcome:
        """Harmonize one picture."""
        return outcome_of(item, self._harmonize)

    def _harmonize(self, item: Item) -> None:
        mask = with_mask(item)
        check_outputs([item.output], [item.composite, mask])
        made = self._harmonizer.harmonize_bytes(
            read(item.composite),
            read(mask),
            suffix_of(item.output),
            names=(item.composite, mask),
            fit=self._work.fit,
            mask_value=self._work.mask_value,
            invert_mask=self._work.invert_mask,
            strength=self._work.strength,
            quality=self._work.quality,
        )
        write(item.output, made)

    def close(self) -> None:
        """Free the network."""
        self._harmonizer.close()


def outcome_of(item: Item, harmonize: Callable[[Item], None]) -> Outcome:
    """Harmonize an item and return its outcome; any error in one item must not end the work on thousands."""
    try:
        harmonize(item)
    except EdgeHarmonyError as error:
        return Outcome(item, str(error))
    except OSError as error:  # a name too long for its folder, a disk that breaks
        return Outcome(item, f"{error.filename or item.output} cannot be used ({first_line(error)})")
    except Exception as error:
        if is_out_of_memory(error):
            return Outcome(item, "there is not enough memory for it; use fewer workers")
        logging.getLogger("edge_harmony").exception("%s", item.composite)
        return Outcome(item, f"{type(error).__name__}: {error}; report this file")
    return Outcome(item)


def with_mask(item: Item) -> str:
    """The item's mask.

    Raises:
        InputError: the item has no mask.
    """
    if item.mask is None:
        name = PurePosixPath(item.composite)
        raise InputError(f"there is no mask for {item.composite}", f"name it {name.stem}.png")
    return item.mask


def _hash(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "check the path")
    return sha256_of(path)
