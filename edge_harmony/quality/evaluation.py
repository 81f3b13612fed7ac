"""Scoring a network on a data set of the iHarmony4 layout, under a named protocol."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import Runner
from edge_harmony.errors import EdgeHarmonyError, InputError, name_some
from edge_harmony.files.cells import csv_cell
from edge_harmony.pictures.arrays import to_eight_bits
from edge_harmony.pictures.images import Picture
from edge_harmony.pictures.metrics import FOREGROUND_BINS, Scores
from edge_harmony.pictures.preview import contact_sheet, error_map
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.quality.harm import Harm, measure_harm, summarize_harm
from edge_harmony.quality.preparation import PLAIN, Preparation
from edge_harmony.quality.protocols import NATIVE, ScoringProtocol

Harmonize = Callable[[NDArray[Any], NDArray[np.float32]], NDArray[Any]]
"""A function from composite ``(H, W, 3)`` and mask ``(H, W)`` to the harmonized picture."""

_KEYS = tuple(field.name for field in fields(Scores))
_HARM_KEYS = tuple(field.name for field in fields(Harm))


class ScoredSample(Protocol):
    """A sample to score: a :class:`~edge_harmony.data.iharmony4.Triplet`, or a photograph to relight."""

    @property
    def name(self) -> str:
        """Name in tables; random choices for the sample are derived from it."""

    def load(self) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """Read composite ``(H, W, 3)`` uint8, mask ``(H, W)`` in [0, 1], and the real picture, like the composite."""


@dataclass(frozen=True)
class Row:
    """One scored picture: its sample, the foreground's share, the scores of result and composite, and harm."""

    sample: ScoredSample
    share: float
    ours: Scores
    composite: Scores
    harm: Harm


def evaluate(
    runner: Runner,
    samples: Sequence[ScoredSample],
    *,
    protocol: ScoringProtocol = NATIVE,
    preparation: Preparation = PLAIN,
    advance: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Score a network and, for comparison, the unharmonized composite.

    Args:
        runner: a loaded network.
        samples: the samples to score, such as those of :func:`edge_harmony.read_split`.
        protocol: how pictures are resized and errors computed; by default at native size.
        preparation: changes to the samples before the protocol; by default none.
        advance: called after each picture, for a progress bar.

    Returns:
        The scores that ``edge-harmony evaluate --json`` prints: ``psnr`` (dB), ``mse``, ``fmse``, ``fpsnr`` (dB),
        ``ssim``, ``fssim`` and ``images``; ``composite`` with these keys for the input; ``by_foreground_ratio``, a
        list of these scores for ranges of the foreground's share; and ``harm``.

    Raises:
        InputError: files are damaged or of different sizes; one error names all of them.
    """
    return summarize(score_samples(partial(harmonize_pixels, runner), samples, advance, protocol, preparation))


def score_samples(
    harmonize: Harmonize,
    samples: Sequence[ScoredSample],
    advance: Callable[[], None] | None = None,
    protocol: ScoringProtocol = NATIVE,
    preparation: Preparation = PLAIN,
) -> list[Row]:
    """Score every picture that the preparation leaves. Composite and real picture are both harmonized.

    Args:
        harmonize: the function to score.
        samples: the samples to score.
        advance: called after each picture, for a progress bar.
        protocol: how pictures are resized and errors computed.
        preparation: changes to the samples before the protocol.

    Raises:
        InputError: files are damaged or of different sizes; one error names all of them.
    """
    rows: list[Row] = []
    broken: list[str] = []
    for sample in samples:
        try:
            loaded = sample.load()
        except EdgeHarmonyError as error:
            broken.append(error.message)
            continue
        prepared = preparation.apply(sample.name, *loaded)
        if prepared is not None:
            rows.append(_score(harmonize, sample, protocol.prepare(*prepared), protocol))
        if advance is not None:
            advance()
    if broken:
        raise InputError(f"{len(broken)} samples cannot be read: {name_some(broken)}", "restore the files")
    return rows


def _score(
    harmonize: Harmonize, sample: ScoredSample, prepared: tuple[NDArray[Any], ...], protocol: ScoringProtocol
) -> Row:
    composite, mask, real, weight = prepared
    result, unasked = harmonize(composite, mask), harmonize(real, mask)
    ours, theirs = (protocol.score(picture, real, weight) for picture in (result, composite))
    result, composite, real, unasked = (protocol.levels(picture) for picture in (result, composite, real, unasked))
    harm = measure_harm(result, composite, real, unasked, weight)
    return Row(sample, float(weight.mean()), ours, theirs, harm)


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over pictures.

    Returns:
        ``psnr mse fmse fpsnr ssim fssim images``; ``composite`` with these keys for the input;
        ``by_foreground_ratio``: a list with ``low high`` (shares of the picture, low excluded) and all keys above; and
        ``harm``: see :func:`edge_harmony.quality.harm.summarize_harm`.
    """
    parts = [
        {"low": low, "high": high} | _both([r for r in rows if low < r.share <= high]) for low, high in FOREGROUND_BINS
    ]
    harm = summarize_harm(*([getattr(row, part) for row in rows] for part in ("ours", "composite", "harm")))
    return _both(rows) | {"by_foreground_ratio": parts, "harm": harm}


def as_csv(rows: Sequence[Row]) -> bytes:
    """One line per picture: name, foreground's share, scores, the composite's scores (with a prefix), and harm."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "foreground_ratio", *_KEYS, *(f"composite_{key}" for key in _KEYS), *_HARM_KEYS])
    for row in rows:
        values = [value for part in (row.ours, row.composite, row.harm) for value in asdict(part).values()]
        writer.writerow([csv_cell(row.sample.name), f"{row.share:.5f}", *(f"{value:.4f}" for value in values)])
    return text.getvalue().encode()


def worst_sheet(
    harmonize: Harmonize,
    rows: Sequence[Row],
    count: int,
    protocol: ScoringProtocol = NATIVE,
    preparation: Preparation = PLAIN,
) -> Picture:
    """A sheet of the pictures with the largest foreground error, worst first, with a line of :func:`panels` each."""
    return contact_sheet(
        [
            (f"{row.sample.name}  fMSE {row.composite.fmse:.0f} -> {row.ours.fmse:.0f}", list(shown.values()))
            for row, shown in ((row, panels(harmonize, row, protocol, preparation)) for row in worst_rows(rows, count))
        ]
    )


def worst_rows(rows: Sequence[Row], count: int) -> list[Row]:
    """The rows with the largest foreground error, worst first."""
    return sorted(rows, key=_badness)[:count]


def panels(
    harmonize: Harmonize, row: Row, protocol: ScoringProtocol = NATIVE, preparation: Preparation = PLAIN
) -> dict[str, NDArray[np.uint8]]:
    """The pictures ``composite``, ``mask``, ``result``, ``real`` and ``error`` of a sample, 8 bits, for inspection.

    The error is the absolute error of the result: dark blue for 0, yellow for 64 levels and more.
    """
    loaded = row.sample.load()
    composite, mask, real, _ = protocol.prepare(*(preparation.apply(row.sample.name, *loaded) or loaded))
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
    """Means over pictures, without values that are not finite (identical pictures, empty masks); None without any."""
    result: dict[str, Any] = {}
    for key in _KEYS:
        values = [value for item in scores if math.isfinite(value := asdict(item)[key])]
        result[key] = float(np.mean(values)) if values else None
    result["images"] = len(scores)
    return result
