"""Averaged weights: the weights that are validated and, at the end of a stage, kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class AveragedWeights:
    """The exponential moving average of a network's parameters and buffers over the steps of a stage.

    Args:
        tensors: the average until now, by the names of the network's state; they are changed in place.
        decay: share of its old value that it keeps at a step, at most: the first steps keep less; 0 for no average.
    """

    def __init__(self, tensors: dict[str, Tensor], decay: float) -> None:
        self.tensors = tensors
        self._decay = decay

    @classmethod
    def of(cls, model: nn.Module, decay: float) -> AveragedWeights:
        """The average before the first step: the weights themselves, copied."""
        return cls(_copy(model), decay)

    @torch.no_grad()
    def update(self, model: nn.Module, steps: int) -> None:
        """Add the weights after a step; integers, such as counters, are taken as they are.

        Args:
            model: the network.
            steps: steps of the stage, this one included.
        """
        decay = min(self._decay, (1 + steps) / (10 + steps))
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.tensors[name].lerp_(value, 1 - decay)
            else:
                self.tensors[name].copy_(value)

    @contextlib.contextmanager
    def within(self, model: nn.Module) -> Iterator[None]:
        """The network has the averaged weights for as long as this lasts, and its own again afterwards."""
        own = _copy(model)
        model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            model.load_state_dict(own)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}
