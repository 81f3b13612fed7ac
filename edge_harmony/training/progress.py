"""The progress of a stage, reported about once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_harmony.training.recipe import StageConfig

_EVERY_SECONDS = 1


@dataclass(frozen=True)
class Progress:
    """The progress of a stage, for a progress bar.

    Attributes:
        stage: name of the stage.
        images: training images seen in it.
        total: its number of images.
        rate: images a second.
        remaining: seconds left.
        loss: smoothed training loss; a network that changes nothing has 1.
    """

    stage: str
    images: int
    total: int
    rate: float
    remaining: float
    loss: float


class Reports:
    """Reports of a stage; its clock starts here.

    Args:
        report: called about once a second with a :class:`Progress`.
        stage: the stage.
        images: images of the stage that were seen before, which do not count for the rate.
    """

    def __init__(self, report: Callable[[Progress], None], stage: StageConfig, images: int) -> None:
        self._report, self._stage, self._before = report, stage, images
        self._started, self._last = time.monotonic(), 0.0

    def show(self, images: int, loss: float) -> None:
        """Report a step, unless the last report is less than a second old.

        Args:
            images: images of the stage that were seen until now.
            loss: smoothed training loss.
        """
        now = time.monotonic()
        if now - self._last > _EVERY_SECONDS:
            rate = (images - self._before) / (now - self._started)
            left = (self._stage.images - images) / rate
            self._report(Progress(self._stage.name, images, self._stage.images, rate, left, loss))
            self._last = now
