"""Networks prepared for any exporter, and the description that is stored in exported files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import nn

from edge_harmony.errors import ArtifactError, CapabilityError, UsageError
from edge_harmony.export.names import Flavour
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.manifest import WHOLE_PIPELINE, IOSpec
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import Weights, read_header, read_weights, restore
from edge_harmony.models.whole_pipeline import check_grid
from edge_harmony.quantization.fake_quant import ActivationQuantizer, QuantizedConv2d, QuantizedConvTranspose2d
from edge_harmony.quantization.prepare import load_ranges, prepare_qat

OUTPUT_NAMES = {
    WHOLE_PIPELINE: "harmonized",
    "rgb": "harmonized",
    "difference": "difference",
    "gain": "transform",
    "affine": "transform",
}
METADATA_KEY = "edge_harmony"


def describe(
    name: str,
    weights: Weights,
    weights_path: Path,
    output: str,
    size: tuple[int, int],
    precision: str,
    flavour: Flavour,
    keep_float: Collection[str],
) -> dict[str, Any]:
    """The description that goes into an exported file and its manifest.

    ``output`` is the output of the network, or ``picture`` for a whole pipeline. Returns fields of
    :class:`~edge_harmony.files.manifest.Manifest`.
    """
    own: dict[str, Any] = {"layout": "HWC", "value_range": (0.0, 255.0)} if output == WHOLE_PIPELINE else {}
    spec = IOSpec(height=size[0], width=size[1], output=output, **own)  # type: ignore[arg-type]
    return {
        "model": name,
        "precision": precision,
        "flavour": flavour if precision == "int8" else None,
        "io": spec.model_dump(mode="json"),
        "weights_sha256": sha256_of(weights_path),
        "recipe_sha256": weights.recipe_sha256,
        "float_layers": sorted(keep_float),
    }


def check_exportable(
    name: str, weights_path: Path, precision: str, keep_float: Collection[str], *, whole_pipeline: bool
) -> None:
    """Raise the error that an export of these weights would end in, much sooner than the export.

    The network is built only where the header of the file leaves a doubt.

    Raises:
        ArtifactError: the weights are damaged, do not fit or hold no ranges.
        CapabilityError: the network cannot be quantized or has no whole pipeline.
        UsageError: there are no such weights, or layers to keep in float that the network does not have.
    """
    entry = find_model(name)
    if whole_pipeline:
        check_grid(entry.output)
    header = read_header(weights_path)
    ready = bool(header.ranges) or precision != "int8"
    if keep_float or not ready or not entry.takes_weights_of(header.model):
        exportable(name, read_weights(weights_path), precision, keep_float)


def exportable(name: str, weights: Weights, precision: str, keep_float: Collection[str] = ()) -> nn.Module:
    """A network ready to be traced, norms folded: float, or with weights as integer levels and separate Q and DQ."""
    model = restore(name, weights)
    if keep_float and precision != "int8":
        raise UsageError(f"{precision} has no layers to keep in float", "export int8, or leave --keep-float out")
    if precision in ("fp32", "fp16"):
        return fold_norms(model)
    if precision != "int8":
        raise CapabilityError(f"ONNX export does not write {precision}", "use fp32, fp16 or int8")
    if not weights.ranges:
        prepare_qat(fold_norms(model))  # raises the more precise error if the network cannot be quantized at all
        raise ArtifactError(
            f"these weights of {name} have no activation ranges", "train a quantized stage, or use fp32"
        )
    load_ranges(prepare_qat(model, keep_float), weights.ranges)
    for module in model.modules():
        if isinstance(module, ActivationQuantizer):
            module.export_scale = float(module.scale)
        elif isinstance(module, QuantizedConv2d | QuantizedConvTranspose2d):
            module.freeze_for_export()
    return model
