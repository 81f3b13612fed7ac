"""Peers to compare with: methods without a network, and other projects' code, which the user has in a checkout.

An adapter imports a project's modules from the given folder and calls them as the project's own scripts do. None of
that code is part of this package. Every peer is a function from an 8-bit composite and a mask to the harmonized 8-bit
picture.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import ArtifactError, CapabilityError, UsageError, first_line
from edge_harmony.pictures.arrays import Pixels

if TYPE_CHECKING:
    from torch import nn

Mask = NDArray[np.float32]
Function = Callable[[Pixels, Mask], Pixels]

_BORDER = 8
_WORKING = (256, 256)


@dataclass(frozen=True)
class Peer:
    """A peer.

    Attributes:
        summary: one line for people.
        load: function from checkout and checkpoint to the function to time.
        needs_checkout: description of the checkout; empty if none is needed.
        trained: whether it has weights; then its pictures are meaningless without a checkpoint.
    """

    summary: str
    load: Callable[[Path | None, Path | None], Function]
    needs_checkout: str = ""
    trained: bool = False


def reinhard(composite: Pixels, mask: Mask) -> Pixels:
    """Set mean and deviation of the foreground in CIELAB to those of the background.

    Reinhard et al., "Color Transfer between Images", IEEE CG&A 21 (2001), equations 10 and 11, in CIELAB instead of
    their l-alpha-beta. Pictures without a foreground or a background are returned unchanged.
    """
    inside = (mask > 0.5).astype(np.uint8)
    if not inside.any() or inside.all():
        return composite
    lab = cv2.cvtColor(composite.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    mean, deviation = (value.reshape(3) for value in cv2.meanStdDev(lab, mask=inside))
    wanted_mean, wanted_deviation = (value.reshape(3) for value in cv2.meanStdDev(lab, mask=1 - inside))
    scale = wanted_deviation / np.maximum(deviation, 1e-6)
    moved = (lab * scale + (wanted_mean - mean * scale)).astype(np.float32)
    return _blend(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), composite, mask)


def seamless_clone(composite: Pixels, mask: Mask) -> Pixels:
    """OpenCV's Poisson cloning of the foreground onto the picture without it.

    Pérez et al., "Poisson Image Editing", SIGGRAPH 2003; https://docs.opencv.org/4.x/df/da0/group__photo__clone.html.
    The picture behind a composite's foreground is unknown, so it is first filled in smoothly from the surroundings.
    """
    inside = (mask > 0.5).astype(np.uint8)
    if not inside.any() or inside.all():
        return composite
    marked = cv2.copyMakeBorder(inside, _BORDER, _BORDER, _BORDER, _BORDER, cv2.BORDER_CONSTANT, value=0)
    padded = cv2.copyMakeBorder(composite, _BORDER, _BORDER, _BORDER, _BORDER, cv2.BORDER_REPLICATE)
    x, y, width, height = cv2.boundingRect(marked)
    centre = (x + width // 2, y + height // 2)
    behind = cv2.inpaint(padded, cv2.dilate(marked, np.ones((3, 3), np.uint8)), 3, cv2.INPAINT_TELEA)
    cloned = cv2.seamlessClone(padded, behind, marked * 255, centre, cv2.NORMAL_CLONE)
    return _blend(cloned[_BORDER:-_BORDER, _BORDER:-_BORDER] / np.float32(255), composite, mask)


def _blend(changed: Any, composite: Pixels, mask: Mask) -> Pixels:
    levels = np.clip(changed, 0, 1) * 255
    return np.rint(composite + mask[..., None] * (levels - composite)).astype(np.uint8)


def _without_network(function: Function) -> Callable[[Path | None, Path | None], Function]:
    return lambda checkout, checkpoint: function


def _from_file(checkout: Path | None, checkpoint: Path | None) -> Function:
    """Load a Python file with a function ``load(checkpoint)`` that returns the peer's function."""
    path = _existing(checkout)
    spec = importlib.util.spec_from_file_location("edge_harmony_peer", path)
    if spec is None or spec.loader is None or path.is_dir():
        raise UsageError(f"{path} is not a Python file", "give one that defines load(checkpoint)")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "load"):
        raise UsageError(f"{path} has no function load", "define load(checkpoint), returning f(composite, mask)")
    function: Function = module.load(checkpoint)
    return function


def _hdnet(checkout: Path | None, checkpoint: Path | None) -> Function:
    """https://github.com/chenhaoxing/HDNet: its network of 10.4 M parameters at 256 x 256, colours in [-1, 1]."""
    networks = _import(checkout, "models.networks")
    network = _ready(networks.HDNet(3, 3, 32, norm_layer=networks.RAIN), checkpoint)

    def run(composite: Pixels, mask: Mask) -> Pixels:
        import torch

        picture, small_mask = _tensors(_small(composite), cv2.resize(mask, _WORKING))
        with torch.inference_mode():
            painted = ((network(picture * 2 - 1, small_mask)[0] + 1) / 2).permute(1, 2, 0).numpy()
        return _blend(cv2.resize(painted, (composite.shape[1], composite.shape[0])), composite, mask)

    return run


def _pct_net(kind: str) -> Callable[[Path | None, Path | None], Function]:
    """https://github.com/rakutentech/PCT-Net-Image-Harmonization, as its scripts/evaluate_folder.py runs it."""

    def load(checkout: Path | None, checkpoint: Path | None) -> Function:
        import torch

        configuration = _import(checkout, "iharm.mconfigs").ALL_MCONFIGS[kind]
        parameters = configuration["params"]
        network = _ready(configuration["model"](**parameters), checkpoint)
        own = parameters["input_normalization"]
        predictor = _import(checkout, "iharm.inference.predictor").Predictor(
            network, torch.device("cpu"), use_attn=parameters["use_attn"], mean=own["mean"], std=own["std"]
        )

        def run(composite: Pixels, mask: Mask) -> Pixels:
            small = _small(composite), cv2.resize(mask, _WORKING)
            _, full = predictor.predict(small[0], composite, small[1], mask)
            return np.rint(np.clip(full, 0, 255)).astype(np.uint8)

        return run

    return load


def _harmonizer(checkout: Path | None, checkpoint: Path | None) -> Function:
    """https://github.com/ZHKKKe/Harmonizer, as its demo/image_harmonization/run.py runs it."""
    network = _ready(_import(checkout, "src.model").Harmonizer(), checkpoint)

    def run(composite: Pixels, mask: Mask) -> Pixels:
        import torch

        picture, weight = _tensors(composite, mask)
        with torch.inference_mode():
            made = network.restore_image(picture, weight, network.predict_arguments(picture, weight))
        while isinstance(made, list | tuple):
            made = made[-1]
        return np.rint(made.reshape(3, *mask.shape).permute(1, 2, 0).clamp(0, 1).numpy() * 255).astype(np.uint8)

    return run


def _small(composite: Pixels) -> Pixels:
    return np.asarray(cv2.resize(composite, _WORKING), np.uint8)


def _tensors(composite: Pixels, mask: NDArray[Any]) -> tuple[Any, Any]:
    """Tensors ``(1, 3, H, W)`` and ``(1, 1, H, W)`` in [0, 1]."""
    import torch

    picture = torch.from_numpy(composite.astype(np.float32) / 255).permute(2, 0, 1)[None]
    return picture, torch.from_numpy(mask.astype(np.float32))[None, None]


def _existing(checkout: Path | None) -> Path:
    if checkout is None or not checkout.exists():
        raise UsageError(f"there is no checkout {checkout}", "clone the project and give its folder")
    return checkout.resolve()


def _import(checkout: Path | None, module: str) -> Any:
    """Import a module of a checkout. Its folder goes first on the path, as a worker measures only one contender."""
    folder = str(_existing(checkout))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CapabilityError(
            f"{module} of {folder} cannot be imported ({error})", "check the folder, and install what the project needs"
        ) from None


def _ready(network: nn.Module, checkpoint: Path | None) -> Any:
    """Return the network in evaluation mode, with the tensors of the checkpoint if given; nothing is unpickled."""
    if checkpoint is not None:
        import torch

        try:
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            network.load_state_dict(network.state_dict() | state)
        except FileNotFoundError:
            raise UsageError(f"there is no checkpoint {checkpoint}", "check the path") from None
        except Exception as error:
            raise ArtifactError(
                f"the checkpoint {checkpoint} does not fit ({first_line(error)})", "use a checkpoint of this network"
            ) from None
    return network.eval()


PEERS = {
    "reinhard": Peer("Reinhard's colour transfer in CIELAB", _without_network(reinhard)),
    "seamless-clone": Peer("OpenCV's Poisson cloning onto a filled-in background", _without_network(seamless_clone)),
    "file": Peer("a Python file", _from_file, "a Python file that defines load(checkpoint)"),
    "hdnet-public": Peer("HDNet's public code", _hdnet, "a clone of github.com/chenhaoxing/HDNet", trained=True),
    "pct-net": Peer(
        "PCT-Net's public code, CNN",
        _pct_net("CNN_pct"),
        "a clone of github.com/rakutentech/PCT-Net-Image-Harmonization",
        trained=True,
    ),
    "pct-net-vit": Peer(
        "PCT-Net's public code, ViT",
        _pct_net("ViT_pct"),
        "a clone of github.com/rakutentech/PCT-Net-Image-Harmonization",
        trained=True,
    ),
    "harmonizer": Peer(
        "Harmonizer's public code", _harmonizer, "a clone of github.com/ZHKKKe/Harmonizer", trained=True
    ),
}
