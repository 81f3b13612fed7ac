"""Sample composites with masks, for trying the package and comparing backends; CREDITS.md names their sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_harmony.pictures.images import read_mask, read_picture


def sample_folder() -> Path:
    """Folder of the samples."""
    return Path(__file__).parent


def sample_files() -> Iterator[tuple[Path, Path]]:
    """Paths of every composite and its mask, in the order of their names."""
    for composite in sorted(sample_folder().glob("*.jpg")):
        yield composite, composite.with_name(f"{composite.stem}_mask.png")


def sample_pictures() -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.float32]]]:
    """Name, composite ``(H, W, 3)`` uint8 RGB and mask ``(H, W)`` float32 in [0, 1] of every sample."""
    for composite, mask in sample_files():
        yield composite.stem, read_picture(composite).pixels[..., :3], read_mask(mask)
