"""Networks to ONNX: float, or with Q/DQ pairs in either flavour; deterministic, with metadata and manifest."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import onnx
import torch
from onnx import ModelProto
from torch import Tensor, nn

import edge_harmony
from edge_harmony.errors import CapabilityError, first_line, signal_behind
from edge_harmony.export.compact import store_in_half
from edge_harmony.export.cpu_kernels import for_cpu_kernels
from edge_harmony.export.half import to_half
from edge_harmony.export.names import DEFAULT_OPSET, Flavour, onnx_name
from edge_harmony.export.opset_17 import OPSET as OLDEST_OPSET
from edge_harmony.export.opset_17 import to_opset_17
from edge_harmony.export.prepare import METADATA_KEY, OUTPUT_NAMES, describe, exportable
from edge_harmony.export.quiet import quiet
from edge_harmony.export.unsigned import to_unsigned, unshare_dequantized, unshare_zero_points
from edge_harmony.files.atomic import atomic_write, make_folder, sha256_of
from edge_harmony.files.manifest import ONNX, Manifest, write_manifest
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import read_weights
from edge_harmony.models.whole_pipeline import ProductPipeline, WholePipeline

_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")
_LARGEST = 1 << 15


def export_onnx(
    name: str,
    weights: Path | str,
    folder: Path | str,
    *,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    flavour: Flavour = "unsigned",
    size: tuple[int, int] | None = None,
    opset: int = DEFAULT_OPSET,
    dynamic_batch: bool = True,
    keep_float: Collection[str] = (),
    whole_pipeline: bool = False,
) -> Path:
    """Export a network and write it with its manifest, under the name that :func:`onnx_name` gives it.

    Args:
        name: of the network in the registry.
        weights: file of its weights.
        folder: folder for the files, created if it is missing.
        precision: ``fp16`` keeps masked statistics in 32 bits (:mod:`~edge_harmony.export.half`); ``int8`` needs
            weights with activation ranges.
        flavour: flavour of the Q/DQ pairs, for ``int8``; ``unsigned`` is for CPUs and ``signed`` for GPUs, and a whole
            pipeline has the form that is fast there at every precision.
        size: working size (height, width); None for the network's own.
        opset: of the ai.onnx domain; at least 17, the newest that TensorRT 8 reads (10.0 reads 20).
        dynamic_batch: leave the batch size open.
        keep_float: layers of an ``int8`` network that stay float, see :mod:`edge_harmony.quantization.sensitivity`.
        whole_pipeline: export the whole pipeline around the network (:mod:`~edge_harmony.models.whole_pipeline`), 8-bit
            pictures of any size in and out.

    Returns:
        The path of the model.

    Raises:
        ArtifactError: the weights do not fit or hold no ranges.
        CapabilityError: the network cannot be quantized, or the exporter fails on it.
    """
    size = size or find_model(name).size
    weights_path = Path(weights)
    loaded = read_weights(weights_path)
    model = exportable(name, loaded, precision, keep_float)
    if whole_pipeline:
        model = (ProductPipeline if flavour == "unsigned" else WholePipeline)(model, size)
        proto = trace_whole(model, opset=max(opset, DEFAULT_OPSET))
    else:
        proto = trace(model, size, opset=max(opset, DEFAULT_OPSET), dynamic_batch=dynamic_batch)
    if precision == "fp16":
        proto = to_half(proto)
    elif precision == "int8":
        proto = unshare_zero_points(proto)
        if flavour == "unsigned":
            proto = store_in_half(for_cpu_kernels(to_unsigned(proto)))
        else:
            proto = unshare_dequantized(proto)
    if opset == OLDEST_OPSET:
        proto = to_opset_17(proto)
    onnx.checker.check_model(proto, full_check=True)  # once, in the last form: no pass above checks what it returns
    description = describe(name, loaded, weights_path, str(model.output), size, precision, flavour, keep_float)
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(description, sort_keys=True)
    proto.producer_name, proto.producer_version = "edge-harmony", edge_harmony.__version__
    path = make_folder(Path(folder)) / onnx_name(
        name,
        size,
        precision,
        flavour=flavour,
        opset=opset,
        dynamic_batch=dynamic_batch,
        keep_float=keep_float,
        whole_pipeline=whole_pipeline,
    )
    atomic_write(path, proto.SerializeToString(deterministic=True))
    write_manifest(
        path,
        Manifest(
            **description,
            backend=ONNX,
            file_sha256=sha256_of(path),
            versions={"edge-harmony": edge_harmony.__version__}
            | {package: importlib.metadata.version(package) for package in ("onnx", "torch")},
        ),
    )
    return path


def trace(model: nn.Module, size: tuple[int, int], *, opset: int, dynamic_batch: bool) -> ModelProto:
    """Trace a network to ONNX, without file names, stack traces and other data that differ between machines."""
    batch = 2 if dynamic_batch else 1
    axis = {0: torch.export.Dim("N", min=1, max=4096)}
    inputs = {"composite": torch.rand(batch, 3, *size), "mask": torch.rand(batch, 1, *size).round()}
    return _trace(model, inputs, (axis, axis) if dynamic_batch else None, opset)


def trace_whole(model: WholePipeline, *, opset: int) -> ModelProto:
    """Trace a whole pipeline, for pictures of any size."""
    height, width = (
        model.size[0] + 45,
        model.size[1] + 146,
    )  # unlike any size in the network, so that no dimension becomes a constant
    axes = {
        0: torch.export.Dim("H", min=model.size[0], max=_LARGEST),
        1: torch.export.Dim("W", min=model.size[1], max=_LARGEST),
    }
    picture = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)
    inputs = {"picture": picture, "mask": picture[..., 0].clone(), "strength": torch.tensor(0.5)}
    return _trace(model, inputs, (axes, axes, None), opset)


def _trace(model: nn.Module, inputs: dict[str, Tensor], dynamic_shapes: Any, opset: int) -> ModelProto:
    try:
        with quiet(*_LOGGERS):
            program = torch.onnx.export(
                model.eval(),
                tuple(inputs.values()),
                dynamo=True,
                opset_version=opset,
                input_names=list(inputs),
                output_names=[OUTPUT_NAMES[str(model.output)]],
                dynamic_shapes=dynamic_shapes,
                verbose=False,
            )
    except Exception as error:  # the exporter raises exceptions of many types
        if ended := signal_behind(error):
            raise ended from None
        raise CapabilityError(
            f"the ONNX exporter failed on {type(model).__name__} ({first_line(error)})",
            "report it with the versions that edge-harmony doctor prints",
        ) from error
    if program is None:
        raise CapabilityError("the ONNX exporter returned nothing", "update torch and onnxscript")
    proto = program.model_proto
    _strip(proto)
    return proto


def _strip(proto: ModelProto) -> None:
    """Remove documentation, source locations and tracing metadata, which differ from machine to machine."""
    proto.doc_string = ""
    proto.graph.doc_string = ""
    del proto.metadata_props[:]
    for group in (
        proto.graph.node,
        proto.graph.input,
        proto.graph.output,
        proto.graph.value_info,
        proto.graph.initializer,
    ):
        for item in group:
            item.doc_string = ""
            del item.metadata_props[:]
    del proto.graph.metadata_props[:]
