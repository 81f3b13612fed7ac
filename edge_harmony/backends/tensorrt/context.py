"""Running an engine: buffers and scratch memory for the shapes in use, one stream, a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.tensorrt.buffers import Buffer, make_buffer
from edge_harmony.backends.tensorrt.cuda.api import CudaError
from edge_harmony.errors import ArtifactError, CapabilityError, EdgeHarmonyError, InputError

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.engine import Engine

_USER_MANAGED = (
    "ExecutionContextAllocationStrategy.USER_MANAGED",
    "IExecutionContext.set_device_memory",
    "IExecutionContext.update_device_memory_size_for_shapes",
)


class Context:
    """An execution context with a stream, buffers and scratch memory; used by one thread at a time.

    Buffers grow with the shapes, and so does the scratch memory where TensorRT can say what shapes need (from 10.3
    on): a network for pictures up to 4K does not take what 4K needs before such a picture comes.

    Args:
        engine: whose.
        profiler: one of TensorRT's, to be attached.
        shares: use one memory for host and device, and copy nothing; for devices where they share it.
        graphs: launch a CUDA graph where the same shapes come again: one call for the host instead of one for each
            kernel, which is what small networks spend their time on. Shapes that come once are not captured. Where
            capturing fails, the engine warns once and kernels are queued one by one.

    Attributes:
        stream: on which everything is queued.
        buffers: inputs and outputs, by name.
        largest: the largest shapes of the inputs, by name.
        scratch: bytes of scratch memory on the device; 0 where TensorRT takes it itself.

    Raises:
        CapabilityError: there is no memory for it.
    """

    def __init__(self, engine: Engine, profiler: Any = None, *, shares: bool = False, graphs: bool = False) -> None:
        self.cuda = engine.cuda
        self.cuda.activate()
        self.buffers: dict[str, Buffer] = {}
        self.largest: dict[str, tuple[int, ...]] = {}
        self.scratch = 0
        self.stream = 0
        self._engine = engine
        self._shares, self._graphs = shares, graphs
        self._graph, self._has_run, self._is_fitted = 0, False, False
        self._scratch_address = 0
        self._owns_scratch = all(map(engine.tensorrt.has, _USER_MANAGED))
        self._context: trt.IExecutionContext = self._make_context()
        if profiler is not None:
            self._context.profiler = profiler
        try:
            self.stream = self.cuda.create_stream()
            self._make_buffers()
        except BaseException:
            self.close()
            raise

    def _make_context(self) -> trt.IExecutionContext:
        tensorrt, kernels = self._engine.tensorrt, self._engine.kernels
        plan: trt.ICudaEngine = self._engine.engine
        context: trt.IExecutionContext | None
        strategy = tensorrt.get("ExecutionContextAllocationStrategy.USER_MANAGED") if self._owns_scratch else None
        with self._engine.log.operation() as since:
            if kernels is not None:
                set_strategy = "IRuntimeConfig.set_execution_context_allocation_strategy"
                tensorrt.member(kernels.config, set_strategy)(strategy)
                context = plan.create_execution_context(kernels.config)
            else:
                context = plan.create_execution_context(*([strategy] if self._owns_scratch else []))
        if context is None:
            raise CapabilityError(
                f"there is no memory for an execution context ({self._engine.log.reason(since)})",
                "close what else uses the GPU",
            )
        return context

    @property
    def inputs(self) -> list[Buffer]:
        """What goes in."""
        return [buffer for buffer in self.buffers.values() if buffer.is_input]

    @property
    def outputs(self) -> list[Buffer]:
        """What comes out."""
        return [buffer for buffer in self.buffers.values() if not buffer.is_input]

    def _make_buffers(self) -> None:
        """Learn the tensors; memory follows where no size is open, and otherwise when shapes are known."""
        plan: trt.ICudaEngine = self._engine.engine
        is_open = False
        for name in (plan.get_tensor_name(k) for k in range(plan.num_io_tensors)):
            self.buffers[name] = make_buffer(self._engine.tensorrt, plan, name)
            if self.buffers[name].is_input:
                shape = tuple(plan.get_tensor_shape(name))
                is_open = is_open or -1 in shape
                self.largest[name] = tuple(plan.get_tensor_profile_shape(name, 0)[2]) if -1 in shape else shape
        if not is_open:
            self.resize({})

    def resize(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Take inputs of these shapes from now on, within the engine's profile. A captured graph is given up.

        Args:
            shapes: by name; inputs that had no shape yet take their largest, others keep theirs.

        Raises:
            InputError: there is no such input, or a shape is outside the profile.
            CapabilityError: an output's size depends on the data.
            CudaError: there is no memory for these shapes.
        """
        unknown = [name for name in shapes if name not in self.largest]
        if unknown:
            raise InputError(f"the engine has no input {unknown[0]!r}", f"its inputs are {', '.join(self.largest)}")
        wanted = {name: self.buffers[name].shape or largest for name, largest in self.largest.items()} | shapes
        changed = {name: shape for name, shape in wanted.items() if self.buffers[name].shape != shape}
        if self._is_fitted and not changed:
            return
        self._drop_graph()
        self._is_fitted = self._has_run = False
        for name, shape in changed.items():
            self._set_shape(name, shape)
            self.buffers[name].shape = shape
        for buffer in self.outputs:
            buffer.shape = tuple(self._context.get_tensor_shape(buffer.name))
            if -1 in buffer.shape:
                raise CapabilityError(
                    f"the size of the output {buffer.name} depends on the data", "use a network without it"
                )
        for buffer in self.buffers.values():
            self._fit(buffer)
        if self._owns_scratch:
            self._fit_scratch()
        self._is_fitted = True

    def _set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        plan: trt.ICudaEngine = self._engine.engine
        if -1 in tuple(plan.get_tensor_shape(name)) or shape != self.largest[name]:
            if self._context.set_input_shape(name, shape):
                return
            least, _, largest = (tuple(s) for s in plan.get_tensor_profile_shape(name, 0))
            raise InputError(
                f"the shape {shape} of {name} is outside the engine's profile", f"it takes {least} to {largest}"
            )

    def _fit(self, buffer: Buffer) -> None:
        """Memory for a buffer's shape, if what it has is too small."""
        if buffer.host is None or buffer.size > buffer.capacity:
            self._give_back(buffer)
            buffer.host = self.cuda.pin(max(buffer.size, 1))
            buffer.address = buffer.host.address if self._shares else self.cuda.allocate(max(buffer.size, 1))
            buffer.capacity = buffer.size
            if not self._context.set_tensor_address(buffer.name, buffer.address):
                raise ArtifactError(f"TensorRT refuses the buffer of {buffer.name}", "build the engine again")

    def _fit_scratch(self) -> None:
        tensorrt, context = self._engine.tensorrt, self._context
        needed = int(tensorrt.member(context, "IExecutionContext.update_device_memory_size_for_shapes")())
        if needed > self.scratch or not self._scratch_address:
            self._free_scratch()
            self._scratch_address = self.cuda.allocate(max(needed, 1))
            self.scratch = needed
        tensorrt.member(context, "IExecutionContext.set_device_memory")(self._scratch_address, self.scratch)

    def _give_back(self, buffer: Buffer) -> None:
        if buffer.address and not self._shares:
            self.cuda.free(buffer.address)
        if buffer.host is not None:
            self.cuda.unpin(buffer.host)
        buffer.host, buffer.address, buffer.capacity = None, 0, 0

    def _free_scratch(self) -> None:
        if self._scratch_address:
            self.cuda.free(self._scratch_address)
        self._scratch_address, self.scratch = 0, 0

    def copy_in(self, stream: int | None = None) -> None:
        """Queue the copies of the inputs to the device, on the context's own stream or on another."""
        if not self._shares:
            for buffer in self.inputs:
                self.cuda.copy_to_device(buffer.address, buffer.pinned, buffer.size, stream or self.stream)

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
        self._has_run = True

    def copy_out(self, stream: int | None = None) -> None:
        """Queue the copies of the outputs to the host, on the context's own stream or on another."""
        if not self._shares:
            for buffer in self.outputs:
                self.cuda.copy_to_host(buffer.pinned, buffer.address, buffer.size, stream or self.stream)

    def synchronize(self) -> None:
        """Wait for all that is queued, from any thread."""
        self.cuda.activate()
        self.cuda.synchronize(self.stream)

    def capture(self) -> None:
        """Record the network as a CUDA graph, for the shapes as they are. TensorRT for RTX has done so by itself.

        Raises:
            EdgeHarmonyError: it cannot be captured; kernels can still be queued one by one.
        """
        if self._engine.kernels is not None:
            return
        self._drop_graph()
        if not self._has_run:
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

    def _capture_if_it_pays(self) -> None:
        """Capture the network once the same shapes come a second time."""
        if not self._graphs or self._graph or not self._has_run:
            return
        try:
            self.capture()
        except EdgeHarmonyError as error:
            if isinstance(error, CudaError) and error.is_lost:
                raise
            self._graphs = False
            self._engine.graphs_fail(error)

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
            The outputs: views of page-locked memory, good until the next call.

        Raises:
            InputError: an input does not fit, or the engine's formats are for timing only.
        """
        self.begin(inputs, mark)
        return self.finish()

    def begin(self, inputs: dict[str, NDArray[Any]], mark: Callable[[], None] | None = None) -> None:
        """Queue a run, and return without waiting for it; arguments and errors are those of :meth:`run`."""
        self.cuda.activate()
        packed = [buffer.name for buffer in self.buffers.values() if buffer.padding]
        if packed:
            raise InputError(
                f"the values of {packed[0]} do not lie in the order of its sizes: the engine has another format",
                "build it without --inputIOFormats and --outputIOFormats to run it",
            )
        self.resize({name: tuple(array.shape) for name, array in inputs.items()})
        for name, array in inputs.items():
            np.copyto(self.buffers[name].array, array, casting="same_kind")
        self.copy_in()
        self._mark(mark)
        self._capture_if_it_pays()
        self.enqueue()
        self._mark(mark)
        self.copy_out()
        self._mark(mark)

    def _mark(self, mark: Callable[[], None] | None) -> None:
        if mark is not None:
            self.synchronize()
            mark()

    def finish(self) -> dict[str, NDArray[Any]]:
        """Wait for what :meth:`begin` queued; returns the outputs as :meth:`run`. Another thread may call it."""
        self.synchronize()
        return {buffer.name: buffer.array for buffer in self.outputs}

    def close(self) -> None:
        """Give back all that the context holds. Closing twice is harmless."""
        if self._context is None:
            return
        self.cuda.activate()
        self._drop_graph()
        self._context = None
        for buffer in self.buffers.values():
            self._give_back(buffer)
        self.buffers = {}
        self._free_scratch()
        if self.stream:
            self.cuda.destroy_stream(self.stream)
            self.stream = 0
