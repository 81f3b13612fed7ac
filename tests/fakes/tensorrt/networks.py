"""Networks, their layers and tensors, and the parser that makes them of ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from tests.fakes.tensorrt.voice import Voice
from tests.fakes.tensorrt.world import World


def network_classes(trt: Any, world: World, voice: Voice) -> dict[str, type]:
    """Behaviour, written against all versions at once; ``trt`` is the module that the classes will be in."""

    class ITensor:
        is_shape_tensor = False

        def __init__(self, name: str, shape: tuple[int, ...]) -> None:
            self.name, self.shape = name, shape
            self.dtype = trt.DataType.HALF if world.halves else trt.DataType.FLOAT

    class ILayer:
        num_outputs = 1
        precision = None

        def __init__(self, kind: str, inputs: tuple[str, ...], result: str) -> None:
            kind, _, self._operation = kind.partition(":")
            self.name, self.type = f"{kind} to {result}", trt.LayerType[kind]
            self.num_inputs, self._inputs, self._result = len(inputs), inputs, result

        def get_input(self, index: int) -> Any:
            return ITensor(self._inputs[index], (1,))

        def get_output(self, index: int) -> Any:
            return ITensor(self._result, (1,))

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "precision":
                world.configs[-1].setdefault("precisions", {})[self._result] = [value.name]
            object.__setattr__(self, name, value)

        def set_output_type(self, index: int, kind: Any) -> None:
            world.configs[-1].setdefault("precisions", {}).setdefault(self._result, []).append(kind.name)

    class IElementWiseLayer(ILayer):
        @property
        def op(self) -> Any:
            return trt.ElementWiseOperation[self._operation]

    class INetworkDefinition:
        num_inputs = 2
        num_outputs = 1

        def __init__(self) -> None:
            single = ("QUANTIZE" if world.quantized else "CONVOLUTION", (world.names[0],), "y")
            self._layers = [ILayer(*layer) for layer in world.layers or (single,)]
            self.num_layers = len(self._layers)

        def get_output(self, index: int) -> Any:
            return ITensor("transform", (1, 3, 4, 4))

        def get_layer(self, index: int) -> Any:
            return self._layers[index]

        def get_input(self, index: int) -> Any:
            batch = -1 if world.open_batch else 1
            return ITensor(world.names[index], (batch, 3 if index == 0 else 1, *world.sides))

    class ParserError:
        def desc(self) -> str:
            return "Unsupported\noperator"

        def node(self) -> int:
            return 7

        def node_name(self) -> str:
            return "encoder/conv"

        def node_operator(self) -> str:
            return "Frob"

    class OnnxParser:
        num_errors = 1

        def __init__(self, network: Any, logger: Any) -> None:
            voice.register(logger)
            voice.constructed("OnnxParser")

        def parse_from_file(self, path: str) -> bool:
            return self.parse(Path(path).read_bytes())

        def parse(self, content: bytes) -> bool:
            model = onnx.load_from_string(content)
            world.parsed.append(model.opset_import[0].version)
            if trt.__version__.startswith("8."):
                ignored = [n.name for n in model.graph.node if n.op_type == "ReduceMean" and len(n.input) > 1]
                assert not ignored, f"{ignored} reduce over all axes, in silence"
            return "parse" not in world.fails

        def get_error(self, index: int) -> Any:
            return ParserError()

    return {
        kind.__name__: kind
        for kind in (ITensor, ILayer, IElementWiseLayer, INetworkDefinition, ParserError, OnnxParser)
    }
