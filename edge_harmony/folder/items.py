"""What is to be done in a folder: every picture with its mask and the name of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from edge_harmony.errors import UsageError
from edge_harmony.folder.storage import join, list_files, suffix_of
from edge_harmony.images import SUFFIXES


@dataclass(frozen=True)
class Item:
    """A picture to harmonize.

    Attributes:
        composite: its name.
        mask: that of its mask; None if there is none.
        output: that of the result.
    """

    composite: str
    mask: str | None
    output: str


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes:
        item: it.
        error: why it failed; None if it did not.
    """

    item: Item
    error: str | None = None


def find_items(composites: str, masks: str, output: str, *, since: float | None) -> tuple[list[Item], int]:
    """The items of a folder in the order of their names, and how many are done.

    Args:
        composites: folder of pictures.
        masks: folder of their masks, see :func:`find_mask`.
        output: folder of the results, which have the names of the pictures.
        since: leave out what has a result from this time on that is newer than picture and mask; None: nothing.

    Raises:
        UsageError: a folder is not there, or holds no pictures.
    """
    pictures, of_masks = list_files(composites), list_files(masks)
    if pictures is None:
        raise UsageError(f"{composites} is no folder that exists", "check the path")
    if of_masks is None:
        raise UsageError(f"{masks} is no folder that exists", "give a folder of masks for a folder of pictures")
    names = sorted(name for name in pictures if _is_picture(name))
    if not names:
        raise UsageError(f"{composites} holds no pictures", f"put files with {' '.join(SUFFIXES)} there")
    results = {} if since is None else list_files(output) or {}
    items, before = [], 0
    candidates = {name: time for name, time in of_masks.items() if _is_picture(name)}
    for name in names:
        mask = find_mask(candidates, name, same=composites == masks)
        made = results.get(name)
        if made is not None and mask is not None and made >= max(since or 0, pictures[name], candidates[mask]):
            before += 1
        else:
            items.append(Item(join(composites, name), mask and join(masks, mask), join(output, name)))
    return items, before


def find_mask(names: Mapping[str, float], picture: str, *, same: bool) -> str | None:
    """The mask of a picture among the names of a folder: ``dog.png``, ``dog_mask.png`` or ``dog-mask.png`` is that of
    ``dog.jpg``, and (iHarmony4) ``a_b.png`` that of ``a_b_c.jpg``.

    Args:
        names: of the folder's files.
        picture: the picture's.
        same: pictures and masks lie in one folder, where a picture is not its own mask.
    """
    stem = PurePosixPath(picture).stem
    for name in (stem, f"{stem}_mask", f"{stem}-mask", stem.rsplit("_", 1)[0]):
        for suffix in (".png", *SUFFIXES):
            mask = f"{name}{suffix}"
            if mask in names and not (same and mask == picture):
                return mask
    return None


def _is_picture(name: str) -> bool:
    return suffix_of(name) in SUFFIXES and not name.startswith(".")
