"""The videos of a folder, one after the other: each of them takes all cores."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from edge_harmony.errors import InputError
from edge_harmony.folder.items import FileKind, Item, Outcome
from edge_harmony.folder.storage import is_address
from edge_harmony.folder.work import FolderWorker, Work, outcome_of, with_mask
from edge_harmony.pictures.images import SUFFIXES as PICTURE_SUFFIXES
from edge_harmony.pipeline.stream import StreamOptions
from edge_harmony.video import reader, writer
from edge_harmony.video.job import VideoJob, harmonize_video


@dataclass(frozen=True)
class VideoWork(Work):
    """How videos are harmonized; see :class:`~edge_harmony.video.job.VideoJob`.

    Attributes:
        stream: over time; ``strength`` rules, that of the work.
        codec: FFmpeg's name of an encoder; None for the one of the suffix.
        encoder: its options.
        sound: keep the sound.
    """

    kind: ClassVar[FileKind] = FileKind(
        suffixes=reader.SUFFIXES,
        masks=(*reader.SUFFIXES, *PICTURE_SUFFIXES),
        written=writer.SUFFIXES,
        instead=".mp4",
    )
    at_a_time: ClassVar[int] = 1

    stream: StreamOptions = field(default_factory=lambda: StreamOptions(in_place=True))
    codec: str | None = None
    encoder: dict[str, str] = field(default_factory=dict)
    sound: bool = True

    def start(self) -> FolderWorker:
        """See :meth:`Work.start`."""
        return _VideoWorker(self)

    def settings(self) -> dict[str, object]:
        """See :meth:`Work.settings`."""
        over_time = {"every": self.stream.every, "keep": self.stream.keep, "cut": self.stream.cut}
        return super().settings() | over_time | {"codec": self.codec, "encoder": self.encoder, "sound": self.sound}


class _VideoWorker:
    def __init__(self, work: VideoWork) -> None:
        self._work = work
        self._runner = work.load()

    def do(self, item: Item) -> Outcome:
        """Harmonize one."""
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
                stream=replace(work.stream, strength=work.strength),
                fit=work.fit,
                sound=work.sound,
                codec=work.codec,
                encoder=work.encoder,
            ),
        )

    def close(self) -> None:
        """Free the network."""
        self._runner.close()
