"""The optimizer of a run: its parameters, in the order by which checkpoints number their moments, and their rates."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from edge_harmony.training.recipe import OptimizerConfig, StageConfig


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


def set_rates(optimizer: torch.optim.Optimizer, stage: StageConfig, images: int) -> None:
    """Give each group its share of the learning rate of the step at ``images`` of a stage."""
    for group in optimizer.param_groups:
        group["lr"] = group["share"] * learning_rate(stage, images)


def learning_rate(stage: StageConfig, images: int) -> float:
    """The learning rate of the step at ``images``: linear warm-up, then cosine, linear to 0, steps or constant."""
    share = images / stage.images
    rate = stage.learning_rate
    if stage.schedule == "cosine":
        rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
    elif stage.schedule == "linear":
        rate *= 1 - share
    elif stage.schedule == "step":
        rate *= stage.decay ** sum(share >= milestone for milestone in stage.milestones)
    if images < stage.warmup:
        rate *= (images + stage.batch) / (stage.warmup + stage.batch)
    return rate
