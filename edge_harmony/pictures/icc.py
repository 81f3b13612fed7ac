"""ICC profiles: whether one describes the pixels, and sRGB from the spaces that results are not written in."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edge_harmony.pictures.headers import PILLOW_ERRORS

_JPEG_NAME = b"ICC_PROFILE\0"
_HEADER = 128


def checked_profile(profile: bytes | None) -> bytes | None:
    """A profile without what is stored behind it; None where it has not the signature or the length of one (ICC.1:2022,
    7.2).
    """
    if profile is None or len(profile) <= _HEADER or profile[36:40] != b"acsp":
        return None
    length = struct.unpack_from(">I", profile)[0]
    return profile[:length] if _HEADER < length <= len(profile) else None


def profile_of_segments(segments: Iterable[bytes]) -> bytes | None:
    """The profile in a JPEG's APP2 segments, whatever else such segments are used for (ICC.1:2022, annex B.4).

    Its parts may come in any order; None where one is missing.
    """
    parts: dict[int, bytes] = {}
    count = 0
    for segment in segments:
        if segment.startswith(_JPEG_NAME) and len(segment) > len(_JPEG_NAME) + 2:
            number, count = segment[len(_JPEG_NAME)], segment[len(_JPEG_NAME) + 1]
            parts.setdefault(number, segment[len(_JPEG_NAME) + 2 :])
    numbers = range(1, count + 1)
    if not parts or any(number not in parts for number in numbers):
        return None
    return checked_profile(b"".join(parts[number] for number in numbers))


def segments_of_profile(profile: bytes) -> list[bytes] | None:
    """The contents of the APP2 segments that hold a profile; None where it is too large for 255 of them."""
    room = 65533 - len(_JPEG_NAME) - 2
    parts = [profile[start : start + room] for start in range(0, len(profile), room)]
    if len(parts) > 255:
        return None
    return [_JPEG_NAME + bytes((k + 1, len(parts))) + part for k, part in enumerate(parts)]


def colour_space(profile: bytes) -> str:
    """``RGB``, ``GRAY``, ``CMYK``, ``Lab`` or another of ICC.1:2022, table 19."""
    return profile[16:20].decode("latin-1").strip()


def to_srgb(picture: Image.Image, profile: bytes | None) -> NDArray[np.uint8]:
    """``(H, W, 3)`` sRGB of a picture in CMYK or Lab.

    Args:
        picture: of mode CMYK or LAB.
        profile: the one that describes it; without one that does, CMYK is converted as Pillow does without.
    """
    space = {"CMYK": "CMYK", "LAB": "Lab"}[picture.mode]
    try:
        if picture.mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif profile is not None and colour_space(profile) == space:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        else:
            return np.array(picture.convert("RGB"))
        return np.array(_converted(picture, source))
    except PILLOW_ERRORS:
        return np.array(picture.convert("RGB"))


def gray_curve(profile: bytes) -> NDArray[np.float32] | None:
    """The 256 levels of a gray profile in sRGB, in [0, 1]; None if the profile cannot be read."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    try:
        made = _converted(ramp, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except PILLOW_ERRORS:
        return None
    return np.asarray(made)[0, :, 1].astype(np.float32) / np.float32(255)


def between_profiles(pixels: NDArray[np.uint8], source: bytes | None, target: bytes | None) -> NDArray[np.uint8]:
    """``(H, W, 3)`` in the numbers of one RGB profile as those of another; None is sRGB.

    Where a profile cannot be used, the numbers stay.
    """
    try:
        made = ImageCms.profileToProfile(
            Image.fromarray(pixels), _opened(source), _opened(target), ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except PILLOW_ERRORS:
        return pixels
    return pixels if made is None else np.array(made)


def _opened(profile: bytes | None) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB") if profile is None else io.BytesIO(profile))


def _converted(picture: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    made = ImageCms.profileToProfile(
        picture,
        source,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if made is None:
        raise ImageCms.PyCMSError("nothing was made")
    return made
