"""Changes of a recipe by name, ``stages.0.learning_rate=1e-3``: what of a run may be changed on its way, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from edge_harmony.errors import UsageError
from edge_harmony.files.toml import parse_value, problems_of
from edge_harmony.training.recipe import Recipe

Changes = Mapping[str, Any]
"""Values by their keys, in which dots separate names and numbers of stages."""

_FIXED = ("model", "data", "distillation", "optimizer.kind", "optimizer.encoder_rate")
"""Keys that decide what the numbers in a checkpoint mean, or which pictures are held out."""
_FIXED_IN_STAGE = ("name", "quantize", "scales")


def parse_changes(texts: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` from the command line; values are those of TOML, and words without quotes.

    Raises:
        UsageError: one has another form.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--set {text} is not KEY=VALUE", "write --set stages.0.learning_rate=1e-3")
        changes[key.strip()] = parse_value(value.strip())
    return changes


def change_recipe(recipe: Recipe, changes: Changes) -> Recipe:
    """A copy of a recipe with other values.

    Raises:
        UsageError: a key or a value is not one of recipes.
    """
    if not changes:
        return recipe
    content: Any = recipe.model_dump(mode="json", exclude_unset=True)
    for key, value in changes.items():
        *path, last = key.split(".")
        place = content
        for name in path:
            place = place[_number(name, place, key)] if isinstance(place, list) else place.setdefault(name, {})
            if not isinstance(place, dict | list):
                raise UsageError(f"--set {key}: {name} has no keys of its own", "see docs/training.md for the keys")
        place[_number(last, place, key) if isinstance(place, list) else last] = value
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise UsageError(
            f"--set {', '.join(changes)} does not fit: {problems_of(error, model=Recipe, content=content)}",
            "see docs/training.md for the keys",
        ) from None


def refuse_changes(changes: Changes, stage: int) -> None:
    """Refuse changes of what a run has done, or of what its checkpoint depends on.

    Args:
        changes: what is to be changed.
        stage: index of the run's current stage.

    Raises:
        UsageError: one of them is refused.
    """
    for key in changes:
        parts = key.split(".")
        number = int(parts[1]) if parts[0] == "stages" and len(parts) == 3 and parts[1].isdecimal() else None
        if parts[0] == "stages" and number is None:
            raise UsageError(f"--set {key} names no setting of one stage", "write stages.0.learning_rate")
        if number is not None and number < stage:
            raise UsageError(f"--set {key}: this stage has ended", f"the run is in stage {stage}")
        fixed = any(key == name or key.startswith(f"{name}.") for name in _FIXED)
        if fixed or (number == stage and parts[2] in _FIXED_IN_STAGE):
            raise UsageError(f"--set {key} cannot be changed on the way", "start another run with --init")


def _number(name: str, items: list[Any], key: str) -> int:
    if not name.isdecimal() or int(name) >= len(items):
        raise UsageError(f"--set {key}: there is no {name}", f"count from 0 to {len(items) - 1}")
    return int(name)
