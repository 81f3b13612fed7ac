"""Starting a run from weights: shipped ones, those of another run, or the averages in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from edge_harmony.errors import ArtifactError, name_some
from edge_harmony.files.atomic import sha256_of
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.weights_file import read_weights


def start_from(path: Path, model: nn.Module) -> list[dict[str, Any]]:
    """Load weights into a network, in place; where they have folded norms, the network trains on without norms.

    Activation ranges are left out: quantized stages calibrate their own.

    Args:
        path: a weights file or a training checkpoint, of which the averaged weights are taken.
        model: the network, with its norms.

    Returns:
        the weights' history with this file at its end, see :class:`~edge_harmony.models.weights_file.Weights`.

    Raises:
        UsageError: the file does not exist.
        ArtifactError: it is damaged, or its tensors are not those of the network.
    """
    weights = read_weights(path)
    if weights.folded:
        fold_norms(model)
    own, given = model.state_dict(), weights.tensors
    wrong = [f"{name} is not in the network" for name in given if name not in own]
    wrong += [f"{name} is missing" for name in own if name not in given]
    wrong += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    if wrong:
        raise ArtifactError(
            f"the weights {path} do not fit the recipe's network: {name_some(wrong)}",
            f"they are of {weights.name} with the options {weights.options}",
        )
    model.load_state_dict(given)
    taken = {"recipe_sha256": weights.recipe_sha256, "images": weights.images, "sha256": sha256_of(path)}
    return [*weights.history, taken]
