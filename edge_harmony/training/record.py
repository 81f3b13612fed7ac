"""What a run writes about itself for people: the log, pictures of it and of held-out samples, TensorBoard events."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_harmony.backends.base import Runner
from edge_harmony.extras import require
from edge_harmony.files.atomic import atomic_write
from edge_harmony.pictures.arrays import to_eight_bits
from edge_harmony.pictures.encode import encode_picture
from edge_harmony.pictures.images import Picture
from edge_harmony.pictures.metrics import mse, psnr_of
from edge_harmony.pictures.preview import contact_sheet
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.quality.preparation import Preparation
from edge_harmony.training.curves import LogRow, draw_curves
from edge_harmony.training.dataset import TrainingSample

LOG, CURVES, SAMPLES, EVENTS = "log.csv", "curves.svg", "validation.jpg", "tensorboard"
"""Names in the folder of a run."""
SHOWN = 4
"""Held-out samples in the picture."""
_QUALITY = 85


@dataclass(frozen=True)
class RecordOptions:
    """What is written besides the log.

    Attributes:
        pictures: ``curves.svg`` and ``validation.jpg`` after every validation.
        tensorboard: events in the folder ``tensorboard``; needs the extra of this name.
    """

    pictures: bool = True
    tensorboard: bool = False


class Record:
    """Writes the record of a run into its folder; files but the events are written whole or not at all.

    Args:
        folder: of the run.
        options: what is written besides the log.

    Raises:
        CapabilityError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, options: RecordOptions) -> None:
        self.options = options
        self._folder = folder
        self._writer: Any = None
        if options.tensorboard:
            require("tensorboard", "--tensorboard needs TensorBoard, which is not installed")

    def write(self, history: Sequence[LogRow], sheet: Picture | None) -> None:
        """Write the files after a validation.

        Args:
            history: all rows of the log; the last is new.
            sheet: of :func:`sheet_of`; None without held-out samples.

        Raises:
            UsageError: a file cannot be written.
        """
        atomic_write(self._folder / LOG, as_csv(history))
        if self.options.pictures:
            atomic_write(self._folder / CURVES, draw_curves(history).encode())
        if sheet is not None:
            atomic_write(self._folder / SAMPLES, encode_picture(sheet, ".jpg", quality=_QUALITY))
        if self.options.tensorboard:
            self._add_events(history[-1])

    def _add_events(self, row: LogRow) -> None:
        step = row["images"]
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # a run that was killed may have written events beyond the checkpoint that it is resumed from
            self._writer = SummaryWriter(str(self._folder / EVENTS), purge_step=step)  # type: ignore[no-untyped-call]
        for name, value in row.items():
            if isinstance(value, int | float) and name != "images":
                self._writer.add_scalar(f"{'training' if name == 'loss' else 'validation'}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file of events."""
        if self._writer is not None:
            self._writer.close()


def as_csv(history: Sequence[LogRow]) -> bytes:
    """The log: a line for each row, with the columns of all of them."""
    fields = list(dict.fromkeys(key for row in history for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().encode()


def sheet_of(runner: Runner, samples: Sequence[TrainingSample], preparation: Preparation) -> Picture | None:
    """Held-out samples before and after: composite, mask, result and real picture, at most :data:`SHOWN` lines.

    Args:
        runner: the network.
        samples: the held-out samples; those shown are spread evenly over them.
        preparation: changes to the samples; those of which nothing is left are passed over.

    Returns:
        The sheet; None if there is no sample to show.

    Raises:
        InputError: a file is damaged.
    """
    count = min(len(samples), SHOWN)
    lines = []
    for sample in (samples[k * len(samples) // count] for k in range(count)):
        prepared = preparation.apply(sample.name, *sample.load())
        if prepared is None:
            continue
        composite, mask, real = prepared
        result = harmonize_pixels(runner, composite, mask)
        before, after = (psnr_of(mse(picture, real)) for picture in (composite, result))
        label = f"{sample.name}  PSNR {before:.1f} -> {after:.1f} dB"
        lines.append((label, [composite, to_eight_bits(np.dstack([mask] * 3)), result, real]))
    return contact_sheet(lines) if lines else None
