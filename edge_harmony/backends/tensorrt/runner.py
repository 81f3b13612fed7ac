"""Networks in TensorRT engines: one batch on the device while the next is copied."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.artifact_runner import ArtifactRunner
from edge_harmony.backends.tensorrt.context import Context
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.files.manifest import Manifest

_CONTEXTS = 2


class TensorRTRunner(ArtifactRunner):
    """See :class:`edge_harmony.backends.base.Runner`.

    Two contexts, each with its stream and buffers, the second one made when it is first needed: while the device works
    on one batch, the next is copied, and two threads may run at a time; a third waits. From the second batch on a CUDA
    graph is launched, and on devices that share the host's memory nothing is copied.

    Args:
        engine: a loaded one; closed with the runner.
        manifest: of its file, verified by the caller.
        graphs: launch CUDA graphs.
    """

    def __init__(self, engine: Engine, manifest: Manifest, *, graphs: bool = True) -> None:
        super().__init__(manifest)
        self._engine, self._graphs = engine, graphs
        self._contexts = [self._make_context()]
        self._free: queue.SimpleQueue[Context] = queue.SimpleQueue()
        self._free.put(self._contexts[0])
        self._making = threading.Lock()

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        return self._run(composite, mask, None)

    def submit(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
        """Queue a batch and return; what is returned waits for its result, and is to be called once.

        Two may be on their way; another waits until one of their results is taken, by another thread.
        """
        self._check_size(composite, mask)
        context = self._take()
        try:
            context.begin({"composite": composite, "mask": mask})
        except BaseException:
            self._free.put(context)
            raise

        def result() -> NDArray[np.float32]:
            try:
                return _only(context.finish())
            finally:
                self._free.put(context)

        return result

    def infer_parts(
        self, composite: NDArray[np.float32], mask: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        times = [time.perf_counter()]
        output = self._run(composite, mask, lambda: times.append(time.perf_counter()))
        there, running, back = (1e3 * (after - before) for before, after in pairwise(times))
        return output, {"copy": there + back, "infer": running}

    def _run(
        self, composite: NDArray[np.float32], mask: NDArray[np.float32], mark: Callable[[], None] | None
    ) -> NDArray[np.float32]:
        self._check_size(composite, mask)
        context = self._take()
        try:
            return _only(context.run({"composite": composite, "mask": mask}, mark))
        finally:
            self._free.put(context)

    def _make_context(self) -> Context:
        return self._engine.context(shares=True, graphs=self._graphs)

    def _take(self) -> Context:
        with self._making:
            if self._free.empty() and len(self._contexts) < _CONTEXTS:
                self._contexts.append(self._make_context())
                return self._contexts[-1]
        return self._free.get()

    def synchronize(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        for context in self._contexts:
            context.synchronize()

    def close(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        for context in self._contexts:
            context.close()
        self._engine.close()


def _only(results: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    output: NDArray[np.float32] = next(iter(results.values())).astype(np.float32)  # a copy: the memory is reused
    return output
