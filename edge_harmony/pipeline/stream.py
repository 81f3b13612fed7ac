"""Harmonize streams of frames: reading, prediction and apply overlap, and only a few frames are in memory."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import Runner
from edge_harmony.errors import InputError, UsageError
from edge_harmony.pictures.arrays import Box, checked_pair, foreground_box, like
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.pictures.working_size import mask_to_working_size, to_working_size
from edge_harmony.pipeline.apply import apply_grid, check_strength
from edge_harmony.pipeline.harmonize import harmonize_checked, predict_later
from edge_harmony.pipeline.temporal import SceneCuts, Smoother

log = logging.getLogger(__name__)

_HELD = 3
"""Frames in progress at a time: one is prepared, one is predicted, one is applied or done."""


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How a stream is harmonized.

    Attributes:
        every: predict every N-th frame; between them the transform moves towards the last prediction.
        keep: share of the colour transform that is kept from frame to frame, see
            :class:`edge_harmony.pipeline.temporal.Smoother`.
        cut: difference between two frames that begins a new scene, see
            :class:`edge_harmony.pipeline.temporal.SceneCuts`.
        in_place: change the frames themselves, which saves a copy of each.
        strength: size of the change, 0 to 1.5; see :func:`edge_harmony.pipeline.apply.apply_grid`.
    """

    every: int = 1
    keep: float = 0.8
    cut: float = 0.12
    in_place: bool = False
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")
        if not 0 <= self.keep < 1:
            raise ValueError(f"keep must be in [0, 1), got {self.keep}")
        check_strength(self.strength)


FramePair = tuple[NDArray[Any], NDArray[Any]]


def stream(runner: Runner, pairs: Iterable[FramePair], options: StreamOptions) -> Generator[NDArray[Any], None, None]:
    """Harmonize pairs of frame and mask in their order; see :meth:`edge_harmony.harmonizer.Harmonizer.stream`."""
    if runner.io_spec.is_whole_pipeline:
        yield from _whole(runner, pairs, options)
        return
    predictor, finisher, reader = _Predictor(runner, options), _Finisher(options), MaskReader()
    on_the_way: deque[tuple[Future[NDArray[Any]], Future[_Begun]]] = deque()
    with (
        ThreadPoolExecutor(1, "edge-harmony-predict") as predicting,
        ThreadPoolExecutor(1, "edge-harmony-apply") as applying,
    ):
        try:
            for frame, mask in pairs:
                pixels, weight = checked_pair(frame, mask, in_place=options.in_place, reader=reader)
                shot = _Shot(frame, pixels, weight, foreground_box(weight) if options.strength else None)
                beginning = predicting.submit(predictor.begin, shot)
                on_the_way.append((applying.submit(finisher.finish, shot, beginning), beginning))
                if len(on_the_way) >= _HELD:
                    yield on_the_way.popleft()[0].result()
            while on_the_way:
                yield on_the_way.popleft()[0].result()
        finally:
            for result, beginning in on_the_way:
                if result.cancel() and not beginning.cancel():
                    _let_go(beginning)


def _whole(runner: Runner, pairs: Iterable[FramePair], options: StreamOptions) -> Generator[NDArray[Any], None, None]:
    """Frames through a whole pipeline, two at a time. Its colour transforms stay inside: none is smoothed or kept."""
    if options.every > 1:
        raise UsageError(
            f"a whole pipeline predicts every frame, and every is {options.every}",
            "use an export without --whole-pipeline",
        )
    if options.keep:
        log.warning("a whole pipeline harmonizes every frame by itself: colours are not smoothed over time")
    reader = MaskReader()
    finish = partial(harmonize_checked, strength=options.strength, in_place=options.in_place)
    results: deque[Future[NDArray[Any]]] = deque()
    with ThreadPoolExecutor(_HELD - 1, "edge-harmony-whole") as pool:
        try:
            for frame, mask in pairs:
                pixels, weight = checked_pair(frame, mask, in_place=options.in_place, reader=reader)
                results.append(pool.submit(finish, runner, frame, pixels, weight))
                if len(results) >= _HELD:
                    yield results.popleft().result()
            while results:
                yield results.popleft().result()
        finally:
            for result in results:
                result.cancel()


def _let_go(beginning: Future[_Begun]) -> None:
    """Wait for an abandoned prediction, because it occupies the device."""
    with contextlib.suppress(Exception):
        waited = beginning.result().grid
        if waited is not None:
            waited()


@dataclass(frozen=True)
class _Shot:
    """A frame, its colours and mask in the pipeline's types, and the box of the pixels to change."""

    frame: NDArray[Any]
    pixels: NDArray[Any]
    mask: NDArray[Any]
    box: Box | None


@dataclass(frozen=True)
class _Begun:
    """A frame's prediction in progress.

    Attributes:
        grid: waits for the grid; None: the grid of the frame before is used.
        mask: the mask at the network's working size; None if the frame has no foreground.
        is_new: whether a scene begins.
    """

    grid: Callable[[], NDArray[np.float32]] | None
    mask: NDArray[np.float32] | None
    is_new: bool


class _Predictor:
    """Starts the predictions of successive frames; one thread calls it, and does not wait for the device."""

    def __init__(self, runner: Runner, options: StreamOptions) -> None:
        self._runner = runner
        self._every = options.every
        self._cuts = SceneCuts(options.cut)
        self._since = options.every

    def begin(self, shot: _Shot) -> _Begun:
        """Start the prediction of the next frame, if this frame is to be predicted."""
        is_new = self._cuts.is_new(shot.pixels)
        if shot.box is None:
            self._since = self._every
            return _Begun(None, None, is_new)
        size = (self._runner.io_spec.height, self._runner.io_spec.width)
        if is_new or self._since >= self._every:
            self._since = 1
            planes, mask = to_working_size(shot.pixels, shot.mask, size)
            return _Begun(predict_later(self._runner, planes, mask), mask[0, 0], is_new)
        self._since += 1
        return _Begun(None, mask_to_working_size(shot.mask, size)[0, 0], is_new)


class _Finisher:
    """Waits for the predictions of successive frames, smooths and applies them, called by one thread."""

    def __init__(self, options: StreamOptions) -> None:
        self._in_place, self._strength = options.in_place, options.strength
        self._smoother = Smoother(options.keep)
        self._last: NDArray[np.float32] | None = None

    def finish(self, shot: _Shot, beginning: Future[_Begun]) -> NDArray[Any]:
        """Harmonize the next frame."""
        begun = beginning.result()
        if begun.is_new:
            self._smoother.reset()
        if begun.grid is not None:
            self._last = begun.grid()
        if begun.mask is None or self._last is None:
            return shot.frame if self._in_place else shot.frame.copy()
        grid = self._smoother.step(self._last, begun.mask)
        changed = apply_grid(shot.pixels, shot.mask, grid, shot.box, strength=self._strength, in_place=self._in_place)
        return like(shot.frame, shot.mask, changed, in_place=self._in_place)


def in_step(frames: Iterable[NDArray[Any]], masks: Iterable[NDArray[Any]]) -> Iterator[FramePair]:
    """Pair every frame with its mask.

    Raises:
        InputError: frames or masks end before the other.
    """
    others = iter(masks)
    count = 0
    for frame in frames:
        mask = next(others, None)
        if mask is None:
            raise InputError(f"there are {count} masks, and more frames", "give a mask for every frame")
        yield frame, mask
        count += 1
    if next(others, None) is not None:
        raise InputError(f"there are {count} frames, and more masks", "give a frame for every mask")
