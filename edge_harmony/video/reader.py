"""Reading videos: upright frames in presentation order, with their times."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError, UsageError, parsed, parsing
from edge_harmony.pictures.arrays import refuse_coloured
from edge_harmony.pictures.masks import ID_BOUND
from edge_harmony.video.companions import titles
from edge_harmony.video.decode import Orientation, decoded, has_alpha, is_lossless, pictures_of, progressive
from edge_harmony.video.ffmpeg import Colour, open_video, require_av, set_decoder_threads
from edge_harmony.video.hdr import HdrLight, dynamic_metadata
from edge_harmony.video.whole import refuse_cut_off

log = logging.getLogger(__name__)

Frame = tuple[NDArray[Any], Fraction]
"""Pixels and seconds: ``(H, W, 3)`` RGB, ``(H, W, 4)`` with alpha, or ``(H, W)`` of a mask; uint8, or uint16
from more than 8 bits."""

_RINGING = 8
"""Compression may turn black and white of a mask into levels up to this far from them."""
_FULL = 2


class VideoReader:
    """The frames of a video; every iteration starts at the beginning.

    Args:
        path: the file.
        gray: read a mask: brightness only, with levels next to black and white set to black and white; not those of
            a lossless codec with class ids or 0 and 1.
        exact: of a mask that a lossless codec has compressed, leave all levels as they are.

    Attributes:
        size: (width, height), upright.
        rate: frames a second, on average.
        count: how many frames the file says it shows; None if it does not say. :meth:`shown` counts them.
        endless: False.
        time_base: unit of its times, in seconds.
        aspect: width of a pixel as a share of its height, upright; None if the file does not say.
        alpha: whether frames have an alpha channel.
        colour: how its samples stand for colours.
        light: what HDR10 says of it; None if it says nothing.
        dynamic: what it says of every frame (HDR10+, Dolby Vision); empty if nothing.
        pixel_format: FFmpeg's name for the layout of its samples.
        metadata: title, date and so on.
        deep: whether frames are uint16.
        has_sound: whether there is any.
        titles: language and title of its pictures.
        chapters: as PyAV gives them.

    Raises:
        CapabilityError: PyAV is not installed.
        UsageError: there is no such file.
        InputError: the file is empty, not a video, has no pictures, or is a coloured mask.
    """

    endless = False

    def __init__(self, path: Path | str, *, gray: bool = False, exact: bool = False) -> None:
        self.path = Path(path)
        self._gray, self._exact = gray, exact
        self._bright = False
        self._interlaced = False
        container = self._open()
        try:
            stream = pictures_of(container)
            self.count = _count(container, stream)
            self.rate: Fraction = stream.average_rate or stream.guessed_rate or Fraction(25)
            self.time_base: Fraction = stream.time_base
            self.metadata: dict[str, str] = dict(container.metadata)
            self.has_sound = bool(container.streams.audio)
            self.titles = titles(stream)
            self.chapters: list[dict[str, Any]] = container.chapters()
            first = next(self._decoded(container), None)
            if first is None:
                raise InputError(f"{path} has no frame that can be decoded", "export it again")
            self.colour = Colour.of(stream.codec_context, first.height)
            self._lossless = is_lossless(stream)
            self.pixel_format: str = first.format.name
            self.deep = max(component.bits for component in first.format.components) > 8
            self.light = HdrLight.of(first)
            self.dynamic = dynamic_metadata(first)
            self.alpha = has_alpha(first.format) and not gray
            self._orientation = Orientation.of(first)
            turned = self._orientation.across
            self.size = (first.height, first.width) if turned else (first.width, first.height)
            aspect = stream.sample_aspect_ratio
            self.aspect: Fraction | None = (1 / Fraction(aspect) if turned else Fraction(aspect)) if aspect else None
            if gray:
                refuse_coloured(self._converted(first, "rgb24"), self.path.name)
        finally:
            container.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in presentation order.

        Raises:
            InputError: the file is damaged, or the size of the frames changes.
        """
        kind = "gray16le" if self._gray else colour_format(deep=self.deep, alpha=self.alpha)
        container = self._open()
        try:
            last, self._bright = None, False
            for frame in self._decoded(container):
                pixels = self._brightness(frame) if self._gray and not self.deep else self._converted(frame, kind)
                if pixels.shape[1::-1] != self.size:
                    raise InputError(f"{self.path} changes its size in the middle", "cut it there")
                time = None if frame.pts is None else Fraction(frame.pts * (frame.time_base or self.time_base))
                if time is None or (last is not None and time <= last):  # containers without times, or with broken ones
                    time = Fraction(0) if last is None else last + 1 / self.rate
                last = time
                yield pixels, time
        finally:
            container.close()

    def _open(self) -> Any:
        require_av()
        if not self.path.is_file():
            raise UsageError(f"{self.path} does not exist or is not a file", "check the path")
        refuse_cut_off(self.path)
        with parsing(f"{self.path} is not a readable video", "check the file"):
            container = open_video(self.path)
        stream = pictures_of(container)
        if stream is None:
            container.close()
            raise InputError(f"{self.path} has no pictures", "give a video")
        set_decoder_threads(stream)
        return container

    def shown(self) -> int:
        """How many frames are shown, by decoding all of them.

        Raises:
            InputError: the file is damaged.
        """
        container = self._open()
        try:
            return sum(1 for _ in self._decoded(container))
        finally:
            container.close()

    def _decoded(self, container: Any) -> Iterator[Any]:
        frames = progressive(decoded(container, pictures_of(container)), self._found_interlaced)
        yield from parsed(frames, f"{self.path} is damaged", "export or download it again")

    def _found_interlaced(self) -> None:
        if not self._interlaced:
            log.warning("%s is interlaced: its frames are deinterlaced", self.path.name)
        self._interlaced = True

    def _converted(self, frame: Any, kind: str) -> NDArray[Any]:
        """The frame as an upright array in one of the 8-bit and 16-bit colour formats."""
        pixels = frame.to_ndarray(
            format=kind, src_colorspace=self.colour.name, src_color_range=self.colour.range, threads=1
        )
        if kind == "gray16le":
            stored = self._lossless and frame.format.name.startswith("gray16")
            if stored and (self._exact or (not self._bright and pixels.max() < ID_BOUND)):
                return self._upright(pixels, frame)
            self._bright = True
            low = 257 * _RINGING
            stretched = (pixels.astype(np.float32) - low) * (65535 / (65535 - 2 * low))
            pixels = np.clip(stretched, 0, 65535).astype(np.uint16)
        return self._upright(pixels, frame)

    def _upright(self, pixels: NDArray[Any], frame: Any) -> NDArray[Any]:
        if frame.rotation != self._orientation.rotation:
            self._orientation = Orientation.of(frame)
        return self._orientation.applied_to(pixels)

    def _brightness(self, frame: Any) -> NDArray[np.uint8]:
        """The brightness of an 8-bit frame; most formats store it in a separate plane."""
        if frame.format.name.startswith(("yuv4", "yuvj4", "nv12", "nv21")):
            plane, full = frame.planes[0], self.colour.range == _FULL or frame.format.name.startswith("yuvj")
            lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            pixels, low, high = lines[: frame.height, : frame.width], *((0, 255) if full else (16, 235))
        elif self._lossless and not frame.format.name.startswith("gray"):  # a conversion to gray would move levels
            pixels, low, high = np.ascontiguousarray(frame.to_ndarray(format="rgb24", threads=1)[..., 1]), 0, 255
        else:
            pixels, low, high = frame.to_ndarray(format="gray", threads=1), 0, 255
        if self._lossless and (low, high) == (0, 255) and (self._exact or self._holds_ids(pixels)):
            return self._upright(pixels, frame)
        return self._upright(cv2.LUT(pixels, _stretch(low, high)), frame)

    def _holds_ids(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether levels beside 0 are class ids, with or without 255, rather than traces of an earlier codec."""
        levels = np.flatnonzero(cv2.calcHist([np.ascontiguousarray(pixels)], [0], None, [256], [0, 256]))
        between = levels[(levels > 0) & (levels < 255)]
        ids = levels[0] == 0 and len(between) > 0 and bool(between[-1] < ID_BOUND)
        if ids and levels[-1] == 255:  # full scale or void: MaskReader knows, and frames after it may be without
            return True
        self._bright |= bool(levels[-1] >= ID_BOUND)
        return ids and not self._bright and (len(between) == 1 or bool(levels[-1] > _RINGING))


def colour_format(*, deep: bool, alpha: bool) -> str:
    """FFmpeg's name for RGB pixels as this package has them."""
    return ("rgba64le" if alpha else "rgb48le") if deep else "rgba" if alpha else "rgb24"


def _count(container: Any, stream: Any) -> int | None:
    """Frames that are shown as far as the file says so: what an edit list of MP4 and MOV cuts off is not."""
    if not stream.frames or "mp4" not in container.format.name:
        return stream.frames or None
    return sum(not entry.is_discard for entry in stream.index_entries) or None


@functools.cache
def _stretch(low: int, high: int) -> NDArray[np.uint8]:
    """The table that stretches the levels of a mask from ``low`` (black) to ``high`` (white) to 0 to 255."""
    levels = (np.arange(256) - low) * (255 / (high - low))
    return np.rint(np.clip((levels - _RINGING) * (255 / (255 - 2 * _RINGING)), 0, 255)).astype(np.uint8)
