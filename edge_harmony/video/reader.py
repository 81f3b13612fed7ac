"""Reading videos: upright frames in the order in which they are shown, with their times."""

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
"""File name suffixes that are taken for videos."""

Frame = tuple[NDArray[Any], Fraction]
"""Pixels and seconds: ``(H, W, 3)`` RGB, or ``(H, W)`` of a mask; uint8, or uint16 from more than 8 bits."""

_RINGING = 8
"""Levels beside black and white that compression makes of these in a mask."""
_FULL = 2


def is_video(name: str) -> bool:
    """Whether a name is that of a video."""
    return Path(name).suffix.lower() in SUFFIXES


class VideoReader:
    """The frames of a video; every iteration begins anew.

    Args:
        path: the file.
        gray: read a mask: brightness only; what compression made of black and white is black and white.

    Attributes:
        size: (width, height), upright.
        rate: frames a second, on average.
        count: how many frames the file says it has; None if it does not say.
        endless: False.
        time_base: unit of its times, in seconds.
        colour: how its samples stand for colours.
        pixel_format: FFmpeg's name for the layout of its samples.
        metadata: title, date and so on.
        deep: whether frames are uint16.
        has_sound: whether there is any.

    Raises:
        CapabilityError: PyAV is not installed.
        UsageError: there is no such file.
        InputError: it is empty, no video, has no pictures, or is a coloured mask.
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
        """Frames as they are shown, one after the other.

        Raises:
            InputError: the file is damaged, or the frames change their size.
        """
        kind = "gray16le" if self._gray else "rgb48le" if self.deep else "rgb24"
        container = self._open()
        try:
            last = None
            for frame in self._decoded(container):
                pixels = self._brightness(frame) if self._gray and not self.deep else self._converted(frame, kind)
                if pixels.shape[1::-1] != self.size:
                    raise InputError(f"{self.path} changes its size on the way", "cut it where it does")
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
            raise UsageError(f"{self.path} does not exist or is no file", "check the path")
        try:
            container = av.open(str(self.path))
        except av.FFmpegError as error:
            raise InputError(f"{self.path} is no video that can be read ({error.strerror})", "check the file") from None
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
        """One of the colour formats of 8 and 16 bits, upright."""
        pixels = frame.to_ndarray(
            format=kind, src_colorspace=self.colour.name, src_color_range=self.colour.range, threads=1
        )
        if kind == "gray16le":
            low = 257 * _RINGING
            stretched = (pixels.astype(np.float32) - low) * (65535 / (65535 - 2 * low))
            pixels = np.clip(stretched, 0, 65535).astype(np.uint16)
        return _upright(pixels, frame)

    def _brightness(self, frame: Any) -> NDArray[np.uint8]:
        """Of a frame with 8 bits: most keep it in a plane of its own."""
        if frame.format.name.startswith(("yuv4", "yuvj4", "nv12", "nv21")):
            plane, full = frame.planes[0], self.colour.range == _FULL or frame.format.name.startswith("yuvj")
            lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            pixels, low, high = lines[: frame.height, : frame.width], *((0, 255) if full else (16, 235))
        else:
            pixels, low, high = frame.to_ndarray(format="gray", threads=1), 0, 255
        return _upright(cv2.LUT(pixels, _stretch(low, high)), frame)


@functools.cache
def _stretch(low: int, high: int) -> NDArray[np.uint8]:
    """What the levels of a mask become whose black and white are ``low`` and ``high``."""
    levels = (np.arange(256) - low) * (255 / (high - low))
    return np.rint(np.clip((levels - _RINGING) * (255 / (255 - 2 * _RINGING)), 0, 255)).astype(np.uint8)


def _upright(pixels: NDArray[Any], frame: Any) -> NDArray[Any]:
    return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90)) if frame.rotation else pixels
