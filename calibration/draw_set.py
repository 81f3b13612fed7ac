"""Draw a calibration set from the training split of an iHarmony4 root and pin it: paths, and a sha256 per file.

python calibration/draw_set.py ROOT --count 256 --seed 1 --source "..." --licence "..." -o calibration/sets/NAME.toml
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from edge_harmony.data.iharmony4 import read_split
from edge_harmony.files.atomic import atomic_write, sha256_of


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", required=True, help="where the data set comes from")
    parser.add_argument("--licence", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    samples = read_split(arguments.root, "train")
    if arguments.count > len(samples):
        parser.error(f"the training split holds {len(samples)} samples only")
    drawn = random.Random(arguments.seed).sample(samples, arguments.count)
    lines = [
        f'description = "{arguments.count} training samples, drawn with seed {arguments.seed}"',
        f'source = "{arguments.source}"',
        f'licence = "{arguments.licence}"',
        f"seed = {arguments.seed}",
    ]
    for sample in drawn:
        lines += ["", "[[files]]"]
        for kind, path in (("composite", sample.composite), ("mask", sample.mask)):
            lines += [
                f'{kind} = "{path.relative_to(arguments.root).as_posix()}"',
                f'{kind}_sha256 = "{sha256_of(path)}"',
            ]
    atomic_write(arguments.output, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
