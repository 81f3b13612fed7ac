"""ONNX files to TensorRT networks; errors of the parser name the node and its operator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_harmony.backends.tensorrt.logger import made
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError, name_some

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.logger import Log
    from edge_harmony.backends.tensorrt.options import BuildOptions


def creation_flags(tensorrt: TensorRT, options: BuildOptions) -> int:
    """Flags of ``create_network``: explicit batch up to TensorRT 10, where it is an option, and strong typing.

    Raises:
        CapabilityError: strong typing is asked for, or precision flags, and this version does not have it.
    """
    flags = 0
    if tensorrt.has("NetworkDefinitionCreationFlag.EXPLICIT_BATCH"):
        flags |= 1 << int(tensorrt.get("NetworkDefinitionCreationFlag.EXPLICIT_BATCH"))
    if is_strong(tensorrt, options) and tensorrt.weak:
        flag = tensorrt.get("NetworkDefinitionCreationFlag.STRONGLY_TYPED", "--stronglyTyped")
        flags |= 1 << int(flag)
    return flags


def is_strong(tensorrt: TensorRT, options: BuildOptions) -> bool:
    """Whether the types of the file rule: by choice in TensorRT 10, always in 11 and TensorRT for RTX, never before.

    Never on a DLA core before TensorRT 11 either.

    Raises:
        CapabilityError: the options ask for what this version cannot.
    """
    if not tensorrt.weak:
        if options.is_weak:
            tensorrt.get("BuilderFlag.FP16", options.weak_flag)
        if options.strongly_typed is False:
            tensorrt.get("BuilderFlag.FP16", "weak typing")
        return True
    if options.dla_core is not None:
        if options.strongly_typed:
            raise CapabilityError(
                f"a DLA core takes no strongly typed network in {tensorrt}", "leave --stronglyTyped or --useDLACore out"
            )
        return False
    if options.strongly_typed:
        tensorrt.get("NetworkDefinitionCreationFlag.STRONGLY_TYPED", "--stronglyTyped")
        return True
    can = tensorrt.has("NetworkDefinitionCreationFlag.STRONGLY_TYPED")
    return can and options.strongly_typed is None and not options.is_weak


def parse(tensorrt: TensorRT, network: trt.INetworkDefinition, path: Path, log: Log) -> None:
    """Read an ONNX file into an empty network; TensorRT before 10 gets it with the operators of opset 17.

    Raises:
        UsageError: there is no such file.
        ArtifactError: TensorRT does not take it; the message has all errors, with the nodes' names.
        CapabilityError: this TensorRT wants opset 17, and the file cannot be written so.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "check the path")
    since = log.count
    parser: trt.OnnxParser = made(tensorrt, "a parser", log, lambda: tensorrt.get("OnnxParser")(network, log.logger))
    if parser.parse(_in_opset_17(path)) if is_before_10(tensorrt) else parser.parse_from_file(str(path)):
        return
    errors = [describe(tensorrt, parser.get_error(k)) for k in range(parser.num_errors)]
    said = name_some(errors) if errors else log.reason(since)
    raise ArtifactError(
        f"{tensorrt} does not take {path}: {said}", f"edge-harmony check {path} --target tensorrt says what to change"
    )


def is_before_10(tensorrt: TensorRT) -> bool:
    """Whether this is TensorRT 8.6, whose parser ignores the axes of opset 18 (TensorRT for RTX counts from 1)."""
    return tensorrt.version < (10,) and not tensorrt.is_rtx


def _in_opset_17(path: Path) -> bytes:
    import onnx

    from edge_harmony.export.opset_17 import to_opset_17

    return to_opset_17(onnx.load(path)).SerializeToString()


def describe(tensorrt: TensorRT, error: trt.ParserError) -> str:
    """One parser error: the node, its operator and the parser's description."""
    description = " ".join(str(error.desc()).split())
    if tensorrt.has("ParserError.node_name"):
        name = tensorrt.member(error, "ParserError.node_name")()
        return f"{name} ({tensorrt.member(error, 'ParserError.node_operator')()}): {description}"
    return f"node {error.node()}: {description}"


def kinds_of(tensorrt: TensorRT, network: trt.INetworkDefinition) -> set[str]:
    """The precisions in the file besides FP32: ``int8`` if it has Q/DQ pairs, ``fp16`` if it has FP16 tensors."""
    quantize, half = tensorrt.get("LayerType.QUANTIZE"), tensorrt.get("DataType.HALF")
    kinds = set()
    for k in range(network.num_layers):
        layer: trt.ILayer = network.get_layer(k)
        if layer.type == quantize:
            kinds.add("int8")
        for j in range(layer.num_outputs):
            tensor: trt.ITensor = layer.get_output(j)
            if tensor.dtype == half:
                kinds.add("fp16")
    return kinds


def check_inputs(network: trt.INetworkDefinition, options: BuildOptions) -> None:
    """Check that the optimization profile fits the network's inputs.

    Raises:
        UsageError: an input with open sizes has no shapes, or shapes are given for no input or do not fit theirs.
        CapabilityError: a DLA core was asked for and sizes are open: DLA takes fixed ones.
    """
    inputs = {}
    for k in range(network.num_inputs):
        tensor: trt.ITensor = network.get_input(k)
        inputs[tensor.name] = tuple(tensor.shape)
    shapes = options.profile.best if options.profile else {}
    unknown = sorted(shapes.keys() - inputs.keys())
    if unknown:
        raise UsageError(f"the network has no input {unknown[0]!r}", f"its inputs are {', '.join(inputs)}")
    for name, shape in inputs.items():
        is_open = -1 in shape
        if is_open and name not in shapes:
            example = ",".join(f"{n}:{'x'.join(str(max(s, 1)) for s in sizes)}" for n, sizes in inputs.items())
            raise UsageError(f"the input {name} has open sizes {shape}", f"pass --shapes {example}")
        if is_open and options.dla_core is not None and _is_range(options, name):
            raise CapabilityError(
                f"a DLA core takes fixed sizes, and {name} has a range", "pass --shapes, or no --useDLACore"
            )
        given = shapes.get(name)
        if given is not None and (
            len(given) != len(shape) or any(mine not in (-1, its) for mine, its in zip(shape, given, strict=True))
        ):
            raise UsageError(f"the shape {given} does not fit the input {name} {shape}", "change it, or the file")


def _is_range(options: BuildOptions, name: str) -> bool:
    profile = options.profile
    return profile is not None and profile.least[name] != profile.largest[name]
