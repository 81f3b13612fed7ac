"""A loaded engine: from a file's bytes to execution contexts."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge_harmony.backends.tensorrt.context import Context
from edge_harmony.backends.tensorrt.cuda.api import Cuda
from edge_harmony.backends.tensorrt.logger import Log, made, refusal
from edge_harmony.backends.tensorrt.refit import refit
from edge_harmony.backends.tensorrt.runtime_cache import RuntimeCache
from edge_harmony.errors import EdgeHarmonyError, UsageError

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.options import BuildOptions

logger = logging.getLogger(__name__)


class Engine:
    """A deserialized engine; contexts for several threads come from :meth:`context`.

    Args:
        tensorrt: which.
        cuda: CUDA of the device it runs on.
        plan: the engine's file.
        options: what it was built with.
        weights: the ONNX file whose weights fill it, if it was built without them.
        lean_library: a lean runtime to load it with, if it was built for other versions and without one.

    Raises:
        ArtifactError: TensorRT does not take the file: truncated, of another version, or of another GPU.
        UsageError: it was built without weights, and ``weights`` is not given; there is no such library.
        CapabilityError: there is no memory for it.
    """

    def __init__(
        self,
        tensorrt: TensorRT,
        cuda: Cuda,
        plan: Path,
        options: BuildOptions,
        weights: Path | None = None,
        lean_library: Path | None = None,
    ) -> None:
        self.tensorrt = tensorrt
        self.cuda = cuda
        self.log = Log(tensorrt)
        cuda.activate()
        with self.log.operation() as since:
            runtime: trt.Runtime = made(
                tensorrt, "a runtime", self.log, lambda: tensorrt.get("Runtime")(self.log.logger)
            )
            if lean_library is not None:
                runtime = self._load_lean(runtime, lean_library)
            if options.dla_core is not None:
                runtime.DLA_core = options.dla_core
            if options.version_compatible:
                runtime.engine_host_code_allowed = True  # it carries the lean runtime of the version that built it
            engine: trt.ICudaEngine = runtime.deserialize_cuda_engine(plan.read_bytes())
            if engine is None:
                raise refusal(f"{tensorrt} does not take {plan}", self.log, since, "build it again here")
            if options.strip_weights:
                if weights is None:
                    raise UsageError(
                        f"{plan} was built without weights", "name the ONNX file that it was built from too"
                    )
                refit(tensorrt, engine, weights, self.log)
        self.kernels = RuntimeCache(tensorrt, engine, plan) if tensorrt.is_rtx else None
        self.shares_memory = cuda.device().integrated
        self._warning, self._has_warned = threading.Lock(), False
        self._runtime: Any = runtime
        self.engine: trt.ICudaEngine = engine

    def _load_lean(self, runtime: trt.Runtime, library: Path) -> trt.Runtime:
        if not library.is_file():
            raise UsageError(f"there is no file {library}", "check the path of --leanDLLPath")
        since = self.log.count
        found: trt.Runtime | None = runtime.load_runtime(str(library))
        if found is None:
            fix = "name a libnvinfer_lean of 8.6 or newer"
            raise refusal(f"{self.tensorrt} does not take {library}", self.log, since, fix)
        return found

    def context(self, profiler: Any = None, *, shares: bool = False, graphs: bool = False) -> Context:
        """An execution context with a stream, buffers and scratch memory of its own: one per thread.

        Args:
            profiler: one of TensorRT's, to be attached.
            shares: copy nothing where the device shares the host's memory (Tegra).
            graphs: launch a CUDA graph where the same shapes come again; see :class:`Context`.
        """
        if self._runtime is None:
            raise RuntimeError("the engine is closed")
        return Context(self, profiler, shares=shares and self.shares_memory, graphs=graphs)

    def graphs_fail(self, error: EdgeHarmonyError) -> None:
        """Say once that networks are queued kernel by kernel, because a graph could not be captured."""
        with self._warning:
            if not self._has_warned:
                logger.warning("running without CUDA graphs, which costs time: %s", error.message)
            self._has_warned = True

    def information(self, form: Literal["JSON", "ONELINE"] = "JSON") -> str:
        """The engine inspector's description of the layers: as JSON, or a line for each."""
        self.tensorrt.get("EngineInspector", "a description of the layers")
        inspector: trt.EngineInspector = self.engine.create_engine_inspector()
        forms = {"JSON": "LayerInformationFormat.JSON", "ONELINE": "LayerInformationFormat.ONELINE"}
        return str(inspector.get_engine_information(self.tensorrt.get(forms[form])))

    @property
    def device_memory(self) -> int:
        """Bytes of scratch memory for the largest shapes; a context's own is :attr:`Context.scratch`."""
        name = "ICudaEngine.device_memory_size_v2"
        if not self.tensorrt.has(name):
            name = "ICudaEngine.device_memory_size"
        return int(self.tensorrt.member(self.engine, name))

    def close(self) -> None:
        """Free the engine, and keep what TensorRT for RTX compiled; contexts must be closed before."""
        if self.kernels is not None:
            self.kernels.save()
            self.kernels = None
        self.cuda.activate()  # where none is current, TensorRT would free in a new context on the first GPU
        self.engine = None  # type: ignore[assignment]
        self._runtime = None
