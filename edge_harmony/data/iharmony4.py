"""The iHarmony4 layout (Cong et al., DoveNet, CVPR 2020), read exactly as published.

A root holds the sub-sets' folders with ``composite_images``, ``masks`` and ``real_images``, and the lists
``IHD_{train,test}.txt`` of relative paths. If a root has no ``IHD`` list, the sub-sets' own lists
``<Sub>/<Sub>_{train,test}.txt`` of base names are joined. A composite ``a_b_c.jpg`` belongs to the mask ``a_b.png``
and the real picture ``a.jpg``; ``a`` may itself hold underscores or hyphens, so names are split from the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError, UsageError, name_some
from edge_harmony.files.regular import is_there, read_regular
from edge_harmony.pictures.images import read_mask, read_picture

SUBSETS = ("HCOCO", "HAdobe5k", "HFlickr", "Hday2night")
"""The four published sub-sets; other sub-sets of this layout are read as well."""

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Triplet:
    """One sample: paths of the composite, its mask and the real picture, and the sub-set that they belong to."""

    composite: Path
    mask: Path
    real: Path
    subset: str

    @property
    def name(self) -> str:
        """``<subset>/<composite file>``, as in the lists."""
        return f"{self.subset}/{self.composite.name}"

    def load(self) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """Read composite ``(H, W, 3)`` uint8, mask ``(H, W)`` float32 in [0, 1] and real ``(H, W, 3)`` uint8.

        Raises:
            EdgeHarmonyError: a file is missing or damaged, or the three have different sizes.
        """
        composite, mask, real = _rgb8(self.composite), read_mask(self.mask), _rgb8(self.real)
        if composite.shape != real.shape or composite.shape[:2] != mask.shape:
            raise InputError(
                f"{self.name}: sizes differ (composite {_size(composite)}, mask {_size(mask)}, real {_size(real)})",
                "the files of a sample must have one size",
            )
        return composite, mask, real


def read_split(root: Path | str, split: Split) -> list[Triplet]:
    """List the samples of a split, in the order of its lists.

    Args:
        root: folder of the data set.
        split: ``"train"`` or ``"test"``.

    Raises:
        UsageError: the root or its lists are missing.
        InputError: a list is empty, has a name of another form, or names missing files; one error lists them.
    """
    root = Path(root)
    if not root.is_dir():
        raise UsageError(f"the data root {root} is not a folder", "give the folder that holds IHD_train.txt")
    triplets: list[Triplet] = []
    strange: list[str] = []
    for subset, line in _listed(root, split):
        try:
            triplets.append(_triplet(root, subset, line))
        except ValueError:
            strange.append(line)
    if strange:
        raise InputError(
            f"{len(strange)} names in the {split} lists of {root} are not of the form a_b_c.jpg: {name_some(strange)}",
            "composites are named <real>_<mask>_<number>.jpg",
        )
    if not triplets:
        raise InputError(f"the {split} lists of {root} are empty", "check the lists")
    missing = [
        str(path.relative_to(root))
        for path in dict.fromkeys(p for t in triplets for p in (t.composite, t.mask, t.real))
        if not is_there(path)
    ]
    if missing:
        raise InputError(
            f"{len(missing)} files are missing below {root}: {name_some(missing)}", "complete the data set"
        )
    return triplets


def _listed(root: Path, split: str) -> list[tuple[str, str]]:
    """Pairs ``(subset, base name)``, one for every line of the lists."""
    whole = root / f"IHD_{split}.txt"
    if whole.is_file():
        return [(line.split("/")[0] if "/" in line else "", line.rsplit("/", 1)[-1]) for line in _lines(whole)]
    pairs = [
        (folder.name, line.rsplit("/", 1)[-1])
        for folder in sorted(root.iterdir())
        if (own := folder / f"{folder.name}_{split}.txt").is_file()
        for line in _lines(own)
    ]
    if not pairs:
        raise UsageError(f"{root} has no list for {split}", f"it needs IHD_{split}.txt or <Sub>/<Sub>_{split}.txt")
    return pairs


def _lines(path: Path) -> list[str]:
    try:
        text = read_regular(path).decode()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"the list {path} cannot be read", "it must be a UTF-8 text file") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _triplet(root: Path, subset: str, name: str) -> Triplet:
    stem = name.rsplit(".", 1)[0]
    real, region, _ = stem.rsplit("_", 2)  # ValueError: another form
    if not subset or not real or subset in (".", ".."):
        raise ValueError(name)
    folder = root / subset
    return Triplet(
        composite=folder / "composite_images" / name,
        mask=folder / "masks" / f"{real}_{region}.png",
        real=folder / "real_images" / f"{real}.jpg",
        subset=subset,
    )


def _rgb8(path: Path) -> NDArray[np.uint8]:
    pixels: NDArray[Any] = read_picture(path).pixels[..., :3]
    if pixels.dtype != np.uint8:
        raise InputError(f"{path} has {pixels.dtype} samples", "this layout holds 8-bit pictures")
    return np.ascontiguousarray(pixels)


def _size(array: NDArray[Any]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
