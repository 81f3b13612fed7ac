"""Scoring a network on a data set of the iHarmony4 layout, at each picture's native size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edge_harmony.backends.base import Runner
from edge_harmony.data.iharmony4 import Triplet
from edge_harmony.errors import EdgeHarmonyError, InputError, name_some
from edge_harmony.metrics import FOREGROUND_BINS, Scores, score
from edge_harmony.pipeline import harmonize_pixels

_KEYS = ("psnr", "mse", "fmse", "fpsnr", "ssim")


def evaluate(runner: Runner, samples: Sequence[Triplet], advance: Callable[[], None] | None = None) -> dict[str, Any]:
    """Score a network and the unharmonized composite side by side.

    Args:
        runner: a loaded network.
        samples: what to score.
        advance: called after each picture, for a progress bar.

    Returns:
        ``psnr mse fmse fpsnr ssim images`` (means over pictures), ``composite`` with the same keys for the input, and
        ``by_foreground_ratio``: a list with ``low high`` (shares of the picture, low excluded), ``images`` and the
        keys of both.

    Raises:
        InputError: files are damaged or of different sizes; one error names them, after all were tried.
    """
    rows: list[tuple[float, Scores, Scores]] = []
    broken: list[str] = []
    for sample in samples:
        try:
            composite, mask, real = sample.load()
        except EdgeHarmonyError as error:
            broken.append(error.message)
            continue
        binary = (mask > 0.5).astype(np.float32)
        result = harmonize_pixels(runner, composite, mask)
        rows.append((float(binary.mean()), score(result, real, binary), score(composite, real, binary)))
        if advance is not None:
            advance()
    if broken:
        raise InputError(f"{len(broken)} samples cannot be read: {name_some(broken)}", "restore the files")
    summary: dict[str, Any] = _means([ours for _, ours, _ in rows])
    summary["composite"] = _means([theirs for _, _, theirs in rows])
    summary["by_foreground_ratio"] = [
        {"low": low, "high": high}
        | _means([ours for share, ours, _ in rows if low < share <= high])
        | {"composite": _means([theirs for share, _, theirs in rows if low < share <= high])}
        for low, high in FOREGROUND_BINS
    ]
    return summary


def _means(scores: Sequence[Scores]) -> dict[str, Any]:
    """Means over pictures, leaving out values that are not finite (identical pictures, empty masks); None for none."""
    result: dict[str, Any] = {}
    for key in _KEYS:
        values = [value for item in scores if math.isfinite(value := asdict(item)[key])]
        result[key] = float(np.mean(values)) if values else None
    result["images"] = len(scores)
    return result
