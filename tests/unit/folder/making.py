"""Small folders of pictures and masks, and work that goes wrong on purpose."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_harmony.backends.base import LoadRequest
from edge_harmony.folder.items import Item, Outcome
from edge_harmony.folder.processes import run_in_processes
from edge_harmony.folder.work import FolderWorker, Work

REAL = Work("onnxruntime", LoadRequest("edge-n", "int8"))


def make_folders(root: Path, count: int, *, size: int = 32) -> tuple[str, str, str]:
    """Composites, masks, and where results go."""
    rng = np.random.default_rng(4)
    composites, masks = root / "composites", root / "masks"
    composites.mkdir(parents=True)
    masks.mkdir()
    mask = np.zeros((size, size), np.uint8)
    mask[size // 4 : -size // 4, size // 4 : -size // 4] = 255
    for k in range(count):
        cv2.imwrite(str(composites / f"{k:04d}.png"), rng.integers(0, 256, (size, size, 3), np.uint8))
        cv2.imwrite(str(masks / f"{k:04d}.png"), mask)
    return str(composites), str(masks), str(root / "out")


@dataclass(frozen=True)
class Dangerous(Work):
    """The process dies on pictures whose names hold ``deadly``; on ``once`` the first time only."""

    notes: str = ""

    def start(self) -> FolderWorker:
        """A worker that may die."""
        return _Dangerous(self)


class _Dangerous:
    def __init__(self, work: Dangerous) -> None:
        self._notes = Path(work.notes)

    def do(self, item: Item) -> Outcome:
        with (self._notes / Path(item.composite).name).open("a") as note:
            note.write("x")
        times = len((self._notes / Path(item.composite).name).read_text())
        if "deadly" in item.composite or ("once" in item.composite and times == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome(item, "it is wrong" if "wrong" in item.composite else None)

    def close(self) -> None:
        pass


def do_all(work: Work, items: list[Item], workers: int) -> None:
    """Do all of it, as a process's whole life."""
    outcomes = list(run_in_processes(work, items, workers, threading.Event()))
    assert [outcome.error for outcome in outcomes] == [None] * len(items)
