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

from edge_harmony.backends.artifact_runner import ArtifactRunner, PipelineRunner
from edge_harmony.backends.tensorrt.context import Context
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.files.manifest import Manifest

_CONTEXTS = 2


class _Contexts:
    """The contexts of an engine: the second one is made when it is first needed; who finds none free waits.

    From the second run of a shape on a CUDA graph is launched, and on devices that share the host's memory nothing is
    copied.
    """

    def __init__(self, engine: Engine, *, graphs: bool) -> None:
        self._engine, self._graphs = engine, graphs
        self._all = [self._make()]
        self._free: queue.SimpleQueue[Context] = queue.SimpleQueue()
        self._free.put(self._all[0])
        self._making = threading.Lock()

    def _make(self) -> Context:
        return self._engine.context(shares=True, graphs=self._graphs)

    def take(self) -> Context:
        """A context that nobody uses."""
        with self._making:
            if self._free.empty() and len(self._all) < _CONTEXTS:
                self._all.append(self._make())
                return self._all[-1]
        return self._free.get()

    def give_back(self, context: Context) -> None:
        """Let others use a context."""
        self._free.put(context)

    def synchronize(self) -> None:
        """Wait for all that is queued."""
        for context in self._all:
            context.synchronize()

    def close(self) -> None:
        """Free the contexts and their engine."""
        for context in self._all:
            context.close()
        self._engine.close()


class TensorRTRunner(ArtifactRunner):
    """See :class:`edge_harmony.backends.base.Runner`.

    Two contexts, each with its stream and buffers: while the device works on one batch, the next is copied, and two
    threads may run at a time; a third waits.

    Args:
        engine: a loaded one; closed with the runner.
        manifest: of its file, verified by the caller.
        graphs: launch CUDA graphs.
    """

    def __init__(self, engine: Engine, manifest: Manifest, *, graphs: bool = True) -> None:
        super().__init__(manifest)
        self._contexts = _Contexts(engine, graphs=graphs)

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        return self._run(composite, mask, None)

    def submit(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
        """Queue a batch and return; what is returned waits for its result, and is to be called once.

        Two may be on their way; another waits until one of their results is taken, by another thread.
        """
        self._check_size(composite, mask)
        context = self._contexts.take()
        try:
            context.begin({"composite": composite, "mask": mask})
        except BaseException:
            self._contexts.give_back(context)
            raise

        def result() -> NDArray[np.float32]:
            try:
                return _only(context.finish())
            finally:
                self._contexts.give_back(context)

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
        context = self._contexts.take()
        try:
            return _only(context.run({"composite": composite, "mask": mask}, mark))
        finally:
            self._contexts.give_back(context)

    def synchronize(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._contexts.synchronize()

    def close(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._contexts.close()


class TensorRTPipeline(PipelineRunner):
    """A whole pipeline; arguments and contexts are those of :class:`TensorRTRunner`.

    On the CPU a picture is copied to page-locked memory, and the result from it.
    """

    def __init__(self, engine: Engine, manifest: Manifest, *, graphs: bool = True) -> None:
        super().__init__(manifest)
        self._contexts = _Contexts(engine, graphs=graphs)

    def harmonize(self, picture: NDArray[np.uint8], mask: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
        """See :class:`edge_harmony.backends.base.Runner`.

        Raises:
            InputError: the picture is larger than the engine was built for.
        """
        context = self._contexts.take()
        try:
            feed: dict[str, NDArray[Any]] = {"picture": picture, "mask": mask}
            feed["strength"] = np.array(strength, np.float32)
            result: NDArray[np.uint8] = next(iter(context.run(feed).values())).copy()  # the memory is reused
            return result
        finally:
            self._contexts.give_back(context)

    def synchronize(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._contexts.synchronize()

    def close(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._contexts.close()


def _only(results: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    output: NDArray[np.float32] = next(iter(results.values())).astype(np.float32)  # a copy: the memory is reused
    return output
