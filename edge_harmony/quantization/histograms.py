"""Histograms of what passes a quantization point, the thresholds that they give, and their file."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, FiniteFloat, NonNegativeInt

from edge_harmony.errors import InputError, first_line, parsing
from edge_harmony.files.atomic import atomic_write
from edge_harmony.quantization.fake_quant import ACTIVATION_RANGE

log = logging.getLogger(__name__)

Method = Literal["min-max", "percentile", "mse", "entropy"]

BINS = 2048
DEFAULT_PERCENTILE = 99.99
_LEVELS = ACTIVATION_RANGE[1] + 1
_CANDIDATES = 128
"""Number of thresholds that mse and entropy try."""


class Histogram:
    """Magnitudes of one activation in 2048 bins over [0, limit]; a larger value doubles the limit.

    Attributes:
        counts: ``(2048,)``.
        limit: upper end of the last bin; 0 until a value other than zero was counted.
        largest: the largest magnitude.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.float64] = np.zeros(BINS)
        self.limit = 0.0
        self.largest = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values of any shape.

        Raises:
            InputError: values are not finite.
        """
        magnitudes = np.abs(values.ravel())
        largest = float(magnitudes.max(initial=0.0))
        if not np.isfinite(largest):
            raise InputError("the network's activations are not finite", "check the weights and the pictures")
        self.largest = max(self.largest, largest)
        if self.limit == 0.0:
            self.limit = largest
        while largest > self.limit > 0:
            halves = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.concatenate([halves, np.zeros(BINS // 2)])
            self.limit *= 2
        if self.limit > 0:
            self.counts += np.histogram(magnitudes, BINS, (0.0, self.limit))[0]

    def threshold(self, method: Method, percentile: float = DEFAULT_PERCENTILE) -> float:
        """The magnitude of the largest level.

        Args:
            method: ``"min-max"``: the largest magnitude; ``"percentile"``: the magnitude that this share of the values
                does not exceed; ``"mse"``: least mean squared error of rounding and clipping; ``"entropy"``: least
                Kullback-Leibler divergence between the distributions before and after (Migacz, "8-bit Inference with
                TensorRT", GTC 2017).
            percentile: share for ``"percentile"``, in per cent.
        """
        if method == "min-max" or self.limit == 0.0:
            return self.largest
        edges = np.linspace(0, self.limit, BINS + 1)
        if method == "percentile":
            reached = np.searchsorted(np.cumsum(self.counts), percentile / 100 * self.counts.sum())
            return float(min(edges[min(int(reached) + 1, BINS)], self.largest))
        used = int(np.nonzero(self.counts)[0][-1]) + 1
        stops = np.unique(np.linspace(min(_LEVELS, used), used, _CANDIDATES).round().astype(int))
        error = self._squared_error if method == "mse" else self._divergence
        best = min(stops, key=lambda stop: error(int(stop)))
        return float(min(edges[best], self.largest))

    def _squared_error(self, stop: int) -> float:
        centres = (np.arange(BINS) + 0.5) * (self.limit / BINS)
        step = self.limit * stop / BINS / ACTIVATION_RANGE[1]
        rounded = np.minimum(np.rint(centres / step), ACTIVATION_RANGE[1]) * step
        return float((self.counts * (rounded - centres) ** 2).sum())

    def _divergence(self, stop: int) -> float:
        counts = self.counts.copy()
        counts[0] = counts[1]  # ReLU's zeros lose nothing by rounding, and would outweigh all other values
        clipped = counts[:stop].copy()
        clipped[-1] += counts[stop:].sum()
        present = counts[:stop] > 0
        level = np.minimum(np.arange(stop) * _LEVELS // stop, _LEVELS - 1)
        totals = np.bincount(level, counts[:stop], _LEVELS)
        shares = np.bincount(level, present, _LEVELS)
        spread = np.where(present, totals[level] / np.maximum(shares[level], 1), 0.0)
        p, q = clipped / max(clipped.sum(), 1e-12), spread / max(spread.sum(), 1e-12)
        inside = p > 0
        return float((p[inside] * np.log(p[inside] / np.maximum(q[inside], 1e-9))).sum())


Histograms = dict[str, Histogram]


def save_histograms(path: Path, histograms: Histograms, key: str, pictures: int) -> None:
    """Save the histograms; an interrupted write leaves the previous file in place."""
    arrays: dict[str, Any] = {f"counts/{name}": histogram.counts for name, histogram in histograms.items()}
    facts = {name: (histogram.limit, histogram.largest) for name, histogram in histograms.items()}
    arrays["facts"] = np.frombuffer(json.dumps({"key": key, "pictures": pictures, "of": facts}).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    atomic_write(path, buffer.getvalue())


def load_histograms(path: Path, key: str) -> tuple[Histograms, int]:
    """Histograms in a file and their number of pictures; none if the file is missing, damaged or has another key."""
    if not path.is_file():
        return {}, 0
    try:
        with parsing("damaged", ""), np.load(path, allow_pickle=False) as file:
            facts = _Facts.model_validate_json(file["facts"].tobytes())
            counts = {name: file[f"counts/{name}"] for name in facts.of}
    except (InputError, MemoryError) as error:  # the latter: an array that claims to be huge
        log.warning("the counts in %s cannot be used, and pictures are counted again (%s)", path, first_line(error))
        return {}, 0
    if facts.key != key or not all(_are_counts(array) for array in counts.values()):
        return {}, 0
    histograms: Histograms = {}
    for name, (limit, largest) in facts.of.items():
        histogram = histograms[name] = Histogram()
        histogram.counts, histogram.limit, histogram.largest = counts[name], limit, largest
    return histograms, facts.pictures


class _Facts(BaseModel):
    """What a file of histograms says of them: the limit and the largest magnitude of each."""

    key: str
    pictures: NonNegativeInt
    of: dict[str, tuple[FiniteFloat, FiniteFloat]]


def _are_counts(found: Any) -> bool:
    """Whether an entry of the file is an array of counts; what has no header of an array comes as bytes."""
    fit = isinstance(found, np.ndarray) and found.shape == (BINS,) and found.dtype == np.float64
    return bool(fit and np.isfinite(found).all() and (found >= 0).all())
