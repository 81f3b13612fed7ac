"""Run a network in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_harmony.artifact import IOSpec


class PyTorchRunner:
    """A network in evaluation mode behind the runner's interface.

    Args:
        model: float, or prepared with fake quantization.
        sha256: of its weights file; empty for a network in training.
        device: where to run.
    """

    def __init__(self, model: nn.Module, sha256: str = "", device: str | torch.device = "cpu") -> None:
        self._model: nn.Module | None = model.eval().to(device)
        self._device = torch.device(device)
        self._io_spec = IOSpec(output=str(model.output))  # type: ignore[arg-type]
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
        if self._model is None:
            raise RuntimeError("the runner is closed")
        with torch.inference_mode():
            inputs = [torch.from_numpy(array).to(self._device) for array in (composite, mask)]
            output: NDArray[Any] = self._model(*inputs).float().cpu().numpy()
        return output

    def synchronize(self) -> None:
        """Wait for the device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def close(self) -> None:
        """Drop the network."""
        self._model = None
