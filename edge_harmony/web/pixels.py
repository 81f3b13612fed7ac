"""A limit on the pixels of pictures from strangers, kept by their headers, before anything is decoded."""

from __future__ import annotations

from edge_harmony.errors import InputError
from edge_harmony.pictures.decode import PictureHeader, read_header

MOST_PIXELS = 16_000_000
"""Pixels of a picture unless the server is told otherwise; each takes some 40 bytes of memory while it is worked on."""


class TooManyPixels(InputError):
    """A picture has more pixels than a server takes."""


def refuse_large(data: bytes, pixels: int, name: str) -> PictureHeader:
    """Refuse a picture by its header.

    Args:
        data: of its file.
        pixels: the most that it may have.
        name: of the picture in errors.

    Returns:
        The header.

    Raises:
        TooManyPixels: it has more.
        InputError: it is no picture.
    """
    header = read_header(data, name)
    width, height = header.size
    if width * height > pixels:
        raise TooManyPixels(
            f"{name} has {width} x {height} pixels, and {pixels / 1e6:g} megapixels are taken here",
            "make it smaller, or use the command line",
        )
    return header
