"""Reading videos: upright frames in presentation order, with their times."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError, UsageError
from edge_harmony.pictures.arrays import refuse_coloured
from edge_harmony.video.ffmpeg import Colour, require_av

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv")
"""File name suffixes that count as videos."""

Frame = tuple[NDArray[Any], Fraction]
"""Pixels and seconds: ``(H, W, 3)`` RGB, or ``(H, W)`` for a mask; uint8, or uint16 for videos of more than 8 bits."""

_RINGING = 8
"""Compression may turn black and white of a mask into levels up to this far from them."""
_FULL = 2


def is_video(name: str) -> bool:
    """Whether a name has the suffix of a video."""
    return Path(name).suffix.lower() in SUFFIXES


class VideoReader:
    """The frames of a video; every iteration starts at the beginning.

    Args:
        path: the file.
        gray: read a mask: brightness only, with levels next to black and white set to black and white.

    Attributes:
        size: (width, height), upright.
        rate: frames a second, on average.
        count: number of frames that the file states; None if it states none.
        endless: False.
        time_base: unit of its times, in seconds.
        colour: colour description.
        pixel_format: FFmpeg's name for the layout of its samples.
        metadata: title, date and so on.
        deep: whether frames are uint16.
        has_sound: whether the file has sound.

    Raises:
        CapabilityError: PyAV is not installed.
        UsageError: there is no such file.
        InputError: the file is empty, not a video, has no pictures, or is a coloured mask.
    """

    endless = False

    def __init__(self, path: Path | str, *, gray: bool = False) -> None:
        self.path = Path(path)
        self._gray = gray
        container = self._open()
        try:
            stream = container.streams.video[0]
            self.count = stream.frames or None
            self.rate: Fraction = stream.average_rate or stream.guessed_rate or Fraction(25)
            self.time_base: Fraction = stream.time_base
            self.metadata: dict[str, str] = dict(container.metadata)
            self.has_sound = bool(container.streams.audio)
            first = next(self._decoded(container), None)
            if first is None:
                raise InputError(f"{path} has no frame that can be decoded", "export it again")
            self.colour = Colour.of(stream.codec_context, first.height)
            self.pixel_format: str = first.format.name
            self.deep = max(component.bits for component in first.format.components) > 8
            turned = first.rotation % 180 != 0
            self.size = (first.height, first.width) if turned else (first.width, first.height)
            if gray:
                refuse_coloured(self._converted(first, "rgb24"), self.path.name)
        finally:
            container.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in presentation order.

        Raises:
            InputError: the file is damaged, or the size of the frames changes.
        """
        kind = "gray16le" if self._gray else "rgb48le" if self.deep else "rgb24"
        container = self._open()
        try:
            last = None
            for frame in self._decoded(container):
                pixels = self._brightness(frame) if self._gray and not self.deep else self._converted(frame, kind)
                if pixels.shape[1::-1] != self.size:
                    raise InputError(f"{self.path} changes its size in the middle", "cut it there")
                time = None if frame.pts is None else frame.pts * self.time_base
                if time is None or (last is not None and time <= last):  # containers without times, or with broken ones
                    time = Fraction(0) if last is None else last + 1 / self.rate
                last = time
                yield pixels, time
        finally:
            container.close()

    def _open(self) -> Any:
        av = require_av()
        if not self.path.is_file():
            raise UsageError(f"{self.path} does not exist or is not a file", "check the path")
        try:
            container = av.open(str(self.path))
        except av.FFmpegError as error:
            raise InputError(f"{self.path} is not a readable video ({error.strerror})", "check the file") from None
        if not container.streams.video:
            container.close()
            raise InputError(f"{self.path} has no pictures", "give a video")
        container.streams.video[0].thread_type = "AUTO"
        return container

    def _decoded(self, container: Any) -> Iterator[Any]:
        try:
            yield from container.decode(video=0)
        except require_av().FFmpegError as error:
            raise InputError(f"{self.path} is damaged ({error.strerror})", "export or download it again") from None

    def _converted(self, frame: Any, kind: str) -> NDArray[Any]:
        """The frame as an upright array in one of the 8-bit and 16-bit colour formats."""
        pixels = frame.to_ndarray(
            format=kind, src_colorspace=self.colour.name, src_color_range=self.colour.range, threads=1
        )
        if kind == "gray16le":
            low = 257 * _RINGING
            stretched = (pixels.astype(np.float32) - low) * (65535 / (65535 - 2 * low))
            pixels = np.clip(stretched, 0, 65535).astype(np.uint16)
        return _upright(pixels, frame)

    def _brightness(self, frame: Any) -> NDArray[np.uint8]:
        """The brightness of an 8-bit frame; most formats store it in a separate plane."""
        if frame.format.name.startswith(("yuv4", "yuvj4", "nv12", "nv21")):
            plane, full = frame.planes[0], self.colour.range == _FULL or frame.format.name.startswith("yuvj")
            lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            pixels, low, high = lines[: frame.height, : frame.width], *((0, 255) if full else (16, 235))
        else:
            pixels, low, high = frame.to_ndarray(format="gray", threads=1), 0, 255
        return _upright(cv2.LUT(pixels, _stretch(low, high)), frame)


@functools.cache
def _stretch(low: int, high: int) -> NDArray[np.uint8]:
    """The table that stretches the levels of a mask from ``low`` (black) to ``high`` (white) to 0 to 255."""
    levels = (np.arange(256) - low) * (255 / (high - low))
    return np.rint(np.clip((levels - _RINGING) * (255 / (255 - 2 * _RINGING)), 0, 255)).astype(np.uint8)


def _upright(pixels: NDArray[Any], frame: Any) -> NDArray[Any]:
    return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90)) if frame.rotation else pixels
