"""Networks and pipelines in PyTorch to Core ML programs, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import coremltools as ct
import numpy as np
import torch
from torch import nn

from edge_harmony.backends.coreml.options import Minimum, PackageInputs, Size
from edge_harmony.backends.coreml.sixteen_bits import compute_precision, fits_half
from edge_harmony.errors import CapabilityError, first_line, signal_behind
from edge_harmony.export.quiet import quiet
from edge_harmony.export.trace import decomposed
from edge_harmony.extras import check_installed
from edge_harmony.files.manifest import Precision
from edge_harmony.models.whole_pipeline import PlanarPipeline

LARGEST_PICTURE = (4096, 4096)
"""Height and width up to which a pipeline for all sizes takes pictures: 4K, and photographs of 12 megapixels
(3024 x 4032), either way up."""
_LEAST_FOR_PALETTES = 512  # elements
_PARAMETER = "p_"  # what torch.export calls parameters; other constants, such as matrices that resize, are no weights
LOGGERS = ("coremltools", "torch.export")


class FromLevels(nn.Module):
    """A network that takes pictures in levels, 0 to 255.

    The scale of coremltools' image inputs would be a multiplication in 32 bits, whatever the precision of the program.

    Args:
        network: takes composite and mask in [0, 1].
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, composite: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ``(1, 3, H, W)`` and ``(1, 1, H, W)`` in levels to what the network returns."""
        result: torch.Tensor = self.network(composite / 255, mask / 255)
        return result


def network_program(
    model: nn.Module, size: tuple[int, int], precision: Precision, minimum: Minimum, inputs: PackageInputs, output: str
) -> Any:
    """A network for one working size, as a coremltools model.

    Raises:
        CapabilityError: coremltools cannot convert it.
    """
    given = [
        ct.TensorType("composite", (1, 3, *size), dtype=np.float32),
        ct.TensorType("mask", (1, 1, *size), dtype=np.float32),
    ]
    if inputs == "image":
        given = [
            ct.ImageType("composite", (1, 3, *size), color_layout=ct.colorlayout.RGB),
            ct.ImageType("mask", (1, 1, *size), color_layout=ct.colorlayout.GRAYSCALE),
        ]
    return _converted(
        decomposed(FromLevels(model) if inputs == "image" else model, size),
        compute_precision(precision, "all" if fits_half(model) else "features"),
        minimum,
        inputs=given,
        outputs=[ct.TensorType(name=output, dtype=np.float32)],
    )


def pipeline_program(
    model: PlanarPipeline,
    size: Size | None,
    precision: Precision,
    minimum: Minimum,
    enumerated: Sequence[Size] = (),
) -> Any:
    """A whole pipeline, 8-bit pictures in and out.

    Args:
        model: the pipeline.
        size: height and width of the pictures; None for several.
        precision: of the network within.
        minimum: the oldest system.
        enumerated: the sizes, if ``size`` is None; without any, all from the network's working size to
            :data:`LARGEST_PICTURE`.

    Raises:
        CapabilityError: coremltools cannot convert it.
    """
    largest = tuple(max(sides) for sides in zip(LARGEST_PICTURE, *enumerated, strict=True))

    def shape(channels: int) -> Any:
        if size is not None:
            return (1, channels, *size)
        if enumerated:
            return ct.EnumeratedShapes([(1, channels, *one) for one in enumerated])
        bounds = zip(model.size, LARGEST_PICTURE, strict=True)
        return (1, channels, *(ct.RangeDim(least, most, default=least) for least, most in bounds))

    converted = _converted(
        decomposed_pipeline(model, size, largest),
        compute_precision(precision, "between" if fits_half(model.network) else "features"),
        minimum,
        inputs=[
            ct.ImageType("picture", shape(3), color_layout=ct.colorlayout.RGB),
            ct.ImageType("mask", shape(1), color_layout=ct.colorlayout.GRAYSCALE),
            ct.TensorType("strength", (1,), default_value=np.ones(1, np.float32)),
        ],
        outputs=[ct.ImageType("harmonized", color_layout=ct.colorlayout.RGB)],
    )
    return converted if size else _with_sizes_of_the_input(converted)


def decomposed_pipeline(
    model: PlanarPipeline, size: Size | None, most: tuple[int, ...] = LARGEST_PICTURE
) -> torch.export.ExportedProgram:
    """The program of a whole pipeline, for one size or for all up to ``most``, in core ATen operators."""
    axes = {
        axis: torch.export.Dim(name, min=least, max=largest)
        for axis, name, least, largest in zip((2, 3), "HW", model.size, most, strict=True)
    }
    height, width = size or (model.size[0] + 45, model.size[1] + 146)  # no size that a network contains by itself
    inputs = (
        torch.rand(1, 3, height, width) * 255,
        torch.rand(1, 1, height, width).round() * 255,
        torch.full((1,), 0.5),
    )
    with quiet(*LOGGERS):
        program = torch.export.export(model.eval(), inputs, dynamic_shapes=None if size else (axes, axes, None))
        return program.run_decompositions({})


def palettized(converted: Any, bits: int) -> Any:
    """The program with its weights as indices into palettes, one palette per tensor, by k-means.

    Raises:
        CapabilityError: scikit-learn is not installed.
    """
    check_installed("palettes need scikit-learn, which is not installed", "sklearn")
    import coremltools.optimize.coreml as cto

    chosen = cto.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=_LEAST_FOR_PALETTES)
    with quiet(*LOGGERS):
        large = cto.get_weights_metadata(converted, weight_threshold=_LEAST_FOR_PALETTES)
        weights = {name: chosen for name in large if name.startswith(_PARAMETER)}
        return cto.palettize_weights(converted, cto.OptimizationConfig(op_name_configs=weights))


def _converted(program: torch.export.ExportedProgram, precision: Any, minimum: Minimum, **arguments: Any) -> Any:
    try:
        with quiet(*LOGGERS):
            return ct.convert(
                program,
                convert_to="mlprogram",
                minimum_deployment_target=ct.target[minimum],
                compute_precision=precision,
                skip_model_load=True,
                **arguments,
            )
    except Exception as error:  # coremltools raises ValueError, NotImplementedError, RuntimeError, KeyError ...
        if ended := signal_behind(error):
            raise ended from None
        raise CapabilityError(
            f"coremltools {ct.__version__} cannot convert this network ({first_line(error)})",
            "update coremltools, or choose another network",
        ) from None


def _with_sizes_of_the_input(converted: Any) -> Any:
    """Say of the output picture what is known of the input: coremltools leaves its sizes as 1 to anything."""
    spec = converted.get_spec()
    given, made = spec.description.input[0].type.imageType, spec.description.output[0].type.imageType
    made.width, made.height = given.width, given.height
    if given.WhichOneof("SizeFlexibility") == "enumeratedSizes":
        made.enumeratedSizes.CopyFrom(given.enumeratedSizes)
    else:
        made.imageSizeRange.CopyFrom(given.imageSizeRange)
    return ct.models.MLModel(spec, weights_dir=converted.weights_dir, skip_model_load=True)
