"""A folder of pictures with one process, several, and Ray's actors; timed from the call to the last file.

    python benchmarks/folders.py -o benchmarks/results/0.1.0/folders.json

The pictures are the shipped samples, enlarged and with the noise of a sensor, again and again. Every round runs every
contender once, in a new order. Needs the extra [ray].
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from file_parts import sample
from measuring import quartiles
from provenance import provenance

from edge_harmony.backends.base import LoadRequest
from edge_harmony.files.atomic import write_json
from edge_harmony.folder.run import FolderReport, run_folder
from edge_harmony.folder.work import Work
from edge_harmony.pictures.encode import write_picture
from edge_harmony.pictures.images import Picture
from edge_harmony.samples import sample_files


def make_folders(root: Path, count: int, size: tuple[int, int]) -> tuple[str, str]:
    """Folders of numbered JPEG composites and PNG masks, as hard links, which cost nothing."""
    folders = root / "composites", root / "masks"
    for folder in folders:
        folder.mkdir()
    pairs = []
    for number in range(len(list(sample_files()))):
        pixels, mask = sample(size, np.uint8, number)
        pair = root / f"{number}.jpg", root / f"{number}.png"
        write_picture(pair[0], Picture(pixels))
        cv2.imwrite(str(pair[1]), mask)
        pairs.append(pair)
    for k in range(count):
        for folder, path in zip(folders, pairs[k % len(pairs)], strict=True):
            (folder / f"{k:05d}{path.suffix}").hardlink_to(path)
    return str(folders[0]), str(folders[1])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--size", type=int, nargs=2, default=[1920, 1080], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    work, several = Work("onnxruntime", LoadRequest("edge-s", "int8")), arguments.workers
    with tempfile.TemporaryDirectory() as root:
        folders = make_folders(Path(root), arguments.pictures, tuple(arguments.size))

        def call(name: str, workers: int, engine: str) -> Callable[[], FolderReport]:
            output = str(Path(root) / name)
            return lambda: run_folder(work, *folders, output, workers=workers, engine=engine)

        calls = {
            "one process": call("one", 1, "local"),
            f"{several} processes": call("several", several, "local"),
            f"{several} actors of Ray": call("ray", several, "ray"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        order, shuffler = list(calls), random.Random(0)
        for _ in range(arguments.rounds):
            shuffler.shuffle(order)
            for name in order:
                start = time.perf_counter()
                report = calls[name]()
                seconds[name].append(time.perf_counter() - start)
                assert (report.done, report.failed) == (arguments.pictures, [])
    rows = {
        name: {"pictures_a_second": round(arguments.pictures / float(np.median(times)), 1)}
        | quartiles("of_one_process", times, seconds["one process"])
        for name, times in seconds.items()
    }
    facts = {"pictures": arguments.pictures, "size": arguments.size, "rounds": arguments.rounds, "rows": rows}
    result = {**provenance("onnxruntime", "numpy", "ray"), **facts}
    write_json(arguments.output, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
