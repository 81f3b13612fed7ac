"""What is to be done in a folder: every composite with its mask and the name of its result."""

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


@dataclass(frozen=True)
class FileKind:
    """A kind of files, by their suffixes.

    Attributes:
        suffixes: of the files.
        masks: of their masks, in the order of preference.
        written: of those, what results can have.
        instead: what is appended to the names of the other results.
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
    """The items of a folder in the order of their names, and how many are done.

    Args:
        kind: of what files.
        composites: folder of the files.
        masks: folder of their masks, see :func:`find_mask`.
        output: folder of the results.
        since: leave out what has a result from this time on that is newer than composite and mask; None: nothing.

    Raises:
        UsageError: a folder is not there.
    """
    files, of_masks = list_files(composites), list_files(masks)
    if files is None:
        raise UsageError(f"{composites} is no folder that exists", "check the path")
    if of_masks is None:
        raise UsageError(f"{masks} is no folder that exists", "give a folder of masks for a folder of composites")
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
    """The mask of a file among the names of a folder: ``dog.png``, ``dog_mask.png`` or ``dog-mask.png`` is that of
    ``dog.jpg``, and (iHarmony4) ``a_b.png`` that of ``a_b_c.jpg``.

    Args:
        kind: of the file.
        names: of the folder's files.
        composite: the file's name.
        same: composites and masks lie in one folder, where none is its own mask.
    """
    stem = PurePosixPath(composite).stem
    for name in (stem, f"{stem}_mask", f"{stem}-mask", stem.rsplit("_", 1)[0]):
        for suffix in kind.masks:
            mask = f"{name}{suffix}"
            if mask in names and not (same and mask == composite):
                return mask
    return None
