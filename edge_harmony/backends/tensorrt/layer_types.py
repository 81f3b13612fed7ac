"""Types that are asked for by name: of single layers, and of the tensors at the edge of the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edge_harmony.backends.tensorrt.network import is_strong
from edge_harmony.errors import UsageError

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.options import BuildOptions

_TYPES = {
    "fp32": "DataType.FLOAT",
    "fp16": "DataType.HALF",
    "bf16": "DataType.BF16",
    "int32": "DataType.INT32",
    "int8": "DataType.INT8",
    "uint8": "DataType.UINT8",
    "bool": "DataType.BOOL",
}
_FORMATS = {
    "chw": "TensorFormat.LINEAR",
    "chw2": "TensorFormat.CHW2",
    "chw4": "TensorFormat.CHW4",
    "chw16": "TensorFormat.CHW16",
    "chw32": "TensorFormat.CHW32",
    "hwc": "TensorFormat.HWC",
    "hwc8": "TensorFormat.HWC8",
    "hwc16": "TensorFormat.HWC16",
    "dhwc": "TensorFormat.DHWC",
    "dhwc8": "TensorFormat.DHWC8",
    "cdhw32": "TensorFormat.CDHW32",
    "dla_linear": "TensorFormat.DLA_LINEAR",
    "dla_hwc4": "TensorFormat.DLA_HWC4",
}
_CONSTRAINTS = {
    "obey": "BuilderFlag.OBEY_PRECISION_CONSTRAINTS",
    "prefer": "BuilderFlag.PREFER_PRECISION_CONSTRAINTS",
}


def set_layer_types(
    tensorrt: TensorRT, network: trt.INetworkDefinition, config: trt.IBuilderConfig, options: BuildOptions
) -> None:
    """Give layers the precisions and output types that the options name.

    A name with a ``*`` passes over layers that compute integers or shapes, which have no choice, as in trtexec.

    Raises:
        CapabilityError: this version lacks layer precisions, or the type.
        UsageError: a name matches no layer, or the number of types is not that of a layer's outputs.
    """
    if options.precision_constraints == "none":
        return
    config.set_flag(tensorrt.get(_CONSTRAINTS[options.precision_constraints], "--precisionConstraints"))
    layers = [network.get_layer(k) for k in range(network.num_layers)]
    for name, kind in options.layer_precisions.items():
        chosen = tensorrt.get(_TYPES[kind], f"--layerPrecisions={name}:{kind}")
        for layer in _matching(tensorrt, layers, name, "--layerPrecisions"):
            tensorrt.assign(layer, "ILayer.precision", chosen, "--layerPrecisions")
    for name, kinds in options.layer_output_types.items():
        types = [tensorrt.get(_TYPES[kind], f"--layerOutputTypes={name}:{kind}") for kind in kinds]
        for layer in _matching(tensorrt, layers, name, "--layerOutputTypes"):
            if len(types) not in (1, layer.num_outputs):
                raise UsageError(
                    f"--layerOutputTypes has {len(types)} types for {name}, which has {layer.num_outputs} outputs",
                    "write one type, or one for each output",
                )
            for k in range(layer.num_outputs):
                tensorrt.member(layer, "ILayer.set_output_type")(k, types[k if len(types) > 1 else 0])


def _matching(tensorrt: TensorRT, layers: list[Any], name: str, option: str) -> list[Any]:
    """The layers of a name; with a ``*`` in it those with a choice of types."""
    pattern = re.compile(".*".join(map(re.escape, name.split("*"))))
    found = [layer for layer in layers if pattern.fullmatch(layer.name)]
    if not found:
        raise UsageError(
            f"{option} names {name}, and there is no such layer", "--dumpLayerInfo lists the layers' names"
        )
    return [layer for layer in found if layer.name == name or _has_choice(tensorrt, layer)]


def _has_choice(tensorrt: TensorRT, layer: trt.ILayer) -> bool:
    floats = [tensorrt.get(_TYPES[kind]) for kind in ("fp32", "fp16")]
    outputs: list[trt.ITensor] = [layer.get_output(k) for k in range(layer.num_outputs)]
    return all(tensor.dtype in floats and not tensor.is_shape_tensor for tensor in outputs)


def set_io_formats(tensorrt: TensorRT, network: trt.INetworkDefinition, options: BuildOptions) -> None:
    """Give the network's inputs and outputs the types and formats that the options name.

    Raises:
        UsageError: a word is unknown, there are too few or too many, or a type is not that of a typed file.
    """
    strong = is_strong(tensorrt, options)
    if options.input_formats:
        tensors = [network.get_input(k) for k in range(network.num_inputs)]
        _set_formats(tensorrt, tensors, options.input_formats, "--inputIOFormats", strong=strong)
    if options.output_formats:
        tensors = [network.get_output(k) for k in range(network.num_outputs)]
        _set_formats(tensorrt, tensors, options.output_formats, "--outputIOFormats", strong=strong)


def _set_formats(tensorrt: TensorRT, tensors: list[Any], asked: tuple[str, ...], option: str, *, strong: bool) -> None:
    if len(asked) not in (1, len(tensors)):
        names = ", ".join(tensor.name for tensor in tensors)
        raise UsageError(f"{option} has {len(asked)} formats for {names}", "write one, or one for each")
    for k, tensor in enumerate(tensors):
        _set_format(tensorrt, tensor, asked[k if len(asked) > 1 else 0], option, strong=strong)


def _set_format(tensorrt: TensorRT, tensor: trt.ITensor, text: str, option: str, *, strong: bool) -> None:
    kind, _, formats = text.partition(":")
    words = formats.split("+")
    if kind not in _TYPES or any(word not in _FORMATS for word in words):
        raise UsageError(f"{option} cannot be read at {text!r}", f"write TYPE:FORMAT, with {', '.join(_FORMATS)}")
    dtype = tensorrt.get(_TYPES[kind], f"{option}={text}")
    if strong and tensor.dtype != dtype:
        raise UsageError(
            f"{option} asks for {kind}, and {tensor.name} is {tensor.dtype.name} in the file, whose types rule",
            "name the file's type, or export the file in another precision",
        )
    tensor.dtype = dtype
    mask = 0
    for word in words:
        mask |= 1 << int(tensorrt.get(_FORMATS[word]))
    tensor.allowed_formats = mask
