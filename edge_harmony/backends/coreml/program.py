"""Networks and pipelines in PyTorch to Core ML programs, in memory."""

from __future__ import annotations

from typing import Any

import coremltools as ct
import numpy as np
import torch
from torch import nn

from edge_harmony.backends.coreml.options import Minimum, PackageInputs
from edge_harmony.errors import CapabilityError, first_line
from edge_harmony.export.quiet import quiet
from edge_harmony.extras import check_installed
from edge_harmony.files.manifest import Precision
from edge_harmony.models.whole_pipeline import PlanarPipeline

LARGEST_PICTURE = (2160, 4096)
"""Height and width up to which a pipeline for all sizes takes pictures."""
_LEAST_FOR_PALETTES = 512  # elements
_PARAMETER = "p_"  # what torch.export calls parameters; other constants, such as matrices that resize, are no weights
LOGGERS = ("coremltools", "torch.export")
_HALF = {"conv", "conv_transpose", "relu", "leaky_relu", "upsample_bilinear", "max_pool", "quantize", "dequantize"}
_IF_ALL_HALF = {"add", "concat"}


def network_program(
    model: nn.Module, size: tuple[int, int], precision: Precision, minimum: Minimum, inputs: PackageInputs, output: str
) -> Any:
    """A network for one working size, as a coremltools model.

    Raises:
        CapabilityError: coremltools cannot convert it.
    """
    arguments: dict[str, Any] = {}
    if inputs == "image":
        arguments["inputs"] = [
            ct.ImageType("composite", (1, 3, *size), scale=1 / 255, color_layout=ct.colorlayout.RGB),
            ct.ImageType("mask", (1, 1, *size), scale=1 / 255, color_layout=ct.colorlayout.GRAYSCALE),
        ]
    return _converted(decomposed(model, size), precision, minimum, outputs=[ct.TensorType(name=output)], **arguments)


def pipeline_program(
    model: PlanarPipeline, size: tuple[int, int] | None, precision: Precision, minimum: Minimum
) -> Any:
    """A whole pipeline, 8-bit pictures in and out, for pictures of one size or, without ``size``, of all sizes from the
    network's working size to :data:`LARGEST_PICTURE`.

    Raises:
        CapabilityError: coremltools cannot convert it.
    """
    shape: tuple[Any, ...] = size or tuple(
        ct.RangeDim(least, largest, default=least) for least, largest in zip(model.size, LARGEST_PICTURE, strict=True)
    )
    converted = _converted(
        decomposed_pipeline(model, size),
        precision,
        minimum,
        inputs=[
            ct.ImageType("picture", (1, 3, *shape), color_layout=ct.colorlayout.RGB),
            ct.ImageType("mask", (1, 1, *shape), color_layout=ct.colorlayout.GRAYSCALE),
            ct.TensorType("strength", (1,), default_value=np.ones(1, np.float32)),
        ],
        outputs=[ct.ImageType("harmonized", color_layout=ct.colorlayout.RGB)],
    )
    return converted if size else _with_sizes_of_the_input(converted)


def decomposed(model: nn.Module, size: tuple[int, int]) -> torch.export.ExportedProgram:
    """The program that is converted: core ATen operators, one picture."""
    inputs = (torch.rand(1, 3, *size), torch.rand(1, 1, *size).round())
    with quiet(*LOGGERS):
        return torch.export.export(model.eval(), inputs).run_decompositions({})


def decomposed_pipeline(model: PlanarPipeline, size: tuple[int, int] | None) -> torch.export.ExportedProgram:
    """The program of a whole pipeline, for one size or for a range of sizes, as :func:`decomposed` makes it."""
    axes = {
        axis: torch.export.Dim(name, min=least, max=largest)
        for axis, name, least, largest in zip((2, 3), "HW", model.size, LARGEST_PICTURE, strict=True)
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


def _converted(program: torch.export.ExportedProgram, precision: Precision, minimum: Minimum, **arguments: Any) -> Any:
    try:
        with quiet(*LOGGERS):
            return ct.convert(
                program,
                convert_to="mlprogram",
                minimum_deployment_target=ct.target[minimum],
                compute_precision=_compute_precision(precision),
                skip_model_load=True,
                **arguments,
            )
    except Exception as error:  # coremltools raises ValueError, NotImplementedError, RuntimeError, KeyError ...
        raise CapabilityError(
            f"coremltools {ct.__version__} cannot convert this network ({first_line(error)})",
            "update coremltools, or choose another network",
        ) from None


def _compute_precision(precision: Precision) -> Any:
    """16 bits for convolutions and what follows them among features, as in typed FP16 ONNX files.

    Masked statistics add up tens of thousands of pixels and their squares, which half precision does not hold.
    """
    if precision == "fp32":
        return ct.precision.FLOAT32
    chosen: dict[str, bool] = {}

    def in_half(operation: Any) -> bool:
        if operation is None:
            return False
        if operation.name not in chosen:
            is_weight = operation.op_type.startswith("constexpr")
            chosen[operation.name] = (
                is_weight
                or operation.op_type in _HALF
                or (operation.op_type in _IF_ALL_HALF and all(in_half(before) for before in _producers(operation)))
            )
        return chosen[operation.name]

    return ct.transform.FP16ComputePrecision(op_selector=in_half)


def _producers(operation: Any) -> list[Any]:
    """The operations that make the tensors it reads; an input of the program counts as one that does not fit."""
    groups = [values if isinstance(values, list | tuple) else (values,) for values in operation.inputs.values()]
    read = [value for group in groups for value in group]
    made = [value.op for value in read if value is not None and value.rank > 0]
    return [before for before in made if before is None or before.op_type != "const"]


def _with_sizes_of_the_input(converted: Any) -> Any:
    """Say of the output picture what is known of the input: coremltools leaves its sizes as 1 to anything."""
    spec = converted.get_spec()
    given, made = spec.description.input[0].type.imageType, spec.description.output[0].type.imageType
    made.width, made.height = given.width, given.height
    made.imageSizeRange.CopyFrom(given.imageSizeRange)
    return ct.models.MLModel(spec, weights_dir=converted.weights_dir, skip_model_load=True)
