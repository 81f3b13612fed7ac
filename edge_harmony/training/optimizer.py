"""The optimizer of a run, and the order of its parameters, by which checkpoints number their moments."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edge_harmony.training.recipe import OptimizerConfig


def in_encoder(name: str) -> bool:
    """Whether a parameter or module of this dotted name belongs to the network's encoder."""
    return name.startswith("encoder.")


def make_optimizer(model: nn.Module, settings: OptimizerConfig) -> torch.optim.Optimizer:
    """Adam or AdamW over a network's parameters; vectors (biases, gains) have no weight decay.

    Each group holds its ``share`` of the learning rate, which an encoder may have less of. An encoder without a share
    is in no group and gets no gradients, so a step takes no time for its backward pass.
    """
    groups: list[dict[str, Any]] = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(settings.encoder_rate > 0 or not in_encoder(name))
    for share in dict.fromkeys((1.0, settings.encoder_rate or 1.0)):
        chosen = [
            p
            for name, p in model.named_parameters()
            if p.requires_grad and (settings.encoder_rate if in_encoder(name) else 1.0) == share
        ]
        groups += [
            {"params": [p for p in chosen if p.ndim > 1], "weight_decay": settings.weight_decay, "share": share},
            {"params": [p for p in chosen if p.ndim <= 1], "weight_decay": 0.0, "share": share},
        ]
    kind = torch.optim.AdamW if settings.kind == "adamw" else torch.optim.Adam
    return kind(groups, lr=1e-3, betas=settings.betas)
