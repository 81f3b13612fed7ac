"""A folder of one's own photographs with masks, from which training composites are synthesized.

Layout: ``photos/`` with the pictures and ``masks/`` with gray masks of equal base names (``dog.jpg`` and
``dog.png``, or several: ``dog_1.png``, ``dog_2.png``). The photographs are the ground truth;
:mod:`edge_harmony.training.composites.synthesis` makes the composites.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError, UsageError, name_some
from edge_harmony.pictures.arrays import to_eight_bits
from edge_harmony.pictures.images import list_pictures, read_mask, read_picture


@dataclass(frozen=True)
class MaskedPhoto:
    """A photograph and the mask of one of its objects."""

    photo: Path
    mask: Path

    @property
    def name(self) -> str:
        """The mask's file name, because a photograph may have several masks."""
        return self.mask.name

    def load(self) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """Read photograph ``(H, W, 3)`` uint8, mask ``(H, W)`` in [0, 1], and the photograph again, as the truth.

        Raises:
            EdgeHarmonyError: a file is missing or damaged, or the two have different sizes.
        """
        picture = np.ascontiguousarray(to_eight_bits(read_picture(self.photo).pixels[..., :3]))
        mask = read_mask(self.mask)
        if picture.shape[:2] != mask.shape:
            raise InputError(f"{self.mask.name} and {self.photo.name} differ in size")
        return picture, mask, picture


def read_photos(root: Path | str) -> list[MaskedPhoto]:
    """Pair the photographs of a folder with their masks.

    Raises:
        UsageError: the folder, ``photos/`` or ``masks/`` is missing.
        InputError: a photograph has no mask, a mask has no photograph, or the folder is empty.
    """
    root = Path(root)
    for folder in (root / "photos", root / "masks"):
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", "put pictures in photos/ and their masks in masks/")
    photos = {path.stem: path for path in list_pictures(root / "photos")}
    pairs, orphans = [], []
    for mask in list_pictures(root / "masks"):
        photo = photos.get(mask.stem) or photos.get(mask.stem.rsplit("_", 1)[0])
        if photo is None:
            orphans.append(f"masks/{mask.name}")
        else:
            pairs.append(MaskedPhoto(photo, mask))
    used = {pair.photo for pair in pairs}
    orphans += [f"photos/{path.name}" for path in photos.values() if path not in used]
    if orphans:
        raise InputError(
            f"{len(orphans)} files below {root} have no partner: {name_some(orphans)}",
            "a mask has the base name of its photograph, or the base name and _<number>",
        )
    if not pairs:
        raise InputError(f"{root} holds no photographs with masks", "put pictures in photos/ and masks in masks/")
    return pairs
