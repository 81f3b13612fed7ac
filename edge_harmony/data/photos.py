"""A folder of one's own photographs with masks: the material that training composites are synthesized from.

Layout: ``photos/`` with the pictures and ``masks/`` with gray masks of the same base name (``dog.jpg`` and
``dog.png``, or several: ``dog_1.png``, ``dog_2.png``). The photographs are real, so they are the ground truth; the
composites are made by :mod:`edge_harmony.data.synthesis`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_harmony.errors import InputError, UsageError, name_some
from edge_harmony.images import list_pictures


@dataclass(frozen=True)
class MaskedPhoto:
    """A photograph and the mask of one of its objects."""

    photo: Path
    mask: Path


def read_photos(root: Path | str) -> list[MaskedPhoto]:
    """Pair the photographs of a folder with their masks.

    Raises:
        UsageError: the folder, ``photos/`` or ``masks/`` is missing.
        InputError: photographs without a mask, masks without a photograph, or nothing at all.
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
            "a mask has the base name of its photograph, or that and _<number>",
        )
    if not pairs:
        raise InputError(f"{root} holds no photographs with masks", "put pictures in photos/ and masks in masks/")
    return pairs
