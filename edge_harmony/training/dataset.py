"""Training pictures: square, 8 bits, gathered into batches from memory or, if memory is too small, from files."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_harmony.data.iharmony4 import Triplet, read_split
from edge_harmony.data.photos import MaskedPhoto, read_photos
from edge_harmony.errors import EdgeHarmonyError, InputError, UsageError, name_some
from edge_harmony.training.recipe import DataConfig

log = logging.getLogger(__name__)

TrainingSample = Triplet | MaskedPhoto
SamplePlanes = tuple[Tensor, Tensor, Tensor | None]

_READ_AT_ONCE = 256
_LOOKED_AT = 64
_COLOUR_SIDE = 64
_SAME_COLOUR = 5e-3
_ANY = 1e-12  # an object without a similar one gets any other


class PictureStore(Protocol):
    """Pictures to draw batches from."""

    def __len__(self) -> int:
        """Number of samples."""

    def gather(self, index: Tensor, device: torch.device) -> SamplePlanes:
        """Samples by index ``(N,)`` as float tensors in [0, 1] on ``device``.

        Returns:
            real ``(N, 3, S, S)``, mask ``(N, 1, S, S)``, and the given composites like real, or None.
        """

    def object_colours(self) -> Tensor:
        """The mean colour of every object in its real picture, ``(len, 3)`` RGB in [0, 1]; computed at first use."""


class MemoryStore:
    """Samples decoded once and kept as 8-bit tensors.

    Raises:
        InputError: files are missing or damaged, sizes differ, or no mask has both foreground and background; one error
            names all of them.
    """

    def __init__(self, samples: Sequence[TrainingSample], side: int) -> None:
        self._real, self._mask, self._given = _decode_all(samples, side)
        _judge_masks(samples, self._mask)
        self._colours: Tensor | None = None

    def __len__(self) -> int:
        return len(self._real)

    def gather(self, index: Tensor, device: torch.device) -> SamplePlanes:
        """See :class:`PictureStore`."""
        real, mask = _pick(self._real, index, device), _pick(self._mask, index, device)
        return real, mask, None if self._given is None else _pick(self._given, index, device)

    def object_colours(self) -> Tensor:
        """See :class:`PictureStore`."""
        if self._colours is None:
            self._colours = _object_colours(self._real, self._mask)
        return self._colours


class FileStore:
    """Samples decoded when a batch needs them, in parallel: for sets that do not fit into memory.

    Raises:
        InputError: of the samples that are looked at before, one is missing or damaged, or no mask has both foreground
            and background.
    """

    def __init__(self, samples: Sequence[TrainingSample], side: int) -> None:
        looked_at = samples[:: -(-len(samples) // _LOOKED_AT)]
        _judge_masks(looked_at, _decode_all(looked_at, _COLOUR_SIDE)[1])
        self._samples = samples
        self._side = side
        self._colours: Tensor | None = None

    def __len__(self) -> int:
        return len(self._samples)

    def gather(self, index: Tensor, device: torch.device) -> SamplePlanes:
        """See :class:`PictureStore`."""
        real, mask, given = _decode_all([self._samples[k] for k in index.tolist()], self._side)
        return _to_float(real, device), _to_float(mask, device), None if given is None else _to_float(given, device)

    def object_colours(self) -> Tensor:
        """See :class:`PictureStore`; every file is read once."""
        if self._colours is None:
            parts = [
                _object_colours(*_decode_all(self._samples[start : start + _READ_AT_ONCE], _COLOUR_SIDE)[:2])
                for start in range(0, len(self._samples), _READ_AT_ONCE)
            ]
            self._colours = torch.cat(parts)
        return self._colours


def draw_alike(colours: Tensor, index: Tensor, scale: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Replace half of a batch by objects with colours similar to the other half, so that partners can swap colours.

    An object at the distance ``d`` is drawn with the weight ``exp(-(d / scale)^2)``. Objects of nearly identical colour
    count as one object and are not drawn.

    Args:
        colours: ``(L, 3)`` mean colours of all objects.
        index: ``(N,)``, the batch as drawn; its first half is kept.
        scale: scale of the distance, in units of the colours.
        generator: random generator on the CPU.

    Returns:
        The new indices of the batch, and for each sample the position of its partner in the batch, both ``(N,)``. In a
        batch of odd size, the last sample is its own partner.
    """
    half = len(index) // 2
    place = torch.arange(len(index))
    if not half or len(colours) < 2:
        return index, place
    distance = torch.cdist(colours[index[:half]], colours)
    weight = torch.exp(-((distance / scale) ** 2)) * (distance > _SAME_COLOUR) + _ANY
    drawn = torch.multinomial(weight, 1, generator=generator)[:, 0]
    index = torch.cat([index[:half], drawn, index[2 * half :]])
    partner = torch.cat([place[half : 2 * half], place[:half], place[2 * half :]])
    return index, partner


def _object_colours(real: Tensor, mask: Tensor) -> Tensor:
    """Mean colours ``(N, 3)`` in [0, 1], computed in parts, because floats take four times the memory."""
    means = []
    for start in range(0, len(real), _READ_AT_ONCE):
        weight = mask[start : start + _READ_AT_ONCE].float()
        total = (real[start : start + _READ_AT_ONCE].float() * weight).sum((2, 3))
        means.append(total / weight.sum((2, 3)).clamp_min(1) / 255)
    return torch.cat(means)


def open_store(samples: Sequence[TrainingSample], side: int, memory: int) -> PictureStore:
    """Keep squares of ``side`` pixels in memory if they take at most ``memory`` bytes, else read them when needed."""
    return MemoryStore(samples, side) if len(samples) * 7 * side * side <= memory else FileStore(samples, side)


def _pick(levels: Tensor, index: Tensor, device: torch.device) -> Tensor:
    return _to_float(levels.index_select(0, index), device)


def _to_float(levels: Tensor, device: torch.device) -> Tensor:
    return levels.to(device, non_blocking=True).float().div_(255)


def split_samples(config: DataConfig) -> tuple[list[list[TrainingSample]], list[TrainingSample]]:
    """Training samples of every source of a data configuration, and the validation samples of all.

    Whole real pictures are held out, chosen by a hash of their name. So the choice does not depend on the machine or
    the order of the list, and no picture is on both sides.

    Raises:
        UsageError: a source has no root.
        InputError: the split leaves a source no training samples.
    """
    train: list[list[TrainingSample]] = []
    held: list[TrainingSample] = []
    for source in config.all_sources():
        if source.root is None:
            named = f" for {source.name}" if config.sources else ""
            way = f"{source.name}=ROOT" if config.sources else "ROOT"
            raise UsageError(f"no data root{named}", f"pass --data {way} or set it in the recipe")
        samples: Sequence[TrainingSample] = (
            read_split(source.root, "train") if source.layout == "iharmony4" else read_photos(source.root)
        )
        kept: list[TrainingSample] = []
        for sample in samples:
            (held if _share(sample) < config.validation else kept).append(sample)
        if not kept:
            raise InputError(f"{source.root} leaves no training samples", "use more data or a smaller data.validation")
        train.append(kept)
    return train, held


def _share(sample: TrainingSample) -> float:
    path = sample.real if isinstance(sample, Triplet) else sample.photo
    key = f"{path.parent.parent.name}/{path.stem}" if isinstance(sample, Triplet) else path.stem
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32


def _decode_all(samples: Sequence[TrainingSample], side: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Real pictures, masks and given composites as 8-bit tensors, decoded in parallel."""
    with ThreadPoolExecutor() as pool:
        loaded = list(pool.map(lambda sample: _attempt(sample, side), samples))
    broken = [item for item in loaded if isinstance(item, str)]
    if broken:
        raise InputError(f"{len(broken)} samples cannot be read: {name_some(broken)}", "restore the files")
    items = [item for item in loaded if not isinstance(item, str)]
    given = None if items[0][2] is None else _stack([item[2] for item in items])
    return _stack([item[0] for item in items]), _stack([item[1] for item in items]), given


def _attempt(sample: TrainingSample, side: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None] | str:
    try:
        if isinstance(sample, Triplet):
            composite, mask, real = sample.load()
            return _square(real, side), _square_mask(mask, side), _square(composite, side)
        picture, mask, _ = sample.load()
        return _square(picture, side), _square_mask(mask, side), None
    except EdgeHarmonyError as error:
        return error.message


def _square(picture: NDArray[Any], side: int) -> NDArray[Any]:
    resized = cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized.transpose(2, 0, 1))


def _square_mask(mask: NDArray[np.float32], side: int) -> NDArray[Any]:
    resized = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
    return np.rint(resized * 255).astype(np.uint8)[None]


def _judge_masks(samples: Sequence[TrainingSample], masks: Tensor) -> None:
    """Tell masks ``(N, 1, S, S)`` from which nothing is learned: those without foreground, or without background."""
    flat = (masks.amax((1, 2, 3)) == masks.amin((1, 2, 3))).tolist()
    names = [sample.mask.name for sample, is_flat in zip(samples, flat, strict=True) if is_flat]
    if len(names) == len(samples):
        raise InputError(
            f"no mask of the training samples has both foreground and background: {name_some(names)}",
            "white is the foreground; check how the masks were written",
        )
    if names:
        log.warning(
            "%d of %d masks have no foreground or no background, and teach nothing: %s",
            *(len(names), len(samples), name_some(names)),
        )


def _stack(arrays: Sequence[NDArray[Any] | None]) -> Tensor:
    return torch.from_numpy(np.stack([array for array in arrays if array is not None]))
