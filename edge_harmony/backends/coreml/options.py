"""What a Core ML target's ``[options]`` may say."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from edge_harmony.backends.base import ExportRequest
from edge_harmony.errors import UsageError
from edge_harmony.files.artifacts import artifact_name

Minimum = Literal["iOS16", "iOS17", "iOS18"]
PackageInputs = Literal["tensor", "image"]
Size = tuple[int, int]
DEFAULT_MINIMUM: Minimum = "iOS17"
_INTEGERS_SINCE, _FUNCTIONS_SINCE = "iOS17", "iOS18"


class PackageOptions(BaseModel):
    """How a package is made; see :func:`edge_harmony.backends.coreml.convert.convert`.

    Attributes:
        minimum: the oldest system that will run it.
        inputs: float tensors, or 8-bit pictures.
        palette_bits: store weights as indices into palettes of this many bits.
        more_sizes: other working sizes (height, width) that the package takes.
        picture_sizes: sizes (height, width) of pictures, of a whole pipeline; if empty, all sizes of a range.
        enumerated: one function of a whole pipeline takes all ``picture_sizes``, instead of a function for each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimum: Minimum = DEFAULT_MINIMUM
    inputs: PackageInputs = "tensor"
    palette_bits: Literal[4, 6, 8] | None = None
    more_sizes: tuple[Size, ...] = ()
    picture_sizes: tuple[Size, ...] = ()
    enumerated: bool = False

    def sizes(self, request: ExportRequest) -> list[Size | None]:
        """The size of each function of the package, the default first; None: several sizes of pictures."""
        if request.whole_pipeline:
            return [None] if self.enumerated else list(self.picture_sizes) or [None]
        return [request.working_size, *self.more_sizes]

    def check(self, request: ExportRequest) -> None:
        """Refuse options that contradict each other or the request.

        Raises:
            UsageError: a combination that no package has.
        """
        minimum, sizes = self.minimum, self.sizes(request)
        if request.precision == "int8" and minimum < _INTEGERS_SINCE:
            raise UsageError(f"8-bit programs need {_INTEGERS_SINCE}, not {minimum}", "choose fp16, or a newer minimum")
        if request.precision == "int8" and self.palette_bits is not None:
            raise UsageError("palettes are for float programs", "choose fp16, or leave the palette out")
        if len(sizes) > 1 and minimum < _FUNCTIONS_SINCE:
            raise UsageError(
                f"packages for several sizes need {_FUNCTIONS_SINCE}, not {minimum}",
                "choose one size, or a newer minimum",
            )
        if self.enumerated and (len(self.picture_sizes) < 2 or minimum < _FUNCTIONS_SINCE):
            raise UsageError(
                f"enumerated sizes are several, and need {_FUNCTIONS_SINCE}",
                f"name two picture_sizes or more, with minimum = {_FUNCTIONS_SINCE}",
            )
        least = request.working_size
        small = [size for size in self.picture_sizes if size[0] < least[0] or size[1] < least[1]]
        if request.whole_pipeline and small:
            raise UsageError(
                f"a whole pipeline at {least[1]}x{least[0]} takes no pictures of {small[0][1]}x{small[0][0]}",
                "name sizes of at least the working size",
            )
        if len(set(sizes)) < len(sizes) or len(set(self.picture_sizes)) < len(self.picture_sizes):
            raise UsageError("a size is named twice", "name every size once")
        if request.whole_pipeline and self.more_sizes:
            raise UsageError("a whole pipeline has one working size", "leave more_sizes out, or --whole-pipeline")

    def name_of(self, request: ExportRequest) -> str:
        """The package's file name, with a mark for each option that is not its default.

        The inputs of a whole pipeline are always images, so no mark says so.
        """
        marks = [] if self.minimum == DEFAULT_MINIMUM else [self.minimum.lower()]
        if self.inputs == "image" and not request.whole_pipeline:
            marks.append("image")
        if self.palette_bits is not None:
            marks.append(f"palette{self.palette_bits}")
        sizes = self.picture_sizes if request.whole_pipeline else self.more_sizes
        marks += [f"{height}x{width}" for height, width in sizes]
        if request.whole_pipeline and self.enumerated:
            marks.append("enumerated")
        return artifact_name(
            request.model,
            *request.working_size,
            request.precision,
            ".mlpackage",
            whole_pipeline=request.whole_pipeline,
            keep_float=request.keep_float,
            marks=marks,
        )
