"""Import of checkpoints of the public HDNet code, by renaming their parameters."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from edge_harmony.errors import InputError, UsageError, last_line, parsing
from edge_harmony.files.identity import check_outputs
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import save_weights

_ENCODER = ["model_layer0", *(f"model_layer{k}.1" for k in (1, 2, 3, 4, 5, 6)), "model_layer71.1"]
_DECODER = ["72", "8", "9", "10", "11", "12", "13"]
LARGEST = 512 << 20
"""Bytes of a checkpoint in memory; HDNet's parameters take 42 MB, with an optimizer's moments three times as much."""
_UNUSED = ("conv_guide.",)
"""Parameters that the public network has but never uses."""


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
        state: name to tensor, as the public code saves its generator; a ``module.`` or ``netG.`` prefix and the unused
            guide convolutions are dropped.

    Returns:
        A state dict for ``HDNet.load_state_dict``.

    Raises:
        InputError: names are missing or unknown.
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


def read_public_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors``, ``.npz`` or a torch file, without unpickling anything but tensors.

    A torch file may hold the state dict itself, or hold it under ``state_dict``, ``model``, ``netG`` or ``generator``.

    Raises:
        UsageError: the file does not exist.
        InputError: the file is damaged, or holds other Python objects.
    """
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}", "check the path")
    hint = "save the generator's state_dict() alone, with torch.save or safetensors"
    with parsing(f"{path} is damaged or holds more than tensors", hint):
        if path.suffix == ".safetensors":
            return load_file(path)
        refuse_unpacked(path, hint)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name.removeprefix("weight/"): torch.from_numpy(arrays[name]) for name in arrays.files}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; nothing but tensors is read anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model", "netG", "generator"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise InputError(f"{path} holds no state dict", hint)
    return dict(content)


def refuse_unpacked(path: Path, hint: str) -> None:
    """Refuse a zip file, as ``.npz`` and torch's are, that takes much more memory than the networks that are converted.

    Only its list of files and the arrays' headers are read.

    Raises:
        InputError: it unpacks to more than :data:`LARGEST`.
    """
    if not zipfile.is_zipfile(path):
        return
    total = 0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            said = 0
            if path.suffix == ".npz":
                with archive.open(entry) as file:
                    version = np.lib.format.read_magic(file)
                    first = version == (1, 0)
                    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
                    shape, _, kind = read(file)
                    said = math.prod(shape) * kind.itemsize
            total += max(entry.file_size, said)
    if total > LARGEST:
        raise InputError(
            f"{path} unpacks to {total >> 20:,} MiB, more than {LARGEST >> 20} MiB, the most that is read", hint
        )


def import_public_checkpoint(source: Path, output: Path, name: str, variant: str) -> int:
    """Convert a checkpoint of the public code to our weights file.

    Args:
        source: see :func:`read_public_checkpoint`.
        output: safetensors file to write.
        name: ``hdnet`` or ``hdnet-lite``.
        variant: variant of :class:`~edge_harmony.models.hdnet.HDNet`, recorded in the file.

    Returns:
        The number of parameters.

    Raises:
        UsageError: there is no such file, or ``output`` is ``source``.
        InputError: the file is not a checkpoint of the public code, or has another width.
    """
    check_outputs([output], [source])
    state = {key: value for key, value in read_public_checkpoint(source).items() if _is_parameter(key)}
    options = {"variant": variant}
    model = build_model(name, **options)
    try:
        model.load_state_dict(convert_public_state(state))
    except RuntimeError as error:
        raise InputError(
            f"{source} is not a checkpoint of {name} ({last_line(error)})", "try --as with the other size"
        ) from None
    save_weights(output, model, name=name, options=options)
    return sum(parameter.numel() for parameter in model.parameters())


def _is_parameter(key: str) -> bool:
    """Whether a key names a parameter; golden files also hold inputs and outputs."""
    return key.rpartition(".")[2] in ("weight", "bias") or "_gamma" in key or "_beta" in key
