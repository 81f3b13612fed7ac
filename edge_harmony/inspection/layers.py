"""The arithmetic of each layer on a runtime (integer, half or float), and the rule that decides it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onnx import NodeProto, TensorProto

from edge_harmony.inspection.findings import Arithmetic, LayerReport
from edge_harmony.inspection.graph import BOOKKEEPING, CONVERTERS, Graph

_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_ACTIVATIONS = {"Relu", "LeakyRelu", "Clip", "PRelu", "HardSwish", "Sigmoid", "Tanh"}
_STRUCTURAL = {"Resize", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Mul"}
_ISLAND = "island {}"
_LAYERS = _WEIGHTED | _STRUCTURAL


@dataclass(frozen=True)
class LayerRules:
    """Operators that a runtime computes in integers.

    Attributes:
        name: name of the runtime in reports.
        integer: operators with integer kernels.
        fused: activations that the runtime fuses into the integer layer before them.
        needs_output: whether a layer is integer only if its result is quantized too.
    """

    name: str
    integer: frozenset[str]
    fused: frozenset[str]
    needs_output: bool


def report_layers(graph: Graph, rules: LayerRules) -> list[LayerReport]:
    """All layers in the graph's order, and the float islands between them."""
    rows: list[tuple[int, LayerReport]] = []
    position = {node.name: k for k, node in enumerate(graph.nodes)}
    islands = list(_islands(graph))
    in_island = {node.name for island in islands for node in island}
    for node in graph.nodes:
        if node.op_type in _LAYERS and node.name not in in_island:
            rows.append((position[node.name], _layer(graph, rules, node)))
    for number, island in enumerate(islands, 1):
        kinds = sorted({node.op_type for node in island})
        shown = ", ".join(kinds[:6]) + (", ..." if len(kinds) > 6 else "")
        reason = f"{len(island)} operators of masked statistics and what is computed from them"
        rows.append((position[island[0].name], LayerReport(_ISLAND.format(number), shown, "float", reason)))
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def _layer(graph: Graph, rules: LayerRules, node: NodeProto) -> LayerReport:
    end, kind = _with_activation(graph, node, rules)
    reason = _why_not_integer(graph, rules, node, end)
    precision: Arithmetic = "int8"
    if reason:
        half = graph.types.get(node.output[0]) == TensorProto.FLOAT16
        precision = "fp16" if half else "float"
        if half and not _touches_quantization(graph, node):
            reason = "typed in 16 bits"
    return LayerReport(node.name, kind, precision, reason)


def _with_activation(graph: Graph, node: NodeProto, rules: LayerRules) -> tuple[str, str]:
    """The tensor after a layer and its fused activation, if it has one; and the names of the operators."""
    readers = graph.consumers.get(node.output[0], [])
    if node.op_type in _WEIGHTED | {"Add"} and len(readers) == 1 and readers[0].op_type in _ACTIVATIONS:
        joined = readers[0]
        if joined.op_type in rules.fused:
            return joined.output[0], f"{node.op_type} + {joined.op_type}"
    return node.output[0], node.op_type


def _touches_quantization(graph: Graph, node: NodeProto) -> bool:
    return any(graph.is_quantized(name) for name in node.input)


def _why_not_integer(graph: Graph, rules: LayerRules, node: NodeProto, end: str) -> str:
    """The first rule that keeps a layer out of integer arithmetic; empty if none does."""
    weighted = node.op_type in _WEIGHTED
    data = [name for name in node.input[: 1 if weighted or node.op_type == "Resize" else None] if name]
    if not any(node.op_type == "QuantizeLinear" for node in graph.nodes):
        return "the file is not quantized"
    if node.op_type not in rules.integer:
        return f"{rules.name} has no integer kernel for {node.op_type}"
    open_inputs = [name for name in data if not graph.is_quantized(name)]
    if open_inputs:
        source = graph.source(open_inputs[0])
        made = f"comes from {source.op_type} in float" if source is not None else "is an input of the network"
        return f"its input is not quantized: {open_inputs[0]} {made}"
    if weighted and not (len(node.input) > 1 and graph.is_quantized(node.input[1])):
        return "its weights are not quantized"
    if rules.needs_output and not graph.is_requantized(end):
        readers = [reader for reader in graph.consumers.get(end, []) if reader.op_type != "QuantizeLinear"]
        if not readers and end in {output.name for output in graph.model.graph.output}:
            return "its result is the network's output, in float"
        if readers and readers[0].op_type in _ACTIVATIONS - rules.fused:
            return f"{readers[0].op_type} after it does not join an integer layer; quantize before and after it"
        return f"its result is read in float by {readers[0].op_type}" if readers else "its result is not quantized"
    return ""


def _islands(graph: Graph) -> Iterator[list[NodeProto]]:
    """Groups of connected operators that are not layers: masked statistics and the computations on them."""
    layers_in_features = {
        node.name
        for node in graph.nodes
        if node.op_type in {"Conv", "ConvTranspose", "Resize", "MaxPool"}
        or (node.op_type == "Concat" and _joins_features(graph, node))
        or (node.op_type in _STRUCTURAL and _touches_quantization(graph, node) and graph.is_requantized(node.output[0]))
        or (node.op_type == "Add" and _joins_features(graph, node))
    }
    fused = {
        reader.name
        for node in graph.nodes
        if node.name in layers_in_features
        for reader in graph.consumers.get(node.output[0], [])
        if reader.op_type in _ACTIVATIONS
    }
    members = {
        node.name: node
        for node in graph.nodes
        if node.name not in layers_in_features | fused
        and node.op_type not in CONVERTERS | BOOKKEEPING
        and graph.types.get(node.output[0]) != TensorProto.INT64  # sizes, not features
    }
    seen: set[str] = set()
    for node in graph.nodes:
        if node.name in seen or node.name not in members:
            continue
        group, waiting = {node.name}, [node]
        while waiting:
            for other in _neighbours(graph, waiting.pop()):
                if other.name in members and other.name not in group:
                    group.add(other.name)
                    waiting.append(other)
        seen |= group
        yield [item for item in graph.nodes if item.name in group]


def _joins_features(graph: Graph, node: NodeProto) -> bool:
    """Whether all inputs of a sum or concatenation are features: results of convolutions, resizes or concatenations."""
    sources = [graph.source(name) for name in node.input]
    kinds = {"Conv", "Resize", "Relu", "LeakyRelu", "ConvTranspose", "Concat"}
    return all(source is not None and source.op_type in kinds for source in sources)


def _neighbours(graph: Graph, node: NodeProto) -> Iterator[NodeProto]:
    """The nodes before and after a node; bookkeeping and casts in between are skipped."""
    waiting = [(name, True) for name in node.input] + [(name, False) for name in node.output]
    seen: set[tuple[str, bool]] = set()
    while waiting:
        name, upwards = waiting.pop()
        if (name, upwards) in seen or name in graph.constants:
            continue
        seen.add((name, upwards))
        made = graph.producer.get(name)
        found = ([made] if made is not None else []) if upwards else graph.consumers.get(name, [])
        for other in found:
            if other.op_type in BOOKKEEPING | {"Cast"}:
                waiting += [(n, True) for n in other.input] if upwards else [(n, False) for n in other.output]
            else:
                yield other


def float_islands(graph: Graph) -> dict[str, list[str]]:
    """The names of the operators in every float island, by the name that :func:`report_layers` gives it."""
    islands = enumerate(_islands(graph), 1)
    return {_ISLAND.format(number): [node.name for node in island] for number, island in islands}


def broken_chains(graph: Graph) -> list[str]:
    """Places where a tensor leaves 8 bits for float operators and returns; expect reformats there."""
    members = {node.name for island in _islands(graph) for node in island}
    places = []
    for node in graph.nodes:
        if node.op_type != "DequantizeLinear" or node.input[0] in graph.constants:
            continue
        readers = {other.op_type for other in _neighbours(graph, node) if other.name in members}
        if readers:
            source = graph.source(node.input[0])
            after = source.name if source is not None else "the input"
            places.append(f"after {after}: read in float by {', '.join(sorted(readers))}")
    return list(dict.fromkeys(places))
