"""A TensorRT stand-in on the CUDA stand-in; it fails on demand.

The modules are cut to the real binding surface of a version: names that the version lacks are missing.
"""

from __future__ import annotations

import contextlib
import enum
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from edge_harmony.backends.tensorrt.bridge import TensorRT
from tests.fakes.cuda import FakeCuda

SURFACES = Path(__file__).parents[1] / "golden" / "tensorrt_api"
VERSIONS = ("8.6", "10.3", "10.13", "10.16", "11.4", "rtx-1.7")


def surface(version: str) -> dict[str, list[str]]:
    """Classes of a version and their attributes."""
    content: dict[str, list[str]] = json.loads((SURFACES / f"{version}.json").read_text())
    return content


@dataclass
class World:
    """Behaviour of the fake TensorRT, and a record of calls.

    Attributes:
        cuda: its device.
        fails: names of calls that fail, with their messages.
        configs: attributes and flags of every build.
        dla: DLA cores.
    """

    cuda: FakeCuda = field(default_factory=FakeCuda)
    fails: dict[str, str] = field(default_factory=dict)
    configs: list[dict[str, Any]] = field(default_factory=list)
    dla: int = 0
    builds: int = 0
    batches: int = 0
    runtimes: list[Any] = field(default_factory=list)
    quantized: bool = False
    halves: bool = False
    names: tuple[str, ...] = ("composite", "mask")
    open_batch: bool = False


def fake_tensorrt(version: str, world: World) -> TensorRT:
    """A TensorRT of a version, with the names of the real bindings."""
    names = surface(version)
    module = SimpleNamespace(__version__=version.removeprefix("rtx-") + ".0")
    for kind, members in names.items():
        if {"name", "value"} <= set(members):
            choices = [m for m in members if m not in ("name", "value")]
            setattr(module, kind, enum.IntEnum(kind, choices) if choices else object)
        else:
            setattr(module, kind, type(kind, (), {m: None for m in members if not m.startswith("_")}))
    for kind, real in _classes(module, names, world).items():
        if kind in names:
            setattr(module, kind, _cut(real, names[kind]))
    parts = tuple(int(part) for part in module.__version__.split("."))
    return TensorRT(module, "tensorrt-rtx" if version.startswith("rtx") else "tensorrt", parts)


def _cut(kind: type, names: list[str]) -> type:
    """Cut a class to a version: names not written here do nothing, names that the version lacks are removed."""
    for name in vars(kind).keys() - {*names}:
        if not name.startswith("_"):
            delattr(kind, name)
    for name in names:
        if name not in vars(kind) and not name.startswith("__"):
            setattr(kind, name, None)
    return kind


def _classes(trt: Any, names: dict[str, list[str]], world: World) -> dict[str, type]:
    """Behaviour, written against all versions at once."""

    def complain(logger: Any, words: str) -> None:
        logger.log(trt.ILogger.Severity.ERROR, words)

    class Severity(enum.IntEnum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class ILogger:
        def __init__(self) -> None: ...

    ILogger.Severity = Severity

    class Builder:
        def __init__(self, logger: Any) -> None:
            self._logger = logger
            if "Builder" in world.fails:
                raise RuntimeError(world.fails["Builder"])
            self.num_DLA_cores = world.dla

        def create_network(self, flags: int) -> Any:
            world.configs.append({"flags": set(), "network": flags, "pools": {}, "profiles": []})
            return INetworkDefinition()

        def create_builder_config(self) -> Any:
            return IBuilderConfig()

        def create_optimization_profile(self) -> Any:
            return IOptimizationProfile()

        def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
            world.builds += 1
            self._logger.log(Severity.WARNING, "a warning")
            self._logger.log(Severity.VERBOSE, "much ado")
            monitor = getattr(config, "progress_monitor", None)
            if monitor is not None:
                monitor.phase_start("Building", None, 2)
                monitor.phase_start("Tactics", "Building", 1)
                monitor.step_complete("Tactics", 0)
                monitor.phase_finish("Tactics")
                monitor.step_complete("Building", 0)
                monitor.phase_finish("Building")
            calibrator = getattr(config, "int8_calibrator", None)
            if calibrator is not None and calibrator.read_calibration_cache() is None:
                with contextlib.suppress(Exception):  # the bindings print what a callback raises, and go on
                    while calibrator.get_batch(list(world.names)) is not None:
                        world.batches += 1
                calibrator.write_calibration_cache(b"ranges")
            if "build" in world.fails:
                complain(self._logger, world.fails["build"])
                return None
            return json.dumps({"fake": True, "stripped": "STRIP_PLAN" in world.configs[-1]["flags"]}).encode()

    class ITensor:
        def __init__(self, name: str, shape: tuple[int, ...]) -> None:
            self.name, self.shape = name, shape
            self.dtype = trt.DataType.HALF if world.halves else trt.DataType.FLOAT

    class ILayer:
        num_outputs = 1

        def __init__(self) -> None:
            self.type = trt.LayerType.QUANTIZE if world.quantized else trt.LayerType.CONVOLUTION

        def get_output(self, index: int) -> Any:
            return ITensor("y", (1,))

    class INetworkDefinition:
        num_inputs = 2
        num_layers = 1

        def get_layer(self, index: int) -> Any:
            return ILayer()

        def get_input(self, index: int) -> Any:
            batch = -1 if world.open_batch else 1
            return ITensor(world.names[index], (batch, 3 if index == 0 else 1, 4, 4))

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

        def __init__(self, network: Any, logger: Any) -> None: ...

        def parse_from_file(self, path: str) -> bool:
            return "parse" not in world.fails

        def get_error(self, index: int) -> Any:
            return ParserError()

    class ITimingCache:
        def __init__(self, content: bytes) -> None:
            self._content = content

        def combine(self, other: Any, ignore: bool) -> bool:
            if other._content not in self._content:
                self._content += other._content
            return True

        def serialize(self) -> bytes:
            return self._content

    class IBuilderConfig:
        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("_") and name not in names["IBuilderConfig"]:
                raise AttributeError(f"IBuilderConfig has no {name}")
            world.configs[-1][name] = value
            object.__setattr__(self, name, value)

        def set_flag(self, flag: Any) -> None:
            world.configs[-1]["flags"].add(flag.name)

        def clear_flag(self, flag: Any) -> None:
            world.configs[-1]["flags"].discard(flag.name)

        def set_memory_pool_limit(self, pool: Any, size: int) -> None:
            world.configs[-1]["pools"][pool.name] = size

        def add_optimization_profile(self, profile: Any) -> int:
            world.configs[-1]["profiles"].append(profile._shapes)
            return 0

        def set_preview_feature(self, feature: Any, on: bool) -> None:
            world.configs[-1].setdefault("preview", {})[feature.name] = on

        def set_compute_capability(self, capability: Any, index: int) -> None:
            world.configs[-1].setdefault("architectures", {})[index] = capability.name

        def create_timing_cache(self, content: bytes) -> Any:
            return None if content == b"of another version" else ITimingCache(content)

        def set_timing_cache(self, cache: Any, ignore: bool) -> bool:
            cache._content += b"." if cache._content else b"timings"
            self._cache = cache
            return True

        def get_timing_cache(self) -> Any:
            return self._cache

    class IOptimizationProfile:
        def __init__(self) -> None:
            self._shapes: dict[str, Any] = {}

        def set_shape(self, name: str, least: Any, best: Any, largest: Any) -> None:
            self._shapes[name] = (least, best, largest)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self._logger = logger
            world.runtimes.append(self)

        def deserialize_cuda_engine(self, content: bytes) -> Any:
            try:
                facts = json.loads(content)
            except ValueError:
                complain(self._logger, world.fails.get("deserialize", "the plan is corrupt"))
                return None
            return ICudaEngine(facts, self._logger)

    class EngineInspector:
        def get_engine_information(self, kind: Any) -> str:
            return json.dumps({"Layers": [{"Name": "conv", "Outputs": [{"Format/Datatype": "Int8 NCHW"}]}]})

    class ICudaEngine:
        """Adds composite and mask: ``(N, 3, 4, 4)`` and ``(N, 1, 4, 4)`` to ``(N, 3, 4, 4)``."""

        num_io_tensors = 3
        device_memory_size = 1024
        device_memory_size_v2 = 2048

        def __init__(self, facts: dict[str, Any], logger: Any) -> None:
            self._stripped = facts["stripped"]
            self._logger = logger

        def create_execution_context(self) -> Any:
            if "context" in world.fails:
                complain(self._logger, world.fails["context"])
                return None
            return IExecutionContext(self)

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

    class IExecutionContext:
        profiler = None

        def __init__(self, engine: Any) -> None:
            self._engine = engine
            self._addresses: dict[str, int] = {}
            self._batch = -1 if world.open_batch else 1

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
            if "enqueue" in world.fails:
                complain(self._engine._logger, world.fails["enqueue"])
                return False
            batch, dtype = self._batch, np.float16 if world.halves else np.float32
            world.cuda.queue(stream, lambda: self._compute(batch, dtype))
            return True

        def _compute(self, batch: int, dtype: Any) -> None:
            composite, mask, output = (
                world.cuda.memory[self._addresses[name]].view(dtype) for name in (*world.names, "transform")
            )
            planes = composite[: batch * 48].reshape(batch, 3, 4, 4)
            output[: batch * 48] = (planes + mask[: batch * 16].reshape(batch, 1, 4, 4)).ravel()
            if self.profiler is not None:
                self.profiler.report_layer_time("conv", 0.25)

    class Refitter:
        def __init__(self, engine: Any, logger: Any) -> None:
            self._engine = engine

        def refit_cuda_engine(self) -> bool:
            self._engine._stripped = False
            return "refit" not in world.fails

    class OnnxParserRefitter:
        def __init__(self, refitter: Any, logger: Any) -> None: ...

        def refit_from_file(self, path: str) -> bool:
            return True

    class IPlain:
        def __init__(self) -> None: ...

    found = {name: kind for name, kind in locals().items() if isinstance(kind, type)}
    for name in ("IProfiler", "IProgressMonitor", "IInt8EntropyCalibrator2", "IInt8MinMaxCalibrator"):
        found[name] = IPlain
    return found
