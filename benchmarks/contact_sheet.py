"""A folder of composites before and after on one sheet, to see where a network helps and where it harms.

    python benchmarks/contact_sheet.py composites/ masks/ --model edge-s -o sheet.jpg

Folders are read as by ``edge-harmony harmonize``; masks may be in the folder of the composites (``NAME_mask.png``).
``--edges`` adds the region around the mask's edge, three times enlarged, where bleeding and halos would show.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony import Harmonizer
from edge_harmony.errors import InputError
from edge_harmony.folder.items import PICTURES, find_items
from edge_harmony.pictures.arrays import to_eight_bits
from edge_harmony.pictures.encode import write_picture
from edge_harmony.pictures.images import read_mask, read_picture
from edge_harmony.pictures.preview import contact_sheet

ENLARGED = 3


def edge_window(mask: NDArray[np.float32]) -> tuple[slice, slice]:
    """A window of a sixth of the picture about the topmost point of the mask's edge."""
    rows, columns = np.nonzero(mask > 0.5)
    if not len(rows):
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    height, width = max(16, mask.shape[0] // 6), max(16, mask.shape[1] // 6)
    top = int(np.clip(rows[0] - height // 2, 0, max(0, mask.shape[0] - height)))
    left = int(np.clip(columns[0] - width // 2, 0, max(0, mask.shape[1] - width)))
    return slice(top, top + height), slice(left, left + width)


def enlarged(picture: NDArray[np.uint8], window: tuple[slice, slice]) -> NDArray[np.uint8]:
    """The window, every pixel as a square."""
    part = np.ascontiguousarray(picture[window])
    result: Any = cv2.resize(part, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST)
    return np.asarray(result, dtype=np.uint8)


def main() -> None:
    """Harmonize every picture and draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("composites", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--model", default="edge-s")
    parser.add_argument("--edges", action="store_true", help="add the edge of the mask, enlarged")
    parser.add_argument("--columns", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    lines = []
    with Harmonizer.from_pretrained(arguments.model) as harmonizer:
        items, _ = find_items(PICTURES, str(arguments.composites), str(arguments.masks), "", since=None)
        for item in items:
            path = Path(item.composite)
            if path.stem.endswith("_mask"):
                continue
            if item.mask is None:
                raise InputError(f"there is no mask for {path.name}", f"name it {path.stem}.png")
            composite, mask = read_picture(path).pixels[..., :3], read_mask(item.mask)
            shown = [to_eight_bits(part) for part in (composite, harmonizer.harmonize(composite, mask))]
            if arguments.edges:
                shown += [enlarged(part, edge_window(mask)) for part in shown]
            lines.append((path.name, shown))
            print(path.name)
    write_picture(arguments.output, contact_sheet(lines, arguments.columns))


if __name__ == "__main__":
    main()
