"""The videos of a folder, one after the other, because each takes all cores: half of them for its network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from edge_harmony.errors import InputError
from edge_harmony.files.identity import is_address
from edge_harmony.folder.items import FileKind, Item, Outcome
from edge_harmony.folder.work import FolderWorker, Work, outcome_of, with_mask
from edge_harmony.pictures.images import SUFFIXES as PICTURE_SUFFIXES
from edge_harmony.video.job import VideoJob, VideoOptions, harmonize_video, network_threads
from edge_harmony.video.names import READ, WRITTEN


@dataclass(frozen=True)
class VideoWork(Work):
    """How videos are harmonized; see :class:`~edge_harmony.video.job.VideoJob`.

    Attributes:
        video: how videos are harmonized and written; its ``strength`` is replaced by the strength of this work.
    """

    kind: ClassVar[FileKind] = FileKind(
        suffixes=READ,
        masks=(*READ, *PICTURE_SUFFIXES),
        written=WRITTEN,
        instead=".mp4",
    )
    at_a_time: ClassVar[int] = 1

    video: VideoOptions = field(default_factory=VideoOptions)

    def start(self) -> FolderWorker:
        """See :meth:`Work.start`."""
        threads = network_threads(self.request.threads)
        return _VideoWorker(replace(self, request=replace(self.request, threads=threads)))

    def settings(self) -> dict[str, object]:
        """See :meth:`Work.settings`."""
        names = ("every", "keep", "cut", "codec", "encoder", "sound")
        return super().settings() | {name: getattr(self.video, name) for name in names}


class _VideoWorker:
    def __init__(self, work: VideoWork) -> None:
        self._work = work
        self._runner = work.load()

    def do(self, item: Item) -> Outcome:
        """Harmonize one video."""
        return outcome_of(item, self._harmonize)

    def _harmonize(self, item: Item) -> None:
        if is_address(item.composite) or is_address(item.output):
            raise InputError(f"{item.composite} is a video in an object store", "copy it here; pictures are read there")
        work = self._work
        harmonize_video(
            self._runner,
            VideoJob(
                item.composite,
                with_mask(item),
                Path(item.output),
                options=replace(work.video, strength=work.strength),
                fit=work.fit,
                mask_value=work.mask_value,
                invert_mask=work.invert_mask,
            ),
        )

    def close(self) -> None:
        """Free the network."""
        self._runner.close()
