"""Where frames come from: a video, a camera, a folder of pictures in the order of their names, or one picture."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.names import natural
from edge_harmony.pictures.images import SUFFIXES, list_pictures, read_mask, read_picture
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.video.camera import Camera
from edge_harmony.video.names import CAMERA, is_video
from edge_harmony.video.reader import Frame, VideoReader


class Frames(Protocol):
    """A source of frames.

    Attributes:
        size: (width, height).
        count: number of frames; None if it is not known.
        endless: whether it goes on as long as the other sources.
    """

    size: tuple[int, int]

    @property
    def count(self) -> int | None: ...  # noqa: D102

    @property
    def endless(self) -> bool: ...  # noqa: D102

    def __iter__(self) -> Iterator[Frame]: ...


class ImageSequence:
    """The pictures of a folder, in the order of their names, in which numbers count as such.

    Args:
        folder: where they are.
        reader: they are masks, and this says what their values mean.

    Raises:
        UsageError: the folder has no pictures.
        InputError: the first picture cannot be read.
    """

    endless = False

    def __init__(self, folder: Path, *, reader: MaskReader | None = None) -> None:
        self._paths = sorted(list_pictures(folder), key=lambda path: natural(path.name))
        self._reader = reader
        if not self._paths:
            raise UsageError(f"{folder} holds no pictures", f"put files with {' '.join(SUFFIXES)} there")
        self.count = len(self._paths)
        first = _read(self._paths[0], reader)
        self.size = (first.shape[1], first.shape[0])

    def __iter__(self) -> Iterator[Frame]:
        """Yield one picture after the other; the time of each is its number."""
        for number, path in enumerate(self._paths):
            yield _read(path, self._reader), Fraction(number)


class Still:
    """One picture, repeated as often as needed."""

    endless = True
    count = None

    def __init__(self, path: Path, *, reader: MaskReader | None = None) -> None:
        self._pixels = _read(path, reader)
        self.size = (self._pixels.shape[1], self._pixels.shape[0])

    def __iter__(self) -> Iterator[Frame]:
        """Yield the picture's array again and again."""
        number = 0
        while True:
            yield self._pixels, Fraction(number)
            number += 1


def open_frames(name: str, *, gray: bool = False, reader: MaskReader | None = None) -> Frames:
    """Open the frames that a name stands for.

    Args:
        name: a video, ``camera:...`` (see :class:`~edge_harmony.video.camera.Camera`), a folder, or a picture.
        gray: frames are masks: ``(H, W)``, white in the foreground.
        reader: says what the values of masks in pictures mean; those of a video or camera come as they are.

    Raises:
        UsageError: there is nothing of that name.
        InputError: the source cannot be read.
        CapabilityError: the source is a video, and PyAV is not installed.
    """
    if name.startswith(CAMERA):
        return Camera(name, gray=gray)
    if is_video(name):
        return VideoReader(name, gray=gray, exact=reader is not None and reader.picks)
    path = Path(name)
    reader = (reader or MaskReader()) if gray else None
    return ImageSequence(path, reader=reader) if path.is_dir() else Still(path, reader=reader)


def _read(path: Path, reader: MaskReader | None) -> NDArray[Any]:
    if reader is not None:
        return np.rint(read_mask(path, reader) * np.float32(255)).astype(np.uint8)
    pixels = read_picture(path).pixels
    if pixels.shape[2] == 4:
        raise InputError(f"{path.name} has an alpha channel", "flatten it; the mask says what is foreground")
    return np.ascontiguousarray(pixels)
