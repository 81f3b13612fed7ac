"""Kernels that TensorRT for RTX compiles when an engine runs, kept from run to run.

https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/inference-library/work-with-runtime-cache.html
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.files.atomic import atomic_write, make_folder, sha256_of
from edge_harmony.files.resources import cache_folder

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT


class RuntimeCache:
    """The runtime configuration of an engine of TensorRT for RTX, with the kernels that earlier runs compiled.

    An engine for RTX holds no kernels for a GPU: they are compiled on the first runs, which takes seconds. Contexts
    made with :attr:`config` also run as a CUDA graph, which TensorRT captures itself, and anew when a better kernel
    is compiled.

    Args:
        tensorrt: TensorRT for RTX.
        engine: loaded.
        plan: its file; the kernels lie in the cache folder under its hash.

    Attributes:
        path: file of the kernels.
        config: for :meth:`ICudaEngine.create_execution_context`.
    """

    def __init__(self, tensorrt: TensorRT, engine: trt.ICudaEngine, plan: Path) -> None:
        self._tensorrt = tensorrt
        self.path = cache_folder() / "engines" / f"{sha256_of(plan)[:24]}.kernels"
        self.config: Any = tensorrt.member(engine, "ICudaEngine.create_runtime_config")()
        self._cache: Any = tensorrt.member(self.config, "IRuntimeConfig.create_runtime_cache")()
        self._known = self.path.read_bytes() if self.path.is_file() else b""
        if self._known and not tensorrt.member(self._cache, "IRuntimeCache.deserialize")(self._known):
            self._known = b""  # of another GPU, driver or version: compiled anew
        tensorrt.member(self.config, "IRuntimeConfig.set_runtime_cache")(self._cache)
        strategy = tensorrt.get("CudaGraphStrategy.WHOLE_GRAPH_CAPTURE")
        tensorrt.assign(self.config, "IRuntimeConfig.cuda_graph_strategy", strategy)

    def save(self) -> None:
        """Write the kernels if there are new ones; a folder that cannot be written costs the next run its time only."""
        content = self._tensorrt.member(self._cache, "IRuntimeCache.serialize")()
        kernels = bytes(content) if content is not None else b""
        if kernels and kernels != self._known:
            with contextlib.suppress(EdgeHarmonyError):
                make_folder(self.path.parent)
                atomic_write(self.path, kernels)
                self._known = kernels
