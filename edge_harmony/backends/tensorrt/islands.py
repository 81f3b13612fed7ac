"""Float islands in weak mode: what must stay in FP32 where flags allow FP16.

In weak mode a flag allows FP16 for every layer, also for those that the file computes in FP32 on purpose: sums over
masked pictures leave the range of half precision (65,504) and squares of them leave its resolution. The choice is that
of :mod:`edge_harmony.export.half`, made on TensorRT's layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT

_FEATURES = (
    "LayerType.CONVOLUTION",
    "LayerType.DECONVOLUTION",
    "LayerType.QUANTIZE",
    "LayerType.DEQUANTIZE",
)
_AFTER_FEATURES = (
    "LayerType.ACTIVATION",
    "LayerType.POOLING",
    "LayerType.RESIZE",
    "LayerType.SHUFFLE",
    "LayerType.SLICE",
    "LayerType.CAST",
    "LayerType.IDENTITY",
)
_IF_ALL_FEATURES = (
    "LayerType.CONCATENATION",
    "LayerType.ELEMENTWISE",
)
_NO_ARITHMETIC = (
    "LayerType.CONSTANT",
    "LayerType.SHAPE",
    "LayerType.SHUFFLE",
    "LayerType.SLICE",
    "LayerType.CAST",
    "LayerType.IDENTITY",
    "LayerType.GATHER",
    "LayerType.CONCATENATION",
    "LayerType.QUANTIZE",
    "LayerType.DEQUANTIZE",
)


def keep_islands_in_float(
    tensorrt: TensorRT, network: trt.INetworkDefinition, config: trt.IBuilderConfig, *, required: bool = True
) -> None:
    """Pin layers to FP32 that compute on anything but features.

    Features are what convolutions give, and what activations, poolings, resizes, sums and concatenations make of them.
    Layers whose results the file types as FP16 are left alone.

    Args:
        tensorrt: of weak mode.
        network: parsed.
        config: gets OBEY_PRECISION_CONSTRAINTS if there is such a layer.
        required: set that flag; False where precisions of layers are preferences by the user's choice.
    """
    single: Any = tensorrt.get("DataType.FLOAT")
    features: set[str] = set()
    pinned = False
    for k in range(network.num_layers):
        layer: trt.ILayer = network.get_layer(k)
        results = [layer.get_output(j) for j in range(layer.num_outputs)]
        if _gives_features(tensorrt, layer, features):
            features.update(result.name for result in results)
        elif not _is(tensorrt, layer, _NO_ARITHMETIC) and all(
            result.dtype == single and not result.is_shape_tensor for result in results
        ):
            tensorrt.assign(layer, "ILayer.precision", single)
            for j in range(len(results)):
                tensorrt.member(layer, "ILayer.set_output_type")(j, single)
            pinned = True
    if pinned and required:
        config.set_flag(tensorrt.get("BuilderFlag.OBEY_PRECISION_CONSTRAINTS"))


def _gives_features(tensorrt: TensorRT, layer: trt.ILayer, features: set[str]) -> bool:
    inputs = [layer.get_input(j) for j in range(layer.num_inputs)]
    known = [tensor is not None and tensor.name in features for tensor in inputs]
    if _is(tensorrt, layer, _FEATURES):
        return True
    if _is(tensorrt, layer, _AFTER_FEATURES):
        return known[:1] == [True]
    if _is(tensorrt, layer, _IF_ALL_FEATURES):
        return all(known) and _adds(tensorrt, layer)
    return False


def _adds(tensorrt: TensorRT, layer: Any) -> bool:
    """Whether a layer joins or adds; products of features are no features."""
    if not _is(tensorrt, layer, ("LayerType.ELEMENTWISE",)):
        return True
    layer.__class__ = tensorrt.get("IElementWiseLayer")  # the bindings give layers as their base class
    return bool(layer.op == tensorrt.get("ElementWiseOperation.SUM"))


def _is(tensorrt: TensorRT, layer: Any, kinds: tuple[str, ...]) -> bool:
    return any(layer.type == tensorrt.get(kind) for kind in kinds)
