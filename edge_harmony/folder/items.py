"""The work in a folder: every composite with its mask and the name of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from edge_harmony.errors import UsageError
from edge_harmony.folder.storage import join, list_files, suffix_of
from edge_harmony.pictures.images import SUFFIXES


@dataclass(frozen=True)
class Item:
    """A picture or video to harmonize.

    Attributes:
        composite: path or address of the file.
        mask: path or address of the mask; None if there is none.
        output: path or address of the result.
    """

    composite: str
    mask: str | None
    output: str


@dataclass(frozen=True)
class Outcome:
    """The result of the work on one item.

    Attributes:
        item: the item.
        error: why the item failed; None if it did not.
    """

    item: Item
    error: str | None = None


@dataclass(frozen=True)
class FileKind:
    """A kind of files, by their suffixes.

    Attributes:
        suffixes: suffixes of the files.
        masks: suffixes of their masks, in the order of preference.
        written: suffixes that a result can have.
        instead: suffix appended to the name of a result that cannot keep its own.
    """

    suffixes: tuple[str, ...]
    masks: tuple[str, ...]
    written: tuple[str, ...]
    instead: str = ""

    def result(self, name: str) -> str:
        """The name of a file's result."""
        return name if suffix_of(name) in self.written else name + self.instead


PICTURES = FileKind(SUFFIXES, (".png", *SUFFIXES), SUFFIXES)


def find_items(
    kind: FileKind, composites: str, masks: str, output: str, *, since: float | None
) -> tuple[list[Item], int]:
    """The items of a folder that are left to do, in the order of their names, and how many are done.

    Args:
        kind: the kind of files.
        composites: folder of the files.
        masks: folder of their masks, see :func:`find_mask`.
        output: folder of the results.
        since: an item is done if its result was written after this time and is newer than composite and mask; None: no
            item is done.

    Raises:
        UsageError: a folder does not exist.
    """
    files, of_masks = list_files(composites), list_files(masks)
    if files is None:
        raise UsageError(f"there is no folder {composites}", "check the path")
    if of_masks is None:
        raise UsageError(f"there is no folder {masks}", "give a folder of masks for a folder of composites")
    results = {} if since is None else list_files(output) or {}
    items, before = [], 0
    for name in sorted(files):
        if name.startswith(".") or suffix_of(name) not in kind.suffixes:
            continue
        mask = find_mask(kind, of_masks, name, same=composites == masks)
        made = results.get(kind.result(name))
        if made is not None and mask is not None and made >= max(since or 0, files[name], of_masks[mask]):
            before += 1
        else:
            items.append(Item(join(composites, name), mask and join(masks, mask), join(output, kind.result(name))))
    return items, before


def find_mask(kind: FileKind, names: Mapping[str, float], composite: str, *, same: bool) -> str | None:
    """Find the mask of a file among the names of a folder: ``dog.png``, ``dog_mask.png`` or ``dog-mask.png`` for
    ``dog.jpg``, and ``a_b.png`` for ``a_b_c.jpg`` (iHarmony4).

    Args:
        kind: the kind of the file.
        names: names of the folder's files.
        composite: name of the file.
        same: whether composites and masks are in one folder; then no file is its own mask.
    """
    stem = PurePosixPath(composite).stem
    for name in (stem, f"{stem}_mask", f"{stem}-mask", stem.rsplit("_", 1)[0]):
        for suffix in kind.masks:
            mask = f"{name}{suffix}"
            if mask in names and not (same and mask == composite):
                return mask
    return None
