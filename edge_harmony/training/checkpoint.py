"""Training checkpoints: one safetensors file with everything needed to resume a run, written atomically.

Weights, averaged weights and optimizer moments are tensors; the position (stage, images, history) is JSON in the file's
header. Random generators have no state to save: every step seeds its own from the recipe's seed and its position.
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

from edge_harmony.errors import TrainingError, UsageError
from edge_harmony.files.atomic import atomic_write
from edge_harmony.models.weights_file import CHECKPOINT, describe
from edge_harmony.training.recipe import Recipe


@dataclass
class Position:
    """The progress of a run.

    Attributes:
        stage: index of the current stage.
        images: training images seen in this stage.
        total: training images seen in all stages.
        loss: smoothed training loss, relative to the composite's loss; None before the first step.
        history: one row per validation.
        past: training of the weights before this recipe, see :class:`~edge_harmony.models.weights_file.Weights`.
    """

    stage: int = 0
    images: int = 0
    total: int = 0
    loss: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    past: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(
    path: Path,
    recipe: Recipe,
    position: Position,
    model: nn.Module,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write a checkpoint; an interrupted write leaves the previous one in place.

    The header also describes the network, so that :func:`~edge_harmony.models.weights_file.read_weights` can read the
    averaged weights.
    """
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": torch.as_tensor(value) for name, value in moments.items()}
    metadata = {
        "format": CHECKPOINT,
        "position": json.dumps(asdict(position)),
        "recipe": json.dumps(recipe.content()),
        **describe(model, recipe.model.name, recipe.model.options, recipe.sha256(), position.total, position.past),
    }
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    atomic_write(path, save(contiguous, metadata=metadata))


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint; a ``folded`` network has no separate norms."""

    position: Position
    folded: bool
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    moments: dict[int, dict[str, Tensor]]

    def restore_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Restore the moments; learning rates come from the schedule, not from the file."""
        state = optimizer.state_dict()
        state["state"] = self.moments
        optimizer.load_state_dict(state)


def read_checkpoint(path: Path, recipe: Recipe) -> Checkpoint:
    """Read a checkpoint of this recipe, or of a recipe that it prolongs.

    A recipe prolongs another one if they differ only in the part that is still to be run (:func:`difference`). The
    position's ``past`` then records the progress under the other recipe.

    Raises:
        UsageError: there is no checkpoint.
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
    before = metadata.get("recipe_sha256")
    if before != recipe.sha256():
        content = json.loads(metadata["recipe"]) if "recipe" in metadata else None
        differs = "the file does not contain its recipe" if content is None else difference(content, recipe, position)
        if differs:
            raise TrainingError(
                f"the checkpoint {path} belongs to another recipe: {differs}",
                "resume with its own recipe or use another --output",
            )
        position.past.append({"recipe_sha256": before, "images": position.total, "sha256": None})
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in groups["optimizer"].items():
        number, name = key.split("/")
        moments.setdefault(int(number), {})[name] = tensor
    folded = bool(json.loads(metadata.get("folded", "false")))
    return Checkpoint(position, folded, groups["model"], groups["average"], moments)


def difference(before: dict[str, Any], recipe: Recipe, position: Position) -> str:
    """Describe a change in ``recipe`` that affects a finished part of the run; empty if there is none.

    A new recipe may change the stages after the current one. It may also change the length of the current stage, if the
    learning rate does not depend on the length (schedule ``constant``) and the stage has not seen more images already.

    Args:
        before: :meth:`Recipe.content` of the recipe until now.
        recipe: the recipe from now on.
        position: progress of the run.
    """
    after = recipe.content()
    other = [key for key in {**before, **after} if key != "stages" and before.get(key) != after.get(key)]
    if other:
        return f"{', '.join(sorted(other))} differs"
    for number in range(position.stage + 1):
        old = before["stages"][number]
        new = after["stages"][number] if number < len(after["stages"]) else {}
        changed = sorted(key for key in {**old, **new} if old.get(key) != new.get(key))
        if not changed:
            continue
        name = f"stage {old['name']}"
        if not new or number < position.stage or changed != ["images"]:
            return f"{', '.join(changed)} of {name} differs, and this stage has ended or begun"
        if new.get("schedule") != "constant":
            return f"{name} has another length, but only a stage with the schedule constant can be prolonged"
        if new["images"] < position.images:
            return f"{name} has seen {position.images:,} images already, more than {new['images']:,}"
    return ""
