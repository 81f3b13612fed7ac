"""Training checkpoints: one safetensors file with everything needed to resume a run, written atomically.

Weights, averaged weights and optimizer moments are tensors; the position (stage, images, history) is JSON in the file's
header. Random generators have no state to save: every step seeds its own from the recipe's seed and its position.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Json, NonNegativeInt, ValidationError
from torch import Tensor, nn

from edge_harmony.errors import TrainingError, UsageError, parsing
from edge_harmony.files.toml import problems_of
from edge_harmony.models.tensors_file import read_tensors, read_texts, write_tensors
from edge_harmony.models.weights_file import CHECKPOINT, all_options, describe
from edge_harmony.training.changes import Changes, change_recipe, refuse_changes
from edge_harmony.training.recipe import Recipe

_AGAIN = "start again without --resume"


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
        changes: settings of the recipe that were changed on the way, by their keys.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    stage: NonNegativeInt = 0
    images: NonNegativeInt = 0
    total: NonNegativeInt = 0
    loss: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    past: list[dict[str, Any]] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)

    def advance(self, images: int, loss: float) -> None:
        """Count the images of a step, and smooth its loss into :attr:`loss`."""
        self.images += images
        self.total += images
        self.loss = loss if self.loss is None else 0.99 * self.loss + 0.01 * loss


def checkpoint_path(folder: Path) -> Path:
    """Path of the checkpoint of the run in a folder."""
    return folder / "checkpoint.safetensors"


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
    write_tensors(path, tensors, metadata)


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint; a ``folded`` network has no separate norms."""

    path: Path
    position: Position
    folded: bool
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    moments: dict[int, dict[str, Tensor]]

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Restore weights and moments; learning rates come from the schedule, not from the file.

        Args:
            model: the recipe's network, in the state that its stage prepares it in.
            optimizer: of its parameters.

        Returns:
            The averaged weights, on the devices of the network's.

        Raises:
            TrainingError: tensors are missing, left over or of other shapes.
        """
        own = model.state_dict()
        wrong = _unlike(own, self.model) or _unlike(own, self.average)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for number, moments in self.moments.items():
            shapes = {parameters[number].shape, torch.Size()} if number < len(parameters) else set()
            wrong = wrong or next((name for name, value in moments.items() if value.shape not in shapes), "")
        if wrong:
            raise TrainingError(f"the checkpoint {self.path} does not fit the recipe's network ({wrong})", _AGAIN)
        model.load_state_dict(self.model)
        state = optimizer.state_dict()
        state["state"] = self.moments
        optimizer.load_state_dict(state)
        return {name: value.to(own[name].device) for name, value in self.average.items()}


def _unlike(own: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    """The first name that only one of them has, or whose shapes differ."""
    alike = {name for name, value in given.items() if name in own and own[name].shape == value.shape}
    return next(iter(sorted((own.keys() | given.keys()) - alike)), "")


class _Header(BaseModel):
    """What :func:`save_checkpoint` writes besides the description of the network, with its types."""

    position: Json[Position]
    recipe: Json[dict[str, Any]] | None = None
    recipe_sha256: str | None = None
    folded: Json[bool] = False
    options: Json[dict[str, Any]] | None = None


def read_checkpoint(path: Path, recipe: Recipe, changes: Changes = MappingProxyType({})) -> Checkpoint:
    """Read a checkpoint of this recipe, or of a recipe that it prolongs or changes by name.

    A recipe prolongs another one if they differ only in the part that is still to be run (:func:`difference`). The
    position's ``past`` then records the progress under the other recipe, and what was changed.

    Args:
        path: of the checkpoint.
        recipe: of the run from now on, with the changes.
        changes: what ``recipe`` changes by name, see :func:`~edge_harmony.training.changes.refuse_changes`.

    Raises:
        UsageError: there is no checkpoint, or a change is refused.
        TrainingError: the file is damaged, belongs to another recipe, or to what the network of this name was before.
    """
    header = _read_header(path)
    tensors, _ = read_tensors(path, *_damaged(path), TrainingError)
    position, groups = header.position, _grouped(tensors)
    if position.stage >= len(recipe.stages):
        raise TrainingError(f"the checkpoint {path} is in stage {position.stage}, which the recipe has not", _AGAIN)
    network = json.loads(json.dumps(all_options(recipe.model.name, recipe.model.options)))
    same = header.recipe is not None and header.recipe.get("model") == recipe.content()["model"]
    if same and header.options not in (None, network):
        raise TrainingError(
            f"the checkpoint {path} is of an earlier {recipe.model.name}, with the options {header.options}",
            "start again from its weights, with --init CHECKPOINT and another --output",
        )
    refuse_changes(changes, position.stage)
    least = recipe.stages[position.stage].images
    if f"stages.{position.stage}.images" in changes and least < position.images:
        raise UsageError(f"the stage has seen {position.images:,} images already, more than {least:,}", "give more")
    before = header.recipe_sha256
    if before != recipe.sha256():
        differs = "the file does not contain its recipe"
        if header.recipe is not None:
            with parsing(f"the recipe in the checkpoint {path} is damaged", _AGAIN, TrainingError):
                old = Recipe.model_validate(header.recipe)
            differs = difference(change_recipe(old, changes).content(), recipe, position)
        if differs:
            raise TrainingError(
                f"the checkpoint {path} belongs to another recipe: {differs}",
                "resume with its own recipe or use another --output",
            )
        past: dict[str, Any] = {"recipe_sha256": before, "images": position.total, "sha256": None}
        position.past.append(past | ({"changes": dict(changes)} if changes else {}))
        position.changes |= changes
    moments: dict[int, dict[str, Tensor]] = {}
    with parsing(*_damaged(path), TrainingError):
        for key, tensor in groups["optimizer"].items():
            number, name = key.split("/")
            moments.setdefault(int(number), {})[name] = tensor
    return Checkpoint(path, position, header.folded, groups["model"], groups["average"], moments)


def read_changes(path: Path) -> dict[str, Any]:
    """What was changed by name in the run of a checkpoint, by its keys.

    Raises:
        UsageError: there is no checkpoint.
        TrainingError: the file is damaged.
    """
    return _read_header(path).position.changes


def _read_header(path: Path) -> _Header:
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}", "start without --resume")
    message, hint = _damaged(path)
    try:
        return _Header.model_validate(read_texts(path, message, hint, TrainingError))
    except ValidationError as error:
        raise TrainingError(f"{message} ({problems_of(error)})", hint) from None


def _damaged(path: Path) -> tuple[str, str]:
    return f"the checkpoint {path} is damaged", _AGAIN


def _grouped(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = tensor
    return groups


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
