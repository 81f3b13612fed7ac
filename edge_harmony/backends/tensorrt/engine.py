"""Run an engine: tensors by name, pinned buffers, one stream, optionally as a CUDA graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.tensorrt.cuda.api import Cuda, CudaError, Pinned
from edge_harmony.backends.tensorrt.logger import Log, made, refusal
from edge_harmony.backends.tensorrt.refit import refit
from edge_harmony.backends.tensorrt.runtime_cache import RuntimeCache
from edge_harmony.errors import ArtifactError, CapabilityError, EdgeHarmonyError, InputError, UsageError

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.options import BuildOptions


_DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
}


@dataclass
class Buffer:
    """One input or output: pinned memory here, memory on the device.

    Attributes:
        name: of the tensor.
        shape: as it is now.
        dtype: of its elements.
        is_input: whether it goes in.
        host: page-locked.
        address: on the device.
        capacity: bytes of both.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_input: bool
    host: Pinned
    address: int
    capacity: int

    @property
    def size(self) -> int:
        """Bytes in use."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def array(self) -> NDArray[Any]:
        """The pinned memory, in the tensor's shape."""
        return self.host.array[: self.size].view(self.dtype).reshape(self.shape)


class Engine:
    """A deserialized engine; contexts for several threads come from :meth:`context`.

    Args:
        tensorrt: which.
        cuda: CUDA of the device it runs on.
        plan: the engine's file.
        options: what it was built with.
        onnx: where its weights come from, if it was built without them.

    Raises:
        ArtifactError: TensorRT does not take the file: truncated, of another version, or of another GPU.
        UsageError: it was built without weights, and ``onnx`` is not given.
        CapabilityError: there is no memory for it.
    """

    def __init__(
        self, tensorrt: TensorRT, cuda: Cuda, plan: Path, options: BuildOptions, onnx: Path | None = None
    ) -> None:
        self.tensorrt = tensorrt
        self.cuda = cuda
        self.log = Log(tensorrt)
        cuda.activate()
        with self.log.operation() as since:
            runtime: trt.Runtime = made(
                tensorrt, "a runtime", self.log, lambda: tensorrt.get("Runtime")(self.log.logger)
            )
            if options.dla_core is not None:
                runtime.DLA_core = options.dla_core
            if options.version_compatible:
                runtime.engine_host_code_allowed = True  # it carries the lean runtime of the version that built it
            engine: trt.ICudaEngine = runtime.deserialize_cuda_engine(plan.read_bytes())
            if engine is None:
                raise refusal(f"{tensorrt} does not take {plan}", self.log, since, "build it again here")
            if options.strip_weights:
                if onnx is None:
                    raise UsageError(
                        f"{plan} was built without weights", "name the ONNX file that it was built from too"
                    )
                refit(tensorrt, engine, onnx, self.log)
        self.kernels = RuntimeCache(tensorrt, engine, plan) if tensorrt.is_rtx else None
        self._runtime: Any = runtime
        self.engine: trt.ICudaEngine = engine

    def context(self, profiler: Any = None) -> Context:
        """A context with its own stream and buffers: one per thread; ``profiler`` is one of TensorRT's."""
        if self._runtime is None:
            raise RuntimeError("the engine is closed")
        return Context(self, profiler)

    def information(self) -> str:
        """What the engine inspector says about the layers, as JSON."""
        inspector: trt.EngineInspector = self.engine.create_engine_inspector()
        return str(inspector.get_engine_information(self.tensorrt.get("LayerInformationFormat.JSON")))

    @property
    def device_memory(self) -> int:
        """Bytes of scratch memory that a context takes on the device."""
        name = "ICudaEngine.device_memory_size_v2"
        if not self.tensorrt.has(name):
            name = "ICudaEngine.device_memory_size"
        return int(self.tensorrt.member(self.engine, name))

    def close(self) -> None:
        """Free the engine, and keep what TensorRT for RTX compiled; contexts must be closed before."""
        if self.kernels is not None:
            self.kernels.save()
            self.kernels = None
        self.engine = None  # type: ignore[assignment]
        self._runtime = None


class Context:
    """An execution context with a stream and buffers; used by one thread at a time.

    Raises:
        CapabilityError: there is no memory for it.
    """

    def __init__(self, engine: Engine, profiler: Any = None) -> None:
        self.cuda = engine.cuda
        self.cuda.activate()
        self._engine = engine
        self._graph = 0
        self._held = ExitStack()
        plan: trt.ICudaEngine = engine.engine
        with engine.log.operation() as since:
            settings = [engine.kernels.config] if engine.kernels is not None else []
            context: trt.IExecutionContext = plan.create_execution_context(*settings)
        if context is None:
            raise CapabilityError(
                f"there is no memory for an execution context ({engine.log.reason(since)})",
                "close what else uses the GPU",
            )
        if profiler is not None:
            context.profiler = profiler
        self._context: trt.IExecutionContext = context
        self.stream = self.cuda.create_stream()
        self._held.callback(self.cuda.destroy_stream, self.stream)
        self.buffers: dict[str, Buffer] = {}
        try:
            self._make_buffers(engine)
        except BaseException:
            self.close()
            raise

    @property
    def inputs(self) -> list[Buffer]:
        """What goes in."""
        return [buffer for buffer in self.buffers.values() if buffer.is_input]

    @property
    def outputs(self) -> list[Buffer]:
        """What comes out."""
        return [buffer for buffer in self.buffers.values() if not buffer.is_input]

    def _make_buffers(self, engine: Engine) -> None:
        plan: trt.ICudaEngine = engine.engine
        goes_in = engine.tensorrt.get("TensorIOMode.INPUT")
        names = [plan.get_tensor_name(k) for k in range(plan.num_io_tensors)]
        is_input = {name: plan.get_tensor_mode(name) == goes_in for name in names}
        for name in (name for name in names if is_input[name]):
            shape = tuple(plan.get_tensor_shape(name))
            if -1 in shape:
                largest = tuple(plan.get_tensor_profile_shape(name, 0)[2])
                self._set_shape(name, largest)
                shape = largest
            self._add(name, shape, _dtype(name, plan.get_tensor_dtype(name)), is_input=True)
        for name in (name for name in names if not is_input[name]):
            shape = tuple(self._context.get_tensor_shape(name))
            if -1 in shape:
                raise CapabilityError(f"the size of the output {name} depends on the data", "use a network without it")
            self._add(name, shape, _dtype(name, plan.get_tensor_dtype(name)), is_input=False)

    def _add(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], *, is_input: bool) -> None:
        size = math.prod(shape) * dtype.itemsize
        address = self.cuda.allocate(size)
        self._held.callback(self.cuda.free, address)
        host = self.cuda.pin(size)
        self._held.callback(self.cuda.unpin, host)
        self.buffers[name] = Buffer(name, shape, dtype, is_input, host, address, size)
        if not self._context.set_tensor_address(name, address):
            raise ArtifactError(f"TensorRT refuses the buffer of {name}", "build the engine again")

    def _set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        if not self._context.set_input_shape(name, shape):
            plan: trt.ICudaEngine = self._engine.engine
            least, _, largest = (tuple(s) for s in plan.get_tensor_profile_shape(name, 0))
            raise InputError(
                f"the shape {shape} of {name} is outside the engine's profile", f"it takes {least} to {largest}"
            )

    def resize(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Take inputs of other shapes from now on, within the engine's profile. A captured graph is given up.

        Raises:
            InputError: there is no such input, or a shape is outside the profile.
        """
        known = [buffer.name for buffer in self.inputs]
        for name in shapes:
            if name not in known:
                raise InputError(f"the engine has no input {name!r}", f"its inputs are {', '.join(known)}")
        changed = {name: shape for name, shape in shapes.items() if self.buffers[name].shape != shape}
        if not changed:
            return
        self._drop_graph()
        for name, shape in changed.items():
            self._set_shape(name, shape)
            self.buffers[name].shape = shape
        for buffer in self.outputs:
            buffer.shape = tuple(self._context.get_tensor_shape(buffer.name))

    def copy_in(self) -> None:
        """Queue the inputs' way to the device."""
        for buffer in self.inputs:
            self.cuda.copy_to_device(buffer.address, buffer.host, buffer.size, self.stream)

    def enqueue(self) -> None:
        """Queue the network: its graph, if one was captured.

        Raises:
            CapabilityError: TensorRT cannot run it: mostly memory.
        """
        since = self._engine.log.count
        if self._graph:
            self.cuda.launch(self._graph, self.stream)
        elif not self._context.execute_async_v3(self.stream):
            said = self._engine.log.reason(since)
            raise CapabilityError(f"TensorRT cannot run the engine ({said})", "close what else uses the GPU")

    def copy_out(self) -> None:
        """Queue the outputs' way back."""
        for buffer in self.outputs:
            self.cuda.copy_to_host(buffer.host, buffer.address, buffer.size, self.stream)

    def synchronize(self) -> None:
        """Wait for all that is queued."""
        self.cuda.synchronize(self.stream)

    def capture(self) -> None:
        """Record the network as a CUDA graph, for the shapes as they are. TensorRT for RTX has done so by itself.

        Raises:
            CapabilityError: TensorRT cannot run the engine.
            CudaError: what it queues cannot be captured.
        """
        if self._engine.kernels is not None:
            return
        self._drop_graph()
        self.enqueue()  # what TensorRT sets up on the first run must not become part of the graph
        self.synchronize()
        self.cuda.begin_capture(self.stream)
        try:
            self.enqueue()
        except EdgeHarmonyError:
            with suppress(CudaError):  # a capture that failed is ended all the same, and its graph thrown away
                self.cuda.destroy_graph(self.cuda.end_capture(self.stream))
            raise
        self._graph = self.cuda.end_capture(self.stream)

    def _drop_graph(self) -> None:
        if self._graph:
            self.cuda.destroy_graph(self._graph)
            self._graph = 0

    def run(self, inputs: dict[str, NDArray[Any]], mark: Callable[[], None] | None = None) -> dict[str, NDArray[Any]]:
        """Copy in, run, copy out, wait.

        Args:
            inputs: by name.
            mark: called when the inputs are there, when the network is done, and at the end; waits at each.

        Returns:
            The outputs: views of pinned memory, good until the next call.
        """
        self.begin(inputs, mark)
        return self.finish()

    def begin(self, inputs: dict[str, NDArray[Any]], mark: Callable[[], None] | None = None) -> None:
        """The same up to the waiting: all is queued when it returns."""
        self.cuda.activate()
        self.resize({name: tuple(array.shape) for name, array in inputs.items()})
        for name, array in inputs.items():
            np.copyto(self.buffers[name].array, array, casting="same_kind")
        for part in (self.copy_in, self.enqueue, self.copy_out):
            part()
            if mark is not None:
                self.synchronize()
                mark()

    def finish(self) -> dict[str, NDArray[Any]]:
        """Wait for what was begun; returns as :meth:`run`. Another thread may call it."""
        self.cuda.activate()
        self.synchronize()
        return {buffer.name: buffer.array for buffer in self.outputs}

    def close(self) -> None:
        """Free everything that the context holds. Closing twice is harmless."""
        if self._context is None:
            return
        self.cuda.activate()
        self._drop_graph()
        self._context = None
        self.buffers = {}
        self._held.close()


def _dtype(name: str, kind: Any) -> np.dtype[Any]:
    if kind.name not in _DTYPES:
        raise CapabilityError(f"the tensor {name} is {kind.name}, which NumPy lacks", f"use {', '.join(_DTYPES)}")
    return np.dtype(_DTYPES[kind.name])
