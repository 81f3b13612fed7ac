"""Random draws for batches: tensors from one seeded generator, on its device."""

from __future__ import annotations

import torch
from torch import Tensor


class Dice:
    """Random draws from one generator, as tensors on its device."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform draws in [low, high)."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.generator.device)

    def normal(self, deviation: float, *shape: int) -> Tensor:
        """Normal draws with mean 0."""
        return deviation * torch.randn(shape, generator=self.generator, device=self.generator.device)

    def integer(self, low: int, high: int) -> int:
        """One integer in [low, high]."""
        return int(torch.randint(low, high + 1, (1,), generator=self.generator, device=self.generator.device).item())

    def rotations(self, count: int) -> Tensor:
        """Random orthogonal matrices ``(count, 3, 3)``."""
        return torch.linalg.qr(self.normal(1.0, count, 3, 3))[0]

    def choice(self, weights: list[float], count: int) -> Tensor:
        """``count`` indices drawn with the given weights."""
        table = torch.tensor(weights, device=self.generator.device)
        return torch.multinomial(table, count, replacement=True, generator=self.generator)
