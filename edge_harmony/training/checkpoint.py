"""Training checkpoints: one safetensors file with everything a run needs to go on, written atomically.

Weights, averaged weights and optimizer moments are tensors; the position (stage, images, history) is JSON in the file's
header. Random numbers need no state: every step seeds its own generators from the recipe's seed and its position.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from edge_harmony.artifact import atomic_write
from edge_harmony.errors import TrainingError, UsageError


@dataclass
class Position:
    """How far a run has come.

    Attributes:
        stage: index of the stage under way.
        images: training images seen in it.
        total: training images seen in all stages.
        loss: smoothed training loss, relative to the composite's; None before the first step.
        history: one row per validation.
    """

    stage: int = 0
    images: int = 0
    total: int = 0
    loss: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(
    path: Path,
    recipe_sha256: str,
    position: Position,
    model: nn.Module,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write a checkpoint; an interrupted write leaves the previous one in place."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": torch.as_tensor(value) for name, value in moments.items()}
    metadata = {"recipe_sha256": recipe_sha256, "position": json.dumps(asdict(position))}
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    atomic_write(path, save(contiguous, metadata=metadata))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read from its file."""

    position: Position
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    moments: dict[int, dict[str, Tensor]]

    def restore_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Give the moments back; learning rates come from the schedule, not from the file."""
        state = optimizer.state_dict()
        state["state"] = self.moments
        optimizer.load_state_dict(state)


def read_checkpoint(path: Path, recipe_sha256: str) -> Checkpoint:
    """Read a checkpoint of this very recipe.

    Raises:
        UsageError: there is none.
        TrainingError: the file is damaged, or belongs to another recipe.
    """
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}", "start without --resume")
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for key in file.keys():  # noqa: SIM118  (not a mapping)
                group, name = key.split("/", 1)
                groups[group][name] = file.get_tensor(key)
        position = Position(**json.loads(metadata["position"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise TrainingError(f"the checkpoint {path} is damaged ({error})", "start again without --resume") from None
    if metadata.get("recipe_sha256") != recipe_sha256:
        raise TrainingError(
            f"the checkpoint {path} belongs to another recipe", "resume with its own recipe or use another --output"
        )
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in groups["optimizer"].items():
        number, name = key.split("/")
        moments.setdefault(int(number), {})[name] = tensor
    return Checkpoint(position, groups["model"], groups["average"], moments)
