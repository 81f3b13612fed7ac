"""The work in a folder: every composite with its mask and the name of its result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from edge_harmony.errors import UsageError
from edge_harmony.files.names import folded, natural
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


PICTURES = FileKind((*SUFFIXES, ".gif", ".psd"), (".png", *SUFFIXES), SUFFIXES, ".png")
"""Pictures; GIF (its first frame) and PSD (its merged picture) are read and not written."""


@dataclass(frozen=True)
class PassedOver:
    """A file of the folder that is not worked on.

    Attributes:
        name: of the file.
        reason: why not.
    """

    name: str
    reason: str


def unknown_files(kinds: Sequence[FileKind], composites: str, masks: str) -> list[PassedOver]:
    """The files of a folder that are of no kind, in the order of their names; hidden ones are left out."""
    known = {suffix for kind in kinds for suffix in (*kind.suffixes, *(kind.masks if composites == masks else ()))}
    names = sorted((name for name in list_files(composites) or {} if not name.startswith(".")), key=natural)
    return [
        PassedOver(name, f"{suffix_of(name) or 'a name without suffix'} is no format that is read")
        for name in names
        if suffix_of(name) not in known
    ]


def find_items(
    kind: FileKind, composites: str, masks: str, output: str, *, since: float | None
) -> tuple[list[Item], int]:
    """The items of a folder that are left to do, in the order of their names, and how many are done.

    Args:
        kind: the kind of files.
        composites: folder of the files.
        masks: folder of their masks, see :class:`MaskNames`.
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
    same = composites == masks
    names = [name for name in files if not name.startswith(".") and suffix_of(name) in kind.suffixes]
    wanted = MaskNames(kind, of_masks, same=same)
    if same:
        taken = {mask for mask in map(wanted.find, names) if mask is not None}
        names = [name for name in names if name not in taken]
    for name in sorted(names, key=natural):
        mask = wanted.find(name)
        made = results.get(kind.result(name))
        if made is not None and mask is not None and made >= max(since or 0, files[name], of_masks[mask]):
            before += 1
        else:
            items.append(Item(join(composites, name), mask and join(masks, mask), join(output, kind.result(name))))
    return items, before


class MaskNames:
    """Finds the masks of files among the names of a folder: ``dog.png``, ``dog_mask.png`` or ``dog-mask.png`` is that
    of ``dog.jpg``, and so is ``dog.jpg.png``, and (iHarmony4) ``a_b.png`` that of ``a_b_c.jpg``.

    Capitals and Unicode forms do not matter where no name is the same without: ``IMG_1.PNG`` is that of ``IMG_1.JPG``.

    Args:
        kind: of the files.
        names: of the folder's files.
        same: composites and masks lie in one folder, where none is its own mask, and of two files of one
            name the PNG is the mask.
    """

    def __init__(self, kind: FileKind, names: Iterable[str], *, same: bool) -> None:
        self._kind, self._same = kind, same
        self._names = set(names)
        self._alike: dict[str, str] = {}
        for name in sorted(self._names):
            self._alike.setdefault(folded(name), name)

    def find(self, composite: str) -> str | None:
        """The mask of a file; None if there is none."""
        stem = PurePosixPath(composite).stem
        of_iharmony4 = () if self._same else (stem.rsplit("_", 1)[0],)
        for name in (stem, f"{stem}_mask", f"{stem}-mask", PurePosixPath(composite).name, *of_iharmony4):
            for suffix in self._kind.masks:
                wanted = f"{name}{suffix}"
                mask = wanted if wanted in self._names else self._alike.get(folded(wanted))
                if mask is not None and not (self._same and self._is_composite(mask, composite)):
                    return mask
        return None

    def _is_composite(self, mask: str, composite: str) -> bool:
        """In one folder: none is its own mask, and of ``dog.jpg`` and ``dog.png`` the latter is."""
        order = self._kind.masks.index
        same_stem = folded(PurePosixPath(composite).stem) == folded(PurePosixPath(mask).stem)
        return mask == composite or (same_stem and order(suffix_of(mask)) >= order(suffix_of(composite)))
