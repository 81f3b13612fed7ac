"""What a Core ML target's ``[options]`` may say."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Minimum = Literal["iOS16", "iOS17", "iOS18"]
PackageInputs = Literal["tensor", "image"]
Size = tuple[int, int]


class PackageOptions(BaseModel):
    """How a package is made; see :func:`edge_harmony.backends.coreml.convert.convert`.

    Attributes:
        minimum: the oldest system that will run it.
        inputs: float tensors, or 8-bit pictures.
        palette_bits: store weights as indices into palettes of this many bits.
        more_sizes: other working sizes (height, width) that the package takes.
        picture_sizes: sizes of pictures, of a whole pipeline.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimum: Minimum = "iOS17"
    inputs: PackageInputs = "tensor"
    palette_bits: Literal[4, 6, 8] | None = None
    more_sizes: tuple[Size, ...] = ()
    picture_sizes: tuple[Size, ...] = ()
