"""A video from frames and masks: reading, prediction, apply and writing overlap, with a few frames in memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import KW_ONLY, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import Runner
from edge_harmony.errors import InputError
from edge_harmony.files.atomic import new_file
from edge_harmony.files.identity import check_outputs
from edge_harmony.pictures.arrays import check_aspect, like_depth
from edge_harmony.pictures.encode import check_writable
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.pictures.parallel_rows import cores
from edge_harmony.pictures.paste import paste
from edge_harmony.pictures.resize import resize
from edge_harmony.pipeline.stream import FramePair, StreamOptions, stream
from edge_harmony.video.camera import Camera
from edge_harmony.video.hdr import HLG, PQ, from_sdr, to_sdr
from edge_harmony.video.names import WRITTEN
from edge_harmony.video.read_ahead import ahead
from edge_harmony.video.reader import Frame, VideoReader
from edge_harmony.video.sources import Frames, Still, open_frames
from edge_harmony.video.writer import VideoWriter

_READ_AHEAD = 2


@dataclass(frozen=True, kw_only=True)
class VideoOptions(StreamOptions):
    """How a video is harmonized and written; what it shares with streams is said there.

    Attributes:
        in_place: change the frames themselves: nobody else sees them.
        sound: keep the sound of the composite.
        codec: FFmpeg's name of an encoder; None: the default of the suffix.
        encoder: options of the encoder.
    """

    in_place: bool = True
    sound: bool = True
    codec: str | None = None
    encoder: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VideoJob:
    """The inputs, the output and the options of a harmonized video.

    Attributes:
        composite: name of a video or camera, see :func:`~edge_harmony.video.sources.open_frames`; with a
            ``background``, the foreground to paste on it.
        masks: name of a video, camera, folder or picture.
        output: file to write.
        background: name of a video, camera or picture to paste the foreground on; None if ``composite`` is a composite.
        options: how it is harmonized and written.
        fit: resize masks (and the background) of another size instead of refusing them.
        mask_value: the class id that is the foreground in masks.
        invert_mask: what is white in masks is the background.
        limit: stop after so many frames; 0: at the end.
    """

    composite: str
    masks: str
    output: Path
    _: KW_ONLY
    background: str | None = None
    options: VideoOptions = field(default_factory=VideoOptions)
    fit: bool = False
    mask_value: int | None = None
    invert_mask: bool = False
    limit: int = 0


@dataclass(frozen=True)
class VideoReport:
    """Outcome of :func:`harmonize_video`.

    Attributes:
        frames: number of frames written.
        seconds: duration of the work.
        dropped: number of camera frames that arrived during the processing of others.
        stopped: whether the work was stopped before the end.
    """

    frames: int
    seconds: float
    dropped: int
    stopped: bool

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds else 0.0


def network_threads(threads: int = 0) -> int:
    """Threads to load a network with whose frames are decoded and encoded meanwhile: by default half of the cores.

    Threads of a network on the CPU wait for each other, and all of them for a core that a decoder or an encoder has. On
    two cores one thread gives more frames a second than two (``benchmarks/video.py``).

    Args:
        threads: what the user asked for; 0: nothing.
    """
    return threads or max(1, cores() // 2)


def harmonize_video(
    runner: Runner,
    job: VideoJob,
    *,
    stop: threading.Event | None = None,
    started: Callable[[int | None], None] = lambda count: None,
    advance: Callable[[], None] = lambda: None,
) -> VideoReport:
    """Write a harmonized video.

    Reading, prediction and apply each have a thread; the caller's thread writes. Each thread waits for the next one, so
    only a few frames are in memory at a time. The file appears only when it is whole: at the end, or, if ``stop`` is
    set, with the frames that are done by then. An error leaves no file.

    Args:
        runner: a loaded network.
        job: inputs, output and options.
        stop: set it to end early.
        started: called before the first frame with the number of frames, or None if it is not known.
        advance: called after every frame.

    Raises:
        UsageError: an input does not exist, or the output cannot be written or is an input.
        InputError: frames, masks and background do not fit, or a file is damaged.
        CapabilityError: PyAV is not installed.
    """
    check_writable(job.output, WRITTEN)
    check_outputs([job.output], [job.composite, job.masks, job.background])
    stop = stop or threading.Event()
    inputs = _Inputs(job)
    started(inputs.count)
    times: deque[Fraction] = deque()
    done, begin = 0, time.perf_counter()
    with (
        new_file(job.output) as temporary,
        inputs.writer(temporary) as writer,
        contextlib.closing(ahead(inputs.pairs(stop, times), _READ_AHEAD)) as pairs,
        contextlib.closing(stream(runner, pairs, job.options)) as frames,
    ):
        for frame in frames:
            writer.write(inputs.finished(frame), times.popleft())
            done += 1
            advance()
        if not done:
            raise InputError(f"no frame of {job.composite} was written", "it was stopped before, or gives none")
    return VideoReport(done, time.perf_counter() - begin, inputs.dropped, stop.is_set())


def pairs_of(job: VideoJob, stop: threading.Event, times: deque[Fraction]) -> Iterator[FramePair]:
    """The pairs of composite and mask of a job; the time of each is appended to ``times`` before it is yielded.

    They end when ``stop`` is set, and with the masks if the composite comes from a camera.

    Raises:
        EdgeHarmonyError: as :func:`harmonize_video`.
    """
    return _Inputs(job).pairs(stop, times)


class _Inputs:
    """The inputs of a job, checked before any work."""

    def __init__(self, job: VideoJob) -> None:
        self._job = job
        self._source = open_frames(job.composite)
        self._reader = MaskReader(job.mask_value, invert=job.invert_mask)
        self._masks = open_frames(job.masks, gray=True, reader=self._reader)
        self._background = open_frames(job.background) if job.background else None
        video = self._source if isinstance(self._source, VideoReader) else None
        self._hdr = video.colour.transfer if video and video.deep and video.colour.transfer in (PQ, HLG) else 0
        self._originals: deque[NDArray[Any]] = deque()
        source, masks, background = self._source, self._masks, self._background
        for name, other in ((job.masks, masks), (job.background, background)):
            if other is not None and other.size != source.size and not job.fit:
                raise InputError(
                    f"{name} is {other.size[0]}x{other.size[1]} but {job.composite} is "
                    f"{source.size[0]}x{source.size[1]}",
                    "resize it or pass fit=True",
                )
        if job.fit:
            check_aspect(masks.size, source.size, job.masks)
        if source.count and masks.count and source.count != masks.count and not job.limit:
            frames, given = _shown(source), _shown(masks)  # before it is refused: what a file says may be wrong
            if frames != given:
                raise InputError(
                    f"{job.composite} has {frames} frames but {job.masks} has {given}",
                    "give a mask for every frame, or pass limit=N",
                )
        if source.count and background and background.count and background.count < (job.limit or source.count):
            raise InputError(
                f"{job.background} has {background.count} frames, fewer than {job.composite}",
                "give a longer background",
            )

    @property
    def count(self) -> int | None:
        """The number of frames; None if it is not known."""
        counts = [source.count for source in (self._source, self._masks) if source.count]
        return min([*counts, *([self._job.limit] if self._job.limit else [])], default=None)

    @property
    def dropped(self) -> int:
        """Number of camera frames that arrived during the processing of others."""
        return self._source.dropped if isinstance(self._source, Camera) else 0

    def writer(self, path: Path) -> VideoWriter:
        """A writer for the results."""
        video = self._source if isinstance(self._source, VideoReader) else None
        return VideoWriter(
            path,
            self._source.size,
            self._source.rate if isinstance(self._source, VideoReader | Camera) else Fraction(25),
            source=video,
            deep=video is not None and video.deep,
            alpha=video is not None and video.alpha and self._background is None,
            sound=self._job.options.sound,
            codec=self._job.options.codec,
            options=self._job.options.encoder,
        )

    def finished(self, frame: NDArray[Any]) -> NDArray[Any]:
        """A harmonized frame as it is written: HDR again where it was."""
        return from_sdr(frame, self._originals.popleft(), self._hdr) if self._hdr else frame

    def pairs(self, stop: threading.Event, times: deque[Fraction]) -> Iterator[FramePair]:
        """See :func:`pairs_of`; however they end, no file stays open."""
        with contextlib.ExitStack() as held:
            sources: list[Frames | tuple[()]] = [self._source, self._masks, self._background or ()]
            frames, masks, behind = (iter(source) for source in sources)
            for iterator in (frames, masks, behind):
                if isinstance(iterator, Generator):
                    held.callback(iterator.close)
            yield from self._joined(frames, masks, behind, stop, times)

    def _joined(
        self,
        frames: Iterator[Frame],
        masks: Iterator[Frame],
        behind: Iterator[Frame],
        stop: threading.Event,
        times: deque[Fraction],
    ) -> Iterator[FramePair]:
        job, size, done = self._job, self._source.size, 0
        for pixels, shown in frames:
            if stop.is_set() or (job.limit and done == job.limit):
                return
            mask, _ = next(masks, (None, None))
            if mask is None:
                if self._source.endless:
                    return
                raise InputError(f"{job.masks} ends after {done} frames, {job.composite} does not", "give one for each")
            if isinstance(self._masks, VideoReader | Camera):
                mask = self._reader.read(mask, job.masks)
            mask = _fitted(mask, size, job.fit)
            if self._background is not None:
                under, _ = next(behind, (None, None))
                if under is None:
                    raise InputError(f"{job.background} ends after {done} frames", "give a longer background")
                under = like_depth(_fitted(under, size, job.fit), pixels)
                pixels, under = _opaque(pixels), _opaque(under)
                pixels = paste(pixels, under, mask, in_place=not isinstance(self._background, Still))
            times.append(shown)
            if self._hdr:
                self._originals.append(pixels)
                pixels = to_sdr(pixels, self._hdr)
            yield pixels, mask
            done += 1
        if not self._masks.endless and not stop.is_set() and next(masks, None) is not None:
            raise InputError(f"{job.composite} ends after {done} frames, {job.masks} does not", "give a frame for each")


def _shown(frames: Frames) -> int | None:
    return frames.shown() if isinstance(frames, VideoReader) else frames.count


def _fitted(pixels: NDArray[Any], size: tuple[int, int], fit: bool) -> NDArray[Any]:
    return resize(pixels, size) if fit and pixels.shape[1::-1] != size else pixels


def _opaque(pixels: NDArray[Any]) -> NDArray[Any]:
    """Without alpha: the mask says what is foreground, and what is pasted on a background has none."""
    return np.ascontiguousarray(pixels[..., :3])
