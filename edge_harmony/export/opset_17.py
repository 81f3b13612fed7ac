"""Opset 18 and newer to 17, for TensorRT 8: reductions get their axes as an attribute, splits count their outputs.

Since opset 18 the axes of ReduceMean, ReduceMax and others are an input. The parser of TensorRT before 10 ignores that
input and reduces over all axes, in silence (https://github.com/NVIDIA/TensorRT/issues/3467).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from edge_harmony.errors import CapabilityError, first_line

OPSET = 17
_IR_VERSION = 8  # of onnx 1.12, the first release with opset 17
_REDUCTIONS = frozenset(
    f"Reduce{kind}" for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)
"""ReduceSum has had an input since opset 13, which TensorRT 8 reads."""


def to_opset_17(model: ModelProto) -> ModelProto:
    """Write a graph with the operators of opset 17; the argument is left alone, and returned if it is old enough.

    Raises:
        CapabilityError: an operator, or what it is asked for, is newer.
    """
    version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if version <= OPSET:
        return model
    result = ModelProto()
    result.CopyFrom(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in result.graph.initializer}
    for node in result.graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        if node.op_type in _REDUCTIONS and len(node.input) > 1:
            _move_axes(node, constants)
        if node.op_type == "Split":  # into equal parts, as many as there are outputs: all that opset 17 knows
            _drop(node, "num_outputs")
        _drop_defaults(node, version)
    for entry in result.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = OPSET
    result.ir_version = min(result.ir_version, _IR_VERSION)
    try:
        onnx.checker.check_model(result)
    except onnx.checker.ValidationError as error:
        raise CapabilityError(
            f"the file cannot be written for opset {OPSET}, the newest that TensorRT 8 reads ({first_line(error)})",
            "use JetPack 6.1 (TensorRT 10.3) or newer",
        ) from None
    return result


def _move_axes(node: NodeProto, constants: dict[str, np.ndarray]) -> None:
    axes = constants.get(node.input[1]) if node.input[1] else np.zeros(0, np.int64)
    empty_is_none = any(a.name == "noop_with_empty_axes" and a.i for a in node.attribute)
    if axes is None or (axes.size == 0 and empty_is_none):
        raise CapabilityError(
            f"the axes of {node.name or node.op_type} are not fixed, as opset {OPSET} wants them",
            "use JetPack 6.1 (TensorRT 10.3) or newer",
        )
    del node.input[1:]
    _drop(node, "noop_with_empty_axes")
    if axes.size:
        node.attribute.append(helper.make_attribute("axes", [int(axis) for axis in axes.ravel()]))


def _drop_defaults(node: NodeProto, version: int) -> None:
    """Leave out attributes that opset 17 does not know and that have their default value, which is what it does."""
    try:
        older = onnx.defs.get_schema(node.op_type, OPSET, node.domain).attributes
        newer = onnx.defs.get_schema(node.op_type, version, node.domain).attributes
    except onnx.defs.SchemaError:  # an operator that one of them lacks; the checker says which
        return
    for attribute in list(node.attribute):
        known = newer.get(attribute.name)
        if attribute.name not in older and known is not None and known.default_value == attribute:
            _drop(node, attribute.name)


def _drop(node: NodeProto, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
