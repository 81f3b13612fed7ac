"""The runtime: engines and their contexts, caches of kernels, and weights that are put in afterwards."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.fakes.tensorrt.voice import Severity, Voice
from tests.fakes.tensorrt.world import World


def runtime_classes(trt: Any, world: World, voice: Voice) -> dict[str, type]:
    """Behaviour, written against all versions at once; ``trt`` is the module that the classes will be in."""

    class Runtime:
        def __init__(self, logger: Any) -> None:
            voice.register(logger)
            voice.constructed("Runtime")
            world.runtimes.append(self)

        def load_runtime(self, path: str) -> Any:
            if "load_runtime" in world.fails:
                voice.complain(world.fails["load_runtime"])
                return None
            found = Runtime(voice.logger())
            found.library = path
            return found

        def deserialize_cuda_engine(self, content: bytes) -> Any:
            world.cuda.check_current("deserialize_cuda_engine")
            if content[:4] == b"ftrt":
                content = content[28:]
            try:
                facts = json.loads(content)
            except ValueError:
                facts, wrong = {}, world.fails.get("deserialize", "the plan is corrupt")
            else:
                wrong = ""
            if facts.get("version", trt.__version__) != trt.__version__:
                wrong = "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed"
            if facts.get("sm", world.cuda.model.sm) != world.cuda.model.sm:
                wrong = "The engine plan file is generated on an incompatible device"
            if wrong:
                voice.complain(wrong)
                voice.say(Severity.ERROR, "Error Code 4: Internal Error (Engine deserialization failed.)")
                return None
            return ICudaEngine(facts)

    class EngineInspector:
        def get_engine_information(self, kind: Any) -> str:
            if kind.name == "ONELINE":
                return "conv, Int8"
            return json.dumps({"Layers": [{"Name": "conv", "Outputs": [{"Format/Datatype": "Int8 NCHW"}]}]})

    class ICudaEngine:
        """Adds composite and mask: ``(N, 3, 4, 4)`` and ``(N, 1, 4, 4)`` to ``(N, 3, 4, 4)``."""

        num_io_tensors = 3
        device_memory_size = 1024
        device_memory_size_v2 = 2048

        def __init__(self, facts: dict[str, Any]) -> None:
            self._stripped = facts["stripped"]

        def __del__(self) -> None:
            world.strays += not world.cuda.is_current

        def create_runtime_config(self) -> Any:
            return IRuntimeConfig()

        def create_execution_context(self, config: Any = None) -> Any:
            world.cuda.check_current("create_execution_context")
            if "context" in world.fails:
                voice.complain(world.fails["context"])
                return None
            return IExecutionContext(self, config)

        def get_tensor_format(self, name: str) -> Any:
            return trt.TensorFormat.CHW32 if name in world.packed else trt.TensorFormat.LINEAR

        def get_tensor_vectorized_dim(self, name: str) -> int:
            return 1 if name in world.packed else -1

        def get_tensor_components_per_element(self, name: str) -> int:
            return 32 if name in world.packed else 1

        def create_engine_inspector(self) -> Any:
            return EngineInspector()

        def get_tensor_name(self, index: int) -> str:
            return (*world.names, "transform")[index]

        def get_tensor_mode(self, name: str) -> Any:
            return trt.TensorIOMode.INPUT if name in world.names else trt.TensorIOMode.OUTPUT

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return (-1 if world.open_batch else 1, 1 if name == world.names[1] else 3, 4, 4)

        def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
            rest = self.get_tensor_shape(name)[1:]
            return [(1, *rest), (2, *rest), (4, *rest)] if world.open_batch else [(1, *rest)] * 3

        def get_tensor_dtype(self, name: str) -> Any:
            return trt.DataType.HALF if world.halves else trt.DataType.FLOAT

    class IRuntimeCache:
        def __init__(self) -> None:
            self._kernels = b""

        def deserialize(self, content: bytes) -> bool:
            if not content.endswith(b"."):
                return False
            self._kernels = content
            return True

        def serialize(self) -> bytes:
            return self._kernels

    class IRuntimeConfig:
        def create_runtime_cache(self) -> Any:
            return IRuntimeCache()

        def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
            self.strategy = strategy

        def set_runtime_cache(self, cache: Any) -> bool:
            self._cache = cache
            return True

    class IExecutionContext:
        profiler = None

        def __init__(self, engine: Any, config: Any) -> None:
            self._engine, self._config = engine, config
            self._addresses: dict[str, int] = {}
            self._batch = -1 if world.open_batch else 1
            self._ready = 0  # batch that the last enqueue outside of a capture set the context up for
            self._scratch, self._scratch_address = 0, 0

        @property
        def _is_managed(self) -> bool:
            strategy = getattr(self._config, "strategy", self._config)
            return getattr(strategy, "name", "") == "USER_MANAGED"

        def update_device_memory_size_for_shapes(self) -> int:
            assert self._batch > 0, "shapes must be set before"
            return 512 * self._batch

        def set_device_memory(self, address: int, size: int) -> None:
            assert len(world.cuda.memory[address]) >= size, "scratch memory is smaller than was said"
            self._scratch, self._scratch_address = size, address

        def set_tensor_address(self, name: str, address: int) -> bool:
            self._addresses[name] = address
            return "address" not in world.fails

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            rest = self._engine.get_tensor_shape(name)[1:]
            if tuple(shape[1:]) != rest or not 1 <= shape[0] <= (4 if world.open_batch else 1):
                return False
            self._batch = shape[0]
            return True

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return (self._batch, *self._engine.get_tensor_shape(name)[1:])

        def execute_async_v3(self, stream: int) -> bool:
            world.cuda.check_current("execute_async_v3")
            if "enqueue" in world.fails:
                voice.complain(world.fails["enqueue"])
                return False
            if self._is_managed and self._scratch < 512 * self._batch:
                voice.complain("the scratch memory is too small for these shapes")
                return False
            if stream in world.cuda.recording and self._ready != self._batch:
                world.cuda.invalid.add(stream)
                voice.complain("operation not permitted when stream is capturing")
                return False
            self._ready = self._batch
            cache = getattr(self._config, "_cache", None)
            if cache is not None and b"%d." % self._batch not in cache._kernels:
                cache._kernels += b"%d." % self._batch
                world.compiled += 1
            batch, dtype = self._batch, np.float16 if world.halves else np.float32
            places = [
                self._addresses[name] for name in (*world.names, "transform")
            ]  # a graph keeps those of its capture
            scratch = self._scratch_address if self._is_managed else 0
            world.cuda.queue(stream, lambda: self._compute(batch, dtype, places, scratch))
            return True

        def _compute(self, batch: int, dtype: Any, places: list[int], scratch: int) -> None:
            assert not {scratch, *places} - {0, *world.cuda.held}, "memory that was given back before the network ran"
            composite, mask, output = (world.cuda.bytes_at(place).view(dtype) for place in places)
            planes = composite[: batch * 48].reshape(batch, 3, 4, 4)
            output[: batch * 48] = (planes + mask[: batch * 16].reshape(batch, 1, 4, 4)).ravel()
            if self.profiler is not None:
                voice.trampoline(self.profiler.report_layer_time, "conv", 0.25)

    class Refitter:
        def __init__(self, engine: Any, logger: Any) -> None:
            voice.register(logger)
            voice.constructed("Refitter")
            self._engine = engine

        def refit_cuda_engine(self) -> bool:
            self._engine._stripped = False
            return "refit" not in world.fails

    class OnnxParserRefitter:
        def __init__(self, refitter: Any, logger: Any) -> None: ...

        def refit_from_file(self, path: str) -> bool:
            return True

    return {
        kind.__name__: kind
        for kind in (
            Runtime,
            EngineInspector,
            ICudaEngine,
            IRuntimeCache,
            IRuntimeConfig,
            IExecutionContext,
            Refitter,
            OnnxParserRefitter,
        )
    }
