"""One request to ``/harmonize``: its fields, and the work that they ask for."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from edge_harmony.errors import UsageError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.placement import ANCHORS
from edge_harmony.pipeline.apply import STRONGEST
from edge_harmony.web.pixels import TooManyPixels, refuse_large

FORMATS = {
    "jpeg": (".jpg", "image/jpeg"),
    "png": (".png", "image/png"),
    "webp": (".webp", "image/webp"),
    "tiff": (".tif", "image/tiff"),
    "bmp": (".bmp", "image/bmp"),
    "heic": (".heic", "image/heic"),
    "avif": (".avif", "image/avif"),
}
"""Formats of results: file name suffix and media type."""

_SHORT = {"jpg": "jpeg", "tif": "tiff"}


class Fields(BaseModel):
    """The fields of a request: a composite and its mask, or a foreground, a background and a mask."""

    model_config = ConfigDict(extra="forbid")

    composite: UploadFile | None = Field(None, description="Composite: a picture file.")
    foreground: UploadFile | None = Field(None, description="Picture whose foreground is pasted on the background.")
    background: UploadFile | None = Field(None, description="Picture whose size the result has.")
    mask: UploadFile | None = Field(
        None, description="Mask of composite or foreground, white: foreground; a cut-out with transparency needs none."
    )
    strength: float = Field(1.0, ge=0, le=STRONGEST, description="Size of the change; 1: as predicted.")
    format: str | None = Field(
        None, description=f"{', '.join(FORMATS)}; by default that of the composite or foreground, or png."
    )
    quality: int = Field(95, ge=1, le=100, description="Of JPEG, WebP, HEIC and AVIF.")
    fit: bool = Field(False, description="Resize a mask of another size.")
    mask_value: int | None = Field(None, ge=0, description="The class id that is the foreground in the mask.")
    invert_mask: bool = Field(False, description="White in the mask is the background.")
    x: int | None = Field(None, description="Pixel of the background for the anchor; with y.")
    y: int | None = Field(None, description="Pixel of the background for the anchor; with x.")
    scale: float = Field(1.0, gt=0, le=100, description="Size of the foreground; 1: its own.")
    anchor: str = Field("center", description=f"Point of the foreground picture: {', '.join(ANCHORS)}.")


@dataclass(frozen=True)
class Made:
    """A result.

    Attributes:
        data: of the picture file.
        media_type: of it.
        pixels: of it.
        seconds: that the work took.
    """

    data: bytes
    media_type: str
    pixels: int
    seconds: float


@dataclass(frozen=True)
class Call:
    """A request whose fields belong together.

    Attributes:
        fields: as they came.
        name: of the file that is the composite, or shall become it: ``composite`` or ``foreground``.
        file: that file.
    """

    fields: Fields
    name: str
    file: UploadFile

    @classmethod
    def of(cls, fields: Fields) -> Call:
        """The call that fields make.

        Raises:
            UsageError: they do not belong together, or there is no such format.
        """
        given = [(name, file) for name in ("composite", "foreground") if (file := getattr(fields, name)) is not None]
        if len(given) != 1:
            both = "both a composite and a foreground" if given else "no composite"
            raise UsageError(f"there is {both}", "send composite and mask, or foreground, background and mask")
        name, file = given[0]
        if (name == "foreground") != (fields.background is not None):
            raise UsageError("foreground and background belong together", "send both, or a composite")
        if fields.mask is None and name == "composite":
            raise UsageError("there is no mask", "send it as the file mask")
        if (fields.x is None) != (fields.y is None):
            raise UsageError("x and y belong together", "send both or none")
        if fields.format is not None and _named(fields.format) not in FORMATS:
            raise UsageError(f"there is no format {fields.format[:20]!r}", f"use one of {', '.join(FORMATS)}")
        return cls(fields, name, file)

    def harmonize(self, harmonizer: Harmonizer, pixels: int) -> Made:
        """Do the work, in whatever thread this is called.

        Args:
            harmonizer: the network.
            pixels: the most that a picture may have, a scaled foreground too.

        Raises:
            EdgeHarmonyError: a picture cannot be used, or has too many pixels.
        """
        start = time.perf_counter()
        fields = self.fields
        picture = self.file.file.read()
        header = refuse_large(picture, pixels, self.name)
        size = header.size[0] * header.size[1]
        if size * fields.scale**2 > pixels:
            raise TooManyPixels(
                f"at scale {fields.scale:g} the foreground has more than {pixels / 1e6:g} megapixels", "make it smaller"
            )
        mask = None if fields.mask is None else fields.mask.file.read()
        background = None if fields.background is None else fields.background.file.read()
        if mask is not None:
            refuse_large(mask, pixels, "mask")
        if background is not None:
            width, height = refuse_large(background, pixels, "background").size
            size = width * height
        kind = _named(fields.format or header.kind)
        suffix, media_type = FORMATS.get(kind, FORMATS["png"])
        data = harmonizer.harmonize_bytes(
            picture,
            mask,
            suffix,
            names=(self.name, "mask"),
            background=background,
            position=None if fields.x is None or fields.y is None else (fields.x, fields.y),
            scale=fields.scale,
            anchor=fields.anchor,
            fit=fields.fit,
            mask_value=fields.mask_value,
            invert_mask=fields.invert_mask,
            strength=fields.strength,
            quality=fields.quality,
        )
        return Made(data, media_type, size, time.perf_counter() - start)


def _named(text: str) -> str:
    lower = text.lower().removeprefix(".")
    return _SHORT.get(lower, lower)
