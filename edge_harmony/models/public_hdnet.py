"""State dicts of the public HDNet code, renamed to ours: how people bring their own trained checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from edge_harmony.errors import InputError

_ENCODER = ["model_layer0", *(f"model_layer{k}.1" for k in (1, 2, 3, 4, 5, 6)), "model_layer71.1"]
_DECODER = ["72", "8", "9", "10", "11", "12", "13"]
_UNUSED = ("conv_guide.",)
"""Parameters that the public network holds but never uses."""


def _renames() -> dict[str, str]:
    names = {f"{name}.weight": f"encoder.{k}.weight" for k, name in enumerate(_ENCODER)}
    for k, layer in enumerate(_DECODER):
        names[f"model_layer{layer}.1.weight"] = f"decoder.{k}.weight"
        for parameter in ("foreground_gamma", "foreground_beta", "background_gamma", "background_beta"):
            names[f"model_layer{layer}norm.{parameter}"] = f"norms.{k}.{parameter}"
    for k, layer in enumerate(("11", "12", "13")):
        for theirs, ours in ((1, 0), (3, 2)):
            for parameter in ("weight", "bias"):
                names[f"model_layer{layer}att.conv_kernel.{theirs}.{parameter}"] = (
                    f"mask_dynamics.{k}.kernel.{ours}.{parameter}"
                )
    for parameter in ("weight", "bias"):
        names[f"model_out.1.{parameter}"] = f"head.{parameter}"
        names[f"LD.linear.{parameter}"] = f"local_dynamics.linear.{parameter}"
    return names


def convert_public_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict of the public HDNet code to the names of :class:`~edge_harmony.models.hdnet.HDNet`.

    Args:
        state: name to tensor, as the public code saves its generator; a ``module.`` or ``netG.`` prefix and the
            never used guide convolutions are dropped.

    Returns:
        A state dict that ``HDNet.load_state_dict`` takes.

    Raises:
        InputError: names are missing or left over.
    """
    renames = _renames()
    converted: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, tensor in state.items():
        bare = name.removeprefix("module.").removeprefix("netG.").removeprefix("module.")
        if bare in renames:
            converted[renames[bare]] = tensor
        elif not any(part in bare for part in _UNUSED):
            unknown.append(name)
    missing = [theirs for theirs, ours in renames.items() if ours not in converted]
    if missing or unknown:
        parts = []
        if missing:
            parts.append(f"{len(missing)} parameters are missing (first: {missing[0]})")
        if unknown:
            parts.append(f"{len(unknown)} are unknown (first: {unknown[0]})")
        raise InputError(
            f"not a state dict of the public HDNet code: {', '.join(parts)}",
            "save the generator's state_dict() with the names of the public repository",
        )
    return converted
