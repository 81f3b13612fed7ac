"""Networks traced into programs of PyTorch's core operators, from which converters of other formats start."""

from __future__ import annotations

import torch
from torch import nn

from edge_harmony.export.quiet import quiet


def decomposed(model: nn.Module, size: tuple[int, int]) -> torch.export.ExportedProgram:
    """The program of a network for one picture: core ATen operators.

    Args:
        model: maps ``(1, 3, H, W)`` and ``(1, 1, H, W)``.
        size: height and width.
    """
    inputs = (torch.rand(1, 3, *size), torch.rand(1, 1, *size).round())
    with quiet("torch.export"):
        return torch.export.export(model.eval(), inputs).run_decompositions({})
