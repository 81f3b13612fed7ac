"""Subjects of timing: a network, the pipeline around it, or a peer; from memory or from files."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import Runner
from edge_harmony.files.manifest import IOSpec
from edge_harmony.pictures.arrays import snap
from edge_harmony.pictures.encode import write_picture
from edge_harmony.pictures.images import Picture, read_mask, read_picture
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.quality.evaluation import Harmonize
from edge_harmony.samples import sample_pictures

PicturePair = tuple[NDArray[np.uint8], NDArray[np.float32]]


class Subject(Protocol):
    """Something that answers queries; ``stages`` collects the times of their parts, in ms, until it is emptied."""

    stages: dict[str, list[float]]

    def query(self) -> None:
        """Answer one query, on the next picture."""


def timing_pictures(height: int, width: int) -> list[PicturePair]:
    """The shipped samples, resized: composite uint8 and mask float32."""
    pairs = []
    for _, composite, mask in sample_pictures():
        size = (width, height)
        small = cv2.resize(composite, size, interpolation=cv2.INTER_AREA)
        weight = snap(np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32))
        pairs.append((np.asarray(small, np.uint8), weight))
    return pairs


class TimedRunner(Runner):
    """A runner that records when its last call began and ended, and the time of copies in it.

    Waiting between copies and the network costs a little, so it is done only if ``parts`` is set.
    """

    def __init__(self, runner: Runner, *, parts: bool = False) -> None:
        self._runner = runner
        self._parts = parts
        self.began = self.ended = 0
        self.copied = 0.0

    @property
    def io_spec(self) -> IOSpec:
        """The contract of the runner."""
        return self._runner.io_spec

    @property
    def sha256(self) -> str:
        """The hash of the runner's file."""
        return self._runner.sha256

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self.began = time.perf_counter_ns()
        if self._parts:
            output, parts = self._runner.infer_parts(composite, mask)
            self.copied = parts["copy"]
        else:
            output = self._runner.infer(composite, mask)
            self._runner.synchronize()
        self.ended = time.perf_counter_ns()
        return output

    def synchronize(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._runner.synchronize()

    def close(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._runner.close()


class Network:
    """The network alone, on tensors of its working size."""

    def __init__(self, runner: TimedRunner, pictures: Sequence[PicturePair]) -> None:
        spec = runner.io_spec
        planes = [to_working_size(composite, mask, (spec.height, spec.width)) for composite, mask in pictures]
        self._turn = itertools.cycle(planes)
        self._runner = runner
        self.stages: dict[str, list[float]] = {}

    def query(self) -> None:
        """See :class:`Subject`."""
        self._runner.infer(*next(self._turn))


class MemoryPictures:
    """Pictures from and to memory: the pipeline, or a peer (then without ``runner``)."""

    def __init__(
        self, harmonize: Harmonize, pictures: Sequence[PicturePair], runner: TimedRunner | None = None
    ) -> None:
        self._turn = itertools.cycle(pictures)
        self._harmonize = harmonize
        self._runner = runner
        self.stages: dict[str, list[float]] = {}

    def query(self) -> None:
        """See :class:`Subject`."""
        self.run(*next(self._turn))

    def run(self, composite: NDArray[Any], mask: NDArray[np.float32]) -> NDArray[Any]:
        """Harmonize one picture and record the times of its parts."""
        began = time.perf_counter_ns()
        result = self._harmonize(composite, mask)
        ended = time.perf_counter_ns()
        if self._runner is None:
            self._note("harmonize", began, ended)
        else:
            self._note("preprocess", began, self._runner.began)
            self._note("infer", self._runner.began, self._runner.ended, less=self._runner.copied)
            if self._runner.copied:
                self.stages.setdefault("copy", []).append(self._runner.copied)
            self._note("apply", self._runner.ended, ended)
        return result

    def _note(self, stage: str, began: int, ended: int, *, less: float = 0.0) -> None:
        self.stages.setdefault(stage, []).append((ended - began) / 1e6 - less)


class FilePictures:
    """Pictures from and to files: decode, harmonize, encode."""

    def __init__(self, inner: MemoryPictures, pictures: Sequence[PicturePair], folder: Path) -> None:
        names = []
        for k, (composite, mask) in enumerate(pictures):
            names.append((folder / f"{k}.jpg", folder / f"{k}_mask.png"))
            write_picture(names[-1][0], Picture(composite))
            write_picture(names[-1][1], Picture(np.dstack([np.rint(mask * 255).astype(np.uint8)] * 3)))
        self._turn = itertools.cycle(names)
        self._inner = inner
        self._output = folder / "result.jpg"
        self.stages = inner.stages

    def query(self) -> None:
        """See :class:`Subject`."""
        picture, mask = next(self._turn)
        began = time.perf_counter_ns()
        composite, weight = read_picture(picture), read_mask(mask)
        decoded = time.perf_counter_ns()
        result = self._inner.run(composite.pixels, weight)
        made = time.perf_counter_ns()
        write_picture(self._output, composite.with_pixels(result))
        written = time.perf_counter_ns()
        self.stages.setdefault("decode", []).append((decoded - began) / 1e6)
        self.stages.setdefault("encode", []).append((written - made) / 1e6)


class Crowd:
    """A query of several pictures, shared by threads that each have a network: multi-stream and offline."""

    def __init__(self, members: Sequence[Subject], pictures: int) -> None:
        self._members = members
        self._pictures = pictures
        self._pool = ThreadPoolExecutor(len(members))
        self.stages: dict[str, list[float]] = {}

    def query(self) -> None:
        """See :class:`Subject`."""
        tickets = itertools.count()
        list(self._pool.map(partial(self._work, tickets), self._members))

    def _work(self, tickets: Any, member: Subject) -> None:
        while next(tickets) < self._pictures:
            member.query()
        for times in member.stages.values():
            times.clear()  # the parts of overlapping queries are meaningless


def of_runner(runner: Runner, pictures: Sequence[PicturePair], kind: str, *, parts: bool) -> tuple[Any, Harmonize]:
    """A runner as a subject, and the function with which it is scored."""
    timed = TimedRunner(runner, parts=parts)
    harmonize: Harmonize = partial(harmonize_pixels, timed)
    if kind == "network":
        return Network(timed, pictures), harmonize
    return MemoryPictures(harmonize, pictures, timed), harmonize
