"""Frames in, harmonized frames out: reading, prediction and apply overlap, and only a few frames are held."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.apply import Box, apply_grid, foreground_box
from edge_harmony.backends.base import Runner
from edge_harmony.errors import InputError
from edge_harmony.pipeline import checked_pair, like, mask_to_working_size, predict_small, to_working_size
from edge_harmony.temporal import SceneCuts, Smoother

_HELD = 3
"""Frames on their way at a time: one in prediction, one in apply, one done."""


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is harmonized.

    Attributes:
        every: predict every so many frames; those between go on towards the last prediction.
        keep: share of the colour transform that stays from frame to frame, see
            :class:`edge_harmony.temporal.Smoother`.
        cut: difference of two frames that means a new scene, see :class:`edge_harmony.temporal.SceneCuts`.
        in_place: change the frames themselves, which saves a copy of each.
    """

    every: int = 1
    keep: float = 0.8
    cut: float = 0.12
    in_place: bool = False

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")
        if not 0 <= self.keep < 1:
            raise ValueError(f"keep must be in [0, 1), got {self.keep}")


Pair = tuple[NDArray[Any], NDArray[Any]]


def stream(runner: Runner, pairs: Iterable[Pair], options: StreamOptions) -> Generator[NDArray[Any], None, None]:
    """Harmonize pairs of frame and mask in their order; see :meth:`edge_harmony.harmonizer.Harmonizer.stream`."""
    transforms = _Transforms(runner, options)
    on_the_way: deque[Future[NDArray[Any]]] = deque()
    with (
        ThreadPoolExecutor(1, "edge-harmony-predict") as predicting,
        ThreadPoolExecutor(1, "edge-harmony-apply") as applying,
    ):
        try:
            for frame, mask in pairs:
                pixels, weight = checked_pair(frame, mask, in_place=options.in_place)
                box = foreground_box(weight)
                transform = predicting.submit(transforms.next, pixels, weight, box)
                on_the_way.append(
                    applying.submit(_apply, frame, pixels, weight, box, transform, in_place=options.in_place)
                )
                if len(on_the_way) >= _HELD:
                    yield on_the_way.popleft().result()
            while on_the_way:
                yield on_the_way.popleft().result()
        finally:
            for future in on_the_way:
                future.cancel()


class _Transforms:
    """The colour transforms of successive frames; called by one thread."""

    def __init__(self, runner: Runner, options: StreamOptions) -> None:
        self._runner = runner
        self._options = options
        self._cuts = SceneCuts(options.cut)
        self._smoother = Smoother(options.keep)
        self._since = 0
        self._last: NDArray[np.float32] | None = None

    def next(self, pixels: NDArray[Any], mask: NDArray[Any], box: Box | None) -> NDArray[np.float32] | None:
        """The transform of the next frame; None without a foreground."""
        if self._cuts.is_new(pixels):
            self._smoother.reset()
            self._last = None
        if box is None:
            self._last = None
            return None
        size = (self._runner.io_spec.height, self._runner.io_spec.width)
        if self._last is None or self._since + 1 >= self._options.every:
            planes, small_mask = to_working_size(pixels, mask, size)
            self._last, self._since = predict_small(self._runner, planes, small_mask), 0
        else:
            small_mask = mask_to_working_size(mask, size)
            self._since += 1
        return self._smoother.step(self._last, small_mask[0, 0])


def _apply(
    frame: NDArray[Any],
    pixels: NDArray[Any],
    mask: NDArray[Any],
    box: Box | None,
    transform: Future[NDArray[np.float32] | None],
    *,
    in_place: bool,
) -> NDArray[Any]:
    grid = transform.result()
    if grid is None:
        return frame if in_place else frame.copy()
    return like(frame, mask, apply_grid(pixels, mask, grid, box, in_place=in_place), in_place=in_place)


def in_step(frames: Iterable[NDArray[Any]], masks: Iterable[NDArray[Any]]) -> Iterator[Pair]:
    """Pairs of both.

    Raises:
        InputError: one ends before the other.
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
