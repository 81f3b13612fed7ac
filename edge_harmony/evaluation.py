"""Scoring a network on a data set of the iHarmony4 layout, under a named protocol."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import Runner
from edge_harmony.data.iharmony4 import Triplet
from edge_harmony.errors import EdgeHarmonyError, InputError, name_some
from edge_harmony.images import Picture, to_eight_bits
from edge_harmony.metrics import FOREGROUND_BINS, Scores
from edge_harmony.pipeline import harmonize_pixels
from edge_harmony.preview import contact_sheet, error_map
from edge_harmony.protocols import NATIVE, Protocol

Harmonize = Callable[[NDArray[Any], NDArray[np.float32]], NDArray[Any]]
"""Composite ``(H, W, 3)`` and mask ``(H, W)`` to the harmonized picture, whatever does it."""

_KEYS = tuple(field.name for field in fields(Scores))


@dataclass(frozen=True)
class Row:
    """One scored picture: its sample, the foreground's share, the result's scores and the composite's."""

    sample: Triplet
    share: float
    ours: Scores
    composite: Scores


def evaluate(
    runner: Runner,
    samples: Sequence[Triplet],
    advance: Callable[[], None] | None = None,
    protocol: Protocol = NATIVE,
) -> dict[str, Any]:
    """Score a network and the unharmonized composite side by side: :func:`score_samples`, then :func:`summarize`."""
    return summarize(score_samples(partial(harmonize_pixels, runner), samples, advance, protocol))


def score_samples(
    harmonize: Harmonize,
    samples: Sequence[Triplet],
    advance: Callable[[], None] | None = None,
    protocol: Protocol = NATIVE,
) -> list[Row]:
    """Score every picture.

    Args:
        harmonize: what is scored.
        samples: what to score.
        advance: called after each picture, for a progress bar.
        protocol: how pictures are prepared and errors taken.

    Raises:
        InputError: files are damaged or of different sizes; one error names them, after all were tried.
    """
    rows: list[Row] = []
    broken: list[str] = []
    for sample in samples:
        try:
            loaded = sample.load()
        except EdgeHarmonyError as error:
            broken.append(error.message)
            continue
        composite, mask, real, weight = protocol.prepare(*loaded)
        result = harmonize(composite, mask)
        scores = (protocol.score(picture, real, weight) for picture in (result, composite))
        rows.append(Row(sample, float(weight.mean()), *scores))
        if advance is not None:
            advance()
    if broken:
        raise InputError(f"{len(broken)} samples cannot be read: {name_some(broken)}", "restore the files")
    return rows


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over pictures.

    Returns:
        ``psnr mse fmse fpsnr ssim fssim images``, ``composite`` with the same keys for the input, and
        ``by_foreground_ratio``: a list with ``low high`` (shares of the picture, low excluded) and all of these.
    """
    parts = [
        {"low": low, "high": high} | _both([r for r in rows if low < r.share <= high]) for low, high in FOREGROUND_BINS
    ]
    return _both(rows) | {"by_foreground_ratio": parts}


def as_csv(rows: Sequence[Row]) -> bytes:
    """One line per picture: name, share of the foreground, its scores and, with a prefix, the composite's."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "foreground_ratio", *_KEYS, *(f"composite_{key}" for key in _KEYS)])
    for row in rows:
        values = [*asdict(row.ours).values(), *asdict(row.composite).values()]
        writer.writerow([row.sample.name, f"{row.share:.5f}", *(f"{value:.4f}" for value in values)])
    return text.getvalue().encode()


def worst_sheet(harmonize: Harmonize, rows: Sequence[Row], count: int, protocol: Protocol = NATIVE) -> Picture:
    """The pictures with the largest foreground error on one sheet, worst first; a line of :func:`panels` each."""
    return contact_sheet(
        [
            (f"{row.sample.name}  fMSE {row.composite.fmse:.0f} -> {row.ours.fmse:.0f}", list(shown.values()))
            for row, shown in ((row, panels(harmonize, row, protocol)) for row in worst_rows(rows, count))
        ]
    )


def worst_rows(rows: Sequence[Row], count: int) -> list[Row]:
    """Those with the largest foreground error, worst first."""
    return sorted(rows, key=_badness)[:count]


def panels(harmonize: Harmonize, row: Row, protocol: Protocol = NATIVE) -> dict[str, NDArray[np.uint8]]:
    """``composite``, ``mask``, ``result``, ``real`` and ``error``, 8 bits: what to look at where a picture is bad.

    The error is the absolute one of the result: 0 dark blue, 64 levels and more yellow.
    """
    composite, mask, real, _ = protocol.prepare(*row.sample.load())
    pictures = {
        "composite": composite,
        "mask": np.dstack([mask] * 3),
        "result": harmonize(composite, mask),
        "real": real,
    }
    shown = {name: to_eight_bits(picture) for name, picture in pictures.items()}
    return shown | {"error": error_map(shown["result"], shown["real"])}


def _badness(row: Row) -> float:
    return -row.ours.fmse if math.isfinite(row.ours.fmse) else 0.0


def _both(rows: Sequence[Row]) -> dict[str, Any]:
    return _means([row.ours for row in rows]) | {"composite": _means([row.composite for row in rows])}


def _means(scores: Sequence[Scores]) -> dict[str, Any]:
    """Means over pictures, leaving out values that are not finite (identical pictures, empty masks); None for none."""
    result: dict[str, Any] = {}
    for key in _KEYS:
        values = [value for item in scores if math.isfinite(value := asdict(item)[key])]
        result[key] = float(np.mean(values)) if values else None
    result["images"] = len(scores)
    return result
