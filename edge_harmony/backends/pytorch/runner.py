"""Run a network in PyTorch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_harmony.backends.base import Runner
from edge_harmony.files.manifest import IOSpec

if hasattr(
    os, "register_at_fork"
):  # its threads are not there in a child of a fork, which would wait for them for ever
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class PyTorchRunner(Runner):
    """A network in evaluation mode behind the runner's interface.

    Args:
        model: float, or prepared with fake quantization.
        size: working size (height, width).
        sha256: of its weights file; empty for a network in training.
        device: where to run.
        mode: ``eager``, ``compiled``, or ``cuda-graphs`` (``torch.compile(mode="reduce-overhead")``); compiled at the
            first call.
    """

    def __init__(
        self,
        model: nn.Module,
        size: tuple[int, int],
        sha256: str = "",
        device: str | torch.device = "cpu",
        mode: str = "eager",
    ) -> None:
        network = model.eval().to(device)
        self._dtype = next(network.parameters()).dtype
        self._model: Any = network
        if mode != "eager":
            self._model = torch.compile(network, mode="reduce-overhead" if mode == "cuda-graphs" else None)
        self._device = torch.device(device)
        self._io_spec = IOSpec(height=size[0], width=size[1], output=str(model.output))  # type: ignore[arg-type]
        self._sha256 = sha256

    @property
    def io_spec(self) -> IOSpec:
        """Working size and kind of output."""
        return self._io_spec

    @property
    def sha256(self) -> str:
        """Hash of the weights file."""
        return self._sha256

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        with torch.inference_mode():
            output: NDArray[np.float32] = self._network(*self._moved(composite, mask)).float().cpu().numpy()
        return output

    def submit(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
        """Start a batch. On CUDA this returns while the device works; the returned function waits for the result."""
        with torch.inference_mode():
            made = self._network(*self._moved(composite, mask)).float()

        def result() -> NDArray[np.float32]:
            output: NDArray[np.float32] = made.cpu().numpy()
            return output

        return result

    def infer_parts(
        self, composite: NDArray[np.float32], mask: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        times = [time.perf_counter()]
        with torch.inference_mode():
            inputs = self._moved(composite, mask)
            self._mark(times)
            made = self._network(*inputs)
            self._mark(times)
            output: NDArray[np.float32] = made.float().cpu().numpy()
        times.append(time.perf_counter())
        there, running, back = (1e3 * (after - before) for before, after in pairwise(times))
        return output, {"copy": there + back, "infer": running}

    @property
    def _network(self) -> Any:
        if self._model is None:
            raise RuntimeError("the runner is closed")
        return self._model

    def _moved(self, *arrays: NDArray[np.float32]) -> list[torch.Tensor]:
        return [torch.from_numpy(array).to(self._device, self._dtype) for array in arrays]

    def _mark(self, times: list[float]) -> None:
        self.synchronize()
        times.append(time.perf_counter())

    def synchronize(self) -> None:
        """Wait for the device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def close(self) -> None:
        """Drop the network."""
        self._model = None
