"""Writing videos: frames at their times, with the sound and the colour description of the source video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError, UsageError, first_line
from edge_harmony.video.ffmpeg import SCREEN, require_av
from edge_harmony.video.reader import VideoReader

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
"""File name suffixes that are written."""

_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
_OPTIONS = {
    "libx264": {"crf": "20", "preset": "superfast"},
    "libx265": {"crf": "22", "preset": "superfast", "x265-params": "log-level=error"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    "libsvtav1": {"crf": "26", "preset": "10"},
}
"""Options of encoders whose defaults are slower, or lose visible quality."""
_CLOCK = Fraction(1, 90_000)
_OF_CONTAINERS = ("major_brand", "minor_version", "compatible_brands", "encoder")
"""Metadata that describe the container, not the video."""


def default_codec(path: Path) -> str:
    """The encoder for a suffix."""
    return "libvpx-vp9" if path.suffix.lower() == ".webm" else "libx264"


class VideoWriter:
    """Writes a video frame by frame; after :meth:`close` it can be played, with any number of frames.

    Args:
        path: path of the file; the suffix chooses the container.
        size: (width, height).
        rate: frames a second, a hint to the encoder; the frames have their own times.
        source: the source video: its unit of time, colour description and metadata are kept.
        deep: whether frames are uint16.
        sound: copy the sound of the source; it ends with the frames.
        codec: FFmpeg's name of an encoder: ``libx264``, ``libx265``, ``libvpx-vp9``, ``libsvtav1``, ``ffv1``,
            ``h264_nvenc``, ...; None: the default of the suffix.
        options: options of the encoder: ``crf``, ``preset`` and so on.

    Raises:
        UsageError: container, encoder, options or sound do not go together.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: Fraction,
        *,
        source: VideoReader | None = None,
        deep: bool = False,
        sound: bool = True,
        codec: str | None = None,
        options: dict[str, str] | None = None,
    ) -> None:
        av = self._av = require_av()
        codec = codec or default_codec(path)
        self._colour = source.colour if source else SCREEN
        self._base = source.time_base if source else _CLOCK
        self._kind = "rgb48le" if deep else "rgb24"
        self._format = _pixel_format(codec, size, source, deep)
        self._end = Fraction(0)
        self._sound: _Sound | None = None
        self._container = av.open(str(path), "w", format=_CONTAINERS[path.suffix.lower()])
        try:
            self._stream = self._container.add_stream(
                codec, rate=rate.limit_denominator(65535), options=_OPTIONS.get(codec, {}) | (options or {})
            )
            self._stream.width, self._stream.height, self._stream.pix_fmt = *size, self._format
            context = self._stream.codec_context
            context.time_base = self._stream.time_base = self._base
            context.colorspace, context.color_range = self._colour.matrix, self._colour.range
            context.color_primaries, context.color_trc = self._colour.primaries, self._colour.transfer
            if source is not None:
                kept = {key: value for key, value in source.metadata.items() if key not in _OF_CONTAINERS}
                self._container.metadata.update(kept)
                if sound and source.has_sound:
                    self._sound = _Sound(source.path, self._container)
            self._container.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            self._abandon()
            raise UsageError(
                f"cannot write {path.suffix} with {codec}: {first_line(error)}",
                "choose another codec or suffix (.mkv holds nearly everything), or leave the sound out",
            ) from None

    def write(self, pixels: NDArray[Any], time: Fraction) -> None:
        """Append a frame.

        Args:
            pixels: ``(H, W, 3)`` RGB, contiguous; uint8, or uint16 if the video is deep.
            time: seconds; later than the time of the frame before.
        """
        frame = self._av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(pixels), self._kind)
        frame = frame.reformat(
            format=self._format, dst_colorspace=self._colour.name, dst_color_range=self._colour.range
        )
        frame.pts, frame.time_base = round(time / self._base), self._base
        self._container.mux(self._stream.encode(frame))
        self._end = time
        if self._sound:
            self._sound.copy_until(time)

    def close(self) -> None:
        """Write the frames that are still in the encoder, and the index."""
        try:
            self._container.mux(self._stream.encode(None))
            if self._sound:
                self._sound.copy_until(self._end + 1 / self._stream.codec_context.framerate)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        if self._sound:
            self._sound.close()
        self._container.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()


class _Sound:
    """The sound of a video, copied packet by packet up to the time of the last frame."""

    def __init__(self, path: Path, target: Any) -> None:
        self._path = path
        self._target = target
        self._source = require_av().open(str(path))
        self._streams = {stream.index: target.add_stream_from_template(stream) for stream in self._source.streams.audio}
        self._packets: Iterator[Any] = self._source.demux(*self._source.streams.audio)
        self._next: Any = None

    def copy_until(self, time: Fraction) -> None:
        """Copy the sound before ``time``, in seconds."""
        self._next = self._next or self._packet()
        while self._next is not None and self._next.dts * self._next.time_base < time:
            self._next.stream = self._streams[self._next.stream.index]
            self._target.mux(self._next)
            self._next = self._packet()

    def _packet(self) -> Any:
        try:
            return next((packet for packet in self._packets if packet.dts is not None), None)
        except require_av().FFmpegError as error:
            raise InputError(f"the sound of {self._path} is damaged ({error.strerror})", "leave it out") from None

    def close(self) -> None:
        self._source.close()


def _pixel_format(codec: str, size: tuple[int, int], source: VideoReader | None, deep: bool) -> str:
    """The sample layout for the encoder: the source's if the encoder takes it, else 4:2:0, or 4:4:4 for odd sizes.

    Raises:
        UsageError: there is no such encoder.
    """
    av = require_av()
    try:
        encoder = av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        raise UsageError(
            f"the installed FFmpeg has no encoder {codec!r}", "libx264, libx265 and libvpx-vp9 are common"
        ) from None
    if encoder.type != "video":
        raise UsageError(f"{codec} does not encode video", "libx264, libx265 and libvpx-vp9 are common")
    offered = [kind.name for kind in encoder.video_formats or []]
    even = size[0] % 2 == size[1] % 2 == 0
    wanted = [source.pixel_format.replace("yuvj", "yuv")] if source and source.pixel_format.startswith("yuv") else []
    if not even:
        wanted = [kind for kind in wanted if kind.startswith("yuv444p")]
    wanted += [f"yuv4{'20' if even else '44'}p{'10le' if deep else ''}", f"yuv4{'20' if even else '44'}p"]
    return next((kind for kind in wanted if kind in offered), offered[0] if offered else "yuv420p")
