"""A video: frames a second with and without overlap and encoding, where the time goes, memory, and flicker.

    python benchmarks/video.py --foreground f.mp4 --background b.mp4 --mask m.mp4 -o benchmarks/results/0.1.0/video.json

Without files it makes a video of a shipped photograph. Every round runs every contender once, in a new order. Needs the
extra [video], and psutil.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from measuring import quartiles
from provenance import provenance

from edge_harmony.backends.base import Runner
from edge_harmony.backends.discovery import load_runner
from edge_harmony.files.atomic import write_json
from edge_harmony.pictures.arrays import foreground_box
from edge_harmony.pictures.kernels import implementation
from edge_harmony.pictures.parallel_rows import set_threads
from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.pipeline.harmonize import predict
from edge_harmony.pipeline.stream import StreamOptions, stream
from edge_harmony.pipeline.temporal import Flicker
from edge_harmony.samples import sample_pictures
from edge_harmony.video.job import VideoJob, harmonize_video, pairs_of
from edge_harmony.video.read_ahead import ahead
from edge_harmony.video.reader import VideoReader
from edge_harmony.video.writer import VideoWriter

SIZE, FRAMES = (1920, 1080), 75
RATE = Fraction(25)


def make_sample(folder: Path) -> tuple[Path, Path, Path]:
    """Foreground, background and mask: a shipped photograph in which a camera and an object move."""
    _, picture, _ = next(iter(sample_pictures()))
    wide = cv2.resize(picture, (SIZE[0] + 4 * FRAMES, SIZE[1]), interpolation=cv2.INTER_CUBIC)
    paths = folder / "foreground.mp4", folder / "background.mp4", folder / "mask.mp4"
    for number, path in enumerate(paths):
        with VideoWriter(path, SIZE, RATE) as writer:
            for k in range(FRAMES):
                frame = np.ascontiguousarray(wide[:, 4 * k : 4 * k + SIZE[0]])
                if number == 0:
                    frame = np.clip(frame * (0.7, 0.9, 1.2), 0, 255).astype(np.uint8)
                if number == 2:
                    frame = np.zeros_like(frame)
                    cv2.circle(frame, (500 + 8 * k, 540), 400, (255, 255, 255), -1, cv2.LINE_AA)
                writer.write(frame, k / RATE)
    return paths


def split(runner: Runner, job: VideoJob) -> dict[str, float]:
    """Milliseconds per frame of every stage, run one at a time with all threads; medians over frames."""
    spent: dict[str, list[float]] = {"decode and paste": [], "predict": [], "apply": [], "encode": []}

    def timed(stage: str, call: Callable[..., Any], *given: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = call(*given, **options)
        spent[stage].append(1e3 * (time.perf_counter() - start))
        return result

    pairs, times = opened(job)
    source = VideoReader(job.composite)
    with tempfile.TemporaryDirectory() as folder:
        writer = VideoWriter(Path(folder) / "o.mp4", source.size, source.rate, source=source)
        while True:
            pair = timed("decode and paste", next, pairs, None)
            if pair is None:
                break
            pixels, mask = pair
            box = foreground_box(mask)
            grid = timed("predict", predict, runner, pixels, mask)
            timed("apply", apply_grid, pixels, mask, grid, box, in_place=True)
            timed("encode", writer.write, pixels, times.popleft())
        writer.close()
    return {stage: round(float(np.mean(values[1:])), 2) for stage, values in spent.items()}


def opened(job: VideoJob) -> tuple[Any, deque[Fraction]]:
    times: deque[Fraction] = deque()
    return pairs_of(job, threading.Event(), times), times


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--foreground", type=Path)
    parser.add_argument("--background", type=Path)
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    set_threads(arguments.threads)
    runner = load_runner("edge-s", backend="onnxruntime", precision="int8", threads=arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        given = (arguments.foreground, arguments.background, arguments.mask)
        front, back, mask = given if all(given) else make_sample(Path(folder))
        job = VideoJob(str(front), str(mask), Path(folder) / "out.mp4", background=str(back))
        one = load_runner("edge-s", backend="onnxruntime", precision="int8", threads=1)
        result = measure(runner, one, job, arguments.rounds)
    result = {
        **provenance("onnxruntime", "numpy", "av"),
        "loops": implementation(),
        "threads": arguments.threads,
        **result,
    }
    write_json(arguments.output, result)
    print(json.dumps(result, indent=2))


def measure(runner: Runner, one: Runner, job: VideoJob, rounds: int) -> dict[str, Any]:
    """Measure all contenders, interleaved; ``one`` is the network on one thread."""

    def overlapped(**options: Any) -> int:
        pairs, _ = opened(job)
        return sum(1 for _ in stream(runner, ahead(pairs, 2), StreamOptions(in_place=True, **options)))

    def in_turn() -> int:
        pairs, _ = opened(job)
        count = 0
        for pixels, mask in pairs:
            apply_grid(pixels, mask, predict(runner, pixels, mask), in_place=True)
            count += 1
        return count

    calls: dict[str, Callable[[], int]] = {
        "overlapped": overlapped,
        "one after the other": in_turn,
        "overlapped, every 2": lambda: overlapped(every=2),
        "overlapped, every 5": lambda: overlapped(every=5),
        "overlapped, encoded": lambda: harmonize_video(runner, job).frames,
        "overlapped, encoded, one thread for the network": lambda: harmonize_video(one, job).frames,
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffler, process = list(calls), random.Random(0), psutil.Process()
    memory, count = [], 0
    for turn in range(rounds + 1):
        shuffler.shuffle(order)
        for name in order:
            start = time.perf_counter()
            count = calls[name]()
            if turn:
                seconds[name].append(time.perf_counter() - start)
        memory.append(round(process.memory_info().rss / 2**20, 1))
    rows = {
        name: {"fps": round(count / float(np.median(times)), 1)}
        | quartiles("of_one_after_the_other", times, seconds["one after the other"])
        for name, times in seconds.items()
    }
    return {
        "frames": count,
        "size": VideoReader(job.composite).size,
        "rounds": rounds,
        "rows": rows,
        "split_ms": split(runner, job),
        "memory_mib": memory,
        "flicker": {str(keep): flicker(runner, job, keep) for keep in (0.0, StreamOptions.keep)},
    }


def flicker(runner: Runner, job: VideoJob, keep: float) -> dict[str, float]:
    """Flicker of the foreground, see :class:`edge_harmony.pipeline.temporal.Flicker`."""
    pairs, _ = opened(job)
    kept: deque[tuple[Any, Any]] = deque()

    def keeping() -> Any:
        for pixels, mask in pairs:
            kept.append((pixels, mask))
            yield pixels, mask

    found = Flicker()
    for result in stream(runner, keeping(), StreamOptions(keep=keep)):
        pixels, mask = kept.popleft()
        found.add(pixels, result, mask)
    return {"colour": round(found.colour, 3), "pixels": round(found.pixels, 3)}


if __name__ == "__main__":
    main()
