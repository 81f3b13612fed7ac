"""An hour of frames through a stream: memory, files and threads stay as they are."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_harmony.harmonizer import Harmonizer
from tests.faults.inputs import status_of_process
from tests.faults.seeds import foreground, pixels

SCENE = 500
"""Frames of a scene."""


class Broken(Exception):
    """The source of the frames fails."""


@dataclass(frozen=True)
class Growth:
    """What a stream took more at its end than after its first tenth.

    Attributes:
        frames: how many came out.
        memory: resident bytes.
        descriptors: open files.
        threads: threads of Python.
    """

    frames: int
    memory: int
    descriptors: int
    threads: int


def frames(count: int, broken_at: int | None) -> Iterator[np.ndarray[Any, Any]]:
    """Frames that move, in scenes of different brightness."""
    picture = pixels()
    for k in range(count):
        if k == broken_at:
            raise Broken
        shown = np.roll(picture, k % 64, 1)
        yield shown if (k // SCENE) % 2 else 255 - shown


def masks(count: int) -> Iterator[np.ndarray[Any, Any]]:
    """As many masks."""
    mask = foreground()
    for _ in range(count):
        yield mask


def run_stream(network: Path, count: int, *, every: int = 1, broken: bool = False) -> Growth:
    """Harmonize a stream of small frames and measure what grows.

    Args:
        network: a small artifact, so that the stream is what takes the time.
        count: number of frames.
        every: predict every N-th only.
        broken: the source fails in the middle, and another stream takes the rest.
    """
    with Harmonizer.from_pretrained(artifact=network, threads=1) as harmonizer:
        done, before = 0, (0, 0, 0)
        left = [(count // 2 + 1, count // 2), (count - count // 2, None)] if broken else [(count, None)]
        for part, broken_at in left:
            given = frames(part, broken_at)
            try:
                for frame in harmonizer.stream(given, masks(part), every=every):
                    assert frame.shape == pixels().shape
                    done += 1
                    if done == count // 10:
                        before = _held()
            except Broken:
                assert broken_at is not None
        gc.collect()
        after = _held()
    growth = [late - early for late, early in zip(after, before, strict=True)]
    return Growth(done, *growth)


def _held() -> tuple[int, int, int]:
    gc.collect()
    return status_of_process("VmRSS"), len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
