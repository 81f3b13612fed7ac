"""An hour of frames through a stream: memory, open files and threads stay as they are."""

from __future__ import annotations

import gc
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_harmony.errors import InputError
from edge_harmony.harmonizer import Harmonizer
from tests.faults.inputs import status_of_process
from tests.faults.seeds import HEIGHT, WIDTH, foreground, pixels

SCENE = 500
"""Frames of a scene."""
LOOKS = 50
"""How often a stream is measured."""
BREAKS = 10
"""How many streams break in a run with exceptions."""
WAYS: dict[str, dict[str, Any]] = {
    "each frame predicted": {},
    "every third predicted": {"every": 3},
    f"{BREAKS} exceptions": {"broken": True},
}
MOST = 16 << 20
"""Bytes that memory may rise after the first tenth: allocators keep some of what is freed."""


class Broken(Exception):
    """The source of the frames fails."""


@dataclass(frozen=True)
class Level:
    """A number that is looked at again and again: after the first tenth of the frames, at the end, and at most."""

    first: int
    last: int
    largest: int

    @property
    def growth(self) -> int:
        """How far it rose above its first value."""
        return self.largest - self.first


@dataclass(frozen=True)
class Held:
    """What a process held while its stream ran.

    Attributes:
        frames: how many came out.
        broken: how many streams ended with an exception.
        memory: resident bytes.
        descriptors: open files.
        threads: threads of the process, those of libraries among them.
    """

    frames: int
    broken: int
    memory: Level
    descriptors: Level
    threads: Level

    @property
    def is_flat(self) -> bool:
        """Whether nothing grew."""
        return self.memory.growth < MOST and self.descriptors.growth <= 0 and self.threads.growth <= 0


def frames(first: int, count: int, broken_at: int | None) -> Iterator[np.ndarray[Any, Any]]:
    """Frames that move, in scenes of different brightness."""
    picture = pixels()
    for k in range(count):
        if k == broken_at:
            raise Broken
        shown = np.roll(picture, k % 64, 1)
        yield shown if ((first + k) // SCENE) % 2 else 255 - shown


def masks(count: int, wrong_at: int | None) -> Iterator[np.ndarray[Any, Any]]:
    """As many masks; one may have another size than its frame."""
    mask = foreground()
    for k in range(count):
        yield mask[:-1] if k == wrong_at else mask


def run_ways(out: Path, count: int) -> dict[str, Held]:
    """Run a stream in each way, at once, in processes of their own; ``out/stream.log`` says how far they are."""
    out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(len(WAYS), multiprocessing.get_context("spawn")) as pool:
        return dict(zip(WAYS, pool.map(run_way, WAYS, [out] * len(WAYS), [count] * len(WAYS)), strict=True))


def run_way(way: str, out: Path, count: int) -> Held:
    """Run a stream in one of the ways."""
    from tests.conftest import write_small_network

    with tempfile.TemporaryDirectory() as folder:
        network = write_small_network(Path(folder) / "network", quantized=False)
        with (
            Harmonizer.from_pretrained(artifact=network, threads=1) as harmonizer,
            (out / "stream.log").open("a", buffering=1) as log,
        ):
            return run_stream(harmonizer, count, look=lambda *seen: print(way, *seen, file=log), **WAYS[way])


def run_stream(
    harmonizer: Harmonizer,
    count: int,
    *,
    every: int = 1,
    broken: bool = False,
    look: Callable[[int, tuple[int, int, int]], None] = lambda frames, held: None,
) -> Held:
    """Harmonize a stream of small frames and measure what the process holds.

    Args:
        harmonizer: of one thread, so that all threads of its network are there from the first frame on.
        count: number of frames.
        every: predict every N-th only.
        broken: ten streams follow each other, and each ends in its middle: the source fails, a mask does not fit its
            frame, or the caller stops.
        look: called with the number of frames and what is held, fifty times.
    """
    looks: list[tuple[int, int, int]] = []
    done = ended = 0
    part = count // BREAKS if broken else count
    for turn, first in enumerate(range(0, count, part)):
        way = ("source", "mask", "caller")[turn % 3] if broken else ""
        length = 2 * part if broken else part
        source = frames(first, length, part if way == "source" else None)
        results = harmonizer.stream(source, masks(length, part if way == "mask" else None), every=every)
        shown = 0
        try:
            for frame in results:
                assert frame.shape == (HEIGHT, WIDTH, 3)
                shown += 1
                if (done + shown) % (count // LOOKS) == 0:
                    looks.append(_held())
                    look(done + shown, looks[-1])
                if way == "caller" and shown == part:
                    ended += 1
                    break
        except (Broken, InputError):
            ended += 1
        done += shown
    del results
    looks.append(_held())
    levels = [Level(values[0], values[-1], max(values)) for values in zip(*looks[LOOKS // 10 :], strict=True)]
    return Held(done, ended, *levels)


def _held() -> tuple[int, int, int]:
    gc.collect()
    tasks, files = (len(os.listdir(f"/proc/self/{name}")) for name in ("task", "fd"))  # noqa: PTH208
    return status_of_process("VmRSS"), files, tasks
