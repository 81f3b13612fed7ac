"""A TensorRT stand-in on the CUDA stand-in; it fails on demand.

The modules are cut to the real binding surface of a version: names that the version lacks are missing. As TensorRT and
its bindings: the first logger is the only one, it is called from other threads too and is not kept alive; what
callbacks raise is printed and forgotten; constructors that TensorRT answers with null raise TypeError; errors of
kernels that were tried and left out come before the one that counts; calibration reads batches of the best shape of
its profile; a plan loads only in the version and on the GPU that it was built for; DLA has rules of its own; the parser
before 10 ignores axes that are inputs; layers come as their base class; scratch memory that is left to the caller must
be enough for the shapes, and it and the buffers must still be held when the network, or a graph of it, runs.
"""

from __future__ import annotations

import enum
import json
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx

from edge_harmony.backends.tensorrt.bridge import TensorRT
from tests.fakes.cuda import FakeCuda

CALIBRATED = 64  # height and width of the small networks that tests calibrate
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
        murmurs: errors that every call reports before the one that counts.
        swallowed: what callbacks raised and the bindings forgot.
        strays: engines that were freed while another GPU, or none, was current.
        cancelled: builds that a monitor stopped.
        parsed: opset of every file.
        gpu: whether there is one, of which TensorRT for RTX wants to know only at times.
        compiled: kernels that TensorRT for RTX compiled while it ran.
        sides: height and width of the inputs of networks.
        layers: kind, inputs and result of every layer; empty for a single one. ``ELEMENTWISE:PROD`` names an operation.
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
    packed: tuple[str, ...] = ()
    open_batch: bool = False
    murmurs: tuple[str, ...] = ()
    swallowed: list[BaseException] = field(default_factory=list)
    strays: int = 0
    cancelled: int = 0
    parsed: list[int] = field(default_factory=list)
    compiled: int = 0
    gpu: bool = True
    sides: tuple[int, int] = (4, 4)
    layers: tuple[tuple[str, tuple[str, ...], str], ...] = ()


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
        if not hasattr(kind, name) and not name.startswith("__"):
            setattr(kind, name, None)
    return kind


def _classes(trt: Any, names: dict[str, list[str]], world: World) -> dict[str, type]:
    """Behaviour, written against all versions at once."""

    loggers: list[weakref.ref[Any]] = []

    def register(logger: Any) -> None:
        if not loggers:
            loggers.append(weakref.ref(logger))

    def trampoline(callback: Callable[..., Any], *arguments: Any) -> Any:
        """Call Python as the bindings do."""
        try:
            return callback(*arguments)
        except BaseException as error:
            world.swallowed.append(error)
            return None

    def say(severity: Any, words: str) -> None:
        logger = loggers[0]()
        assert logger is not None, "TensorRT's logger was freed while TensorRT was in use"
        thread = threading.Thread(target=trampoline, args=(logger.log, severity, words))
        thread.start()
        thread.join()

    def complain(words: str) -> None:
        for each in (*world.murmurs, words):
            say(trt.ILogger.Severity.ERROR, each)

    def constructed(name: str) -> None:
        if name in world.fails:
            complain(world.fails[name])
            raise TypeError("pybind11::init(): factory function returned nullptr")

    class Severity(enum.IntEnum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class ILogger:
        def __init__(self) -> None: ...

    ILogger.Severity = Severity

    class Builder:
        def __init__(self, logger: Any) -> None:
            register(logger)
            constructed("Builder")
            self.num_DLA_cores = world.dla

        def create_network(self, flags: int) -> Any:
            world.configs.append({"flags": set(), "network": flags, "pools": {}, "profiles": []})
            return None if "create_network" in world.fails else INetworkDefinition()

        def create_builder_config(self) -> Any:
            return IBuilderConfig()

        def create_optimization_profile(self) -> Any:
            return IOptimizationProfile()

        def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
            world.builds += 1
            say(Severity.WARNING, "a warning")
            say(Severity.VERBOSE, "much ado")
            if not self._ran(getattr(config, "progress_monitor", None)):
                world.cancelled += 1
                return None
            calibrator = getattr(config, "int8_calibrator", None)
            if calibrator is not None:
                self._calibrate(calibrator)
            refused = self._dla_refuses() or world.fails.get("build")
            if (
                names.get("ComputeCapability")
                and {"REFIT", "STRIP_PLAN"} & world.configs[-1]["flags"]
                and not world.gpu
            ):
                refused = "Error Code 1: Myelin (graph_jit.cpp:278: CHECK(status == CUDA_SUCCESS) failed.)"
            if refused:
                complain(refused)
                return None
            flags = world.configs[-1]["flags"]
            facts = {"fake": True, "stripped": "STRIP_PLAN" in flags, "sm": world.cuda.model.sm}
            if "VERSION_COMPATIBLE" not in flags:
                facts["version"] = trt.__version__
            return json.dumps(facts).encode()

        def _ran(self, monitor: Any) -> bool:
            """Two steps, the first one with a phase of its own; False if the monitor stops them."""
            if monitor is None:
                return True
            trampoline(monitor.phase_start, "Building", None, 2)
            trampoline(monitor.phase_start, "Tactics", "Building", 1)
            for phase in ("Tactics", "Building"):
                if not trampoline(monitor.step_complete, phase, 0):
                    return False
                trampoline(monitor.phase_finish, phase)
            return True

        def _calibrate(self, calibrator: Any) -> None:
            if trampoline(calibrator.read_calibration_cache) is not None:
                return
            world.batches = 0
            pictures = 1
            if world.open_batch:
                shapes = world.configs[-1].get("calibration", world.configs[-1]["profiles"][0])
                pictures = shapes[world.names[0]][1][0]
            while addresses := trampoline(calibrator.get_batch, list(world.names)):
                for address, planes in zip(addresses, (3, 1), strict=True):
                    read = 4 * pictures * planes * CALIBRATED**2
                    assert len(world.cuda.memory[address]) >= read, "TensorRT read beyond the calibration batch"
                world.batches += 1
            trampoline(calibrator.write_calibration_cache, b"ranges")

        def _dla_refuses(self) -> str:
            config = world.configs[-1]
            if getattr(config.get("default_device_type"), "name", "") != "DLA" or not hasattr(trt.BuilderFlag, "FP16"):
                return ""
            if config["network"] & (1 << getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", 62)):
                return "DLA does not support strongly typed networks"
            if world.quantized:
                return "DLA does not support explicit quantization"
            return "" if {"FP16", "INT8"} & config["flags"] else "DLA needs FP16 or INT8"

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
            register(logger)
            constructed("OnnxParser")

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

        def set_calibration_profile(self, profile: Any) -> bool:
            world.configs[-1]["calibration"] = profile._shapes
            return True

        def get_tactic_sources(self) -> int:
            return sum(1 << int(source) for source in trt.TacticSource if source.name != "CUBLAS")

        def set_tactic_sources(self, sources: int) -> bool:
            world.configs[-1]["tactics"] = {s.name for s in trt.TacticSource if sources & 1 << int(s)}
            return True

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
            register(logger)
            constructed("Runtime")
            world.runtimes.append(self)

        def load_runtime(self, path: str) -> Any:
            if "load_runtime" in world.fails:
                complain(world.fails["load_runtime"])
                return None
            found = Runtime(loggers[0]())
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
                complain(wrong)
                say(trt.ILogger.Severity.ERROR, "Error Code 4: Internal Error (Engine deserialization failed.)")
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
                complain(world.fails["context"])
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
                complain(world.fails["enqueue"])
                return False
            if self._is_managed and self._scratch < 512 * self._batch:
                complain("the scratch memory is too small for these shapes")
                return False
            if stream in world.cuda.recording and self._ready != self._batch:
                world.cuda.invalid.add(stream)
                complain("operation not permitted when stream is capturing")
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
                trampoline(self.profiler.report_layer_time, "conv", 0.25)

    class Refitter:
        def __init__(self, engine: Any, logger: Any) -> None:
            register(logger)
            constructed("Refitter")
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
