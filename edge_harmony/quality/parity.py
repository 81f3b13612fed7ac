"""Parity: the results of an artifact compared with those of the PyTorch reference with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import Runner
from edge_harmony.pictures.metrics import mse, psnr_of
from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.pipeline.harmonize import predict

NamedPair = tuple[str, NDArray[np.uint8], NDArray[np.float32]]
"""Name, composite ``(H, W, 3)`` and mask ``(H, W)`` in [0, 1]."""

_WORST = 5
_IDENTICAL = 99.0
"""dB reported for pictures without any difference."""


def compare(
    candidate: Runner,
    reference: Runner | Mapping[str, NDArray[np.float32]],
    samples: Iterable[NamedPair],
    *,
    advance: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Run two networks on the same pictures and measure how far their results differ.

    Args:
        candidate: the network to examine.
        reference: the network that it should agree with, or its grids by the names of the pictures.
        samples: name, composite ``(H, W, 3)`` uint8 and mask ``(H, W)`` in [0, 1] of each picture, such as those of
            :func:`edge_harmony.sample_pictures`; pictures with an empty mask are left out.
        advance: called after each picture, for a progress bar.

    Returns:
        ``images``; ``psnr`` (dB, mean over pictures of the foreground's PSNR between the two results, 99 for
        identical ones), ``psnr_min``; ``max_level_difference`` (0..255); ``max_output_error`` (of the network's raw
        output); ``worst``: names and values of the worst pictures.
    """
    rows: list[tuple[float, str]] = []
    levels, raw = 0, 0.0
    for name, composite, mask in samples:
        inside = mask > 0
        if not inside.any():
            continue
        recorded = reference[name] if isinstance(reference, Mapping) else predict(reference, composite, mask)
        outputs = [predict(candidate, composite, mask), recorded]
        ours, theirs = (apply_grid(composite, mask, output) for output in outputs)
        error = mse(ours[inside], theirs[inside])
        rows.append((min(psnr_of(error), _IDENTICAL), name))
        levels = max(levels, int(np.abs(ours.astype(np.int16) - theirs.astype(np.int16)).max()))
        raw = max(raw, float(np.abs(outputs[0] - outputs[1]).max()))
        if advance is not None:
            advance()
    rows.sort()
    values = [value for value, _ in rows]
    return {
        "images": len(rows),
        "psnr": float(np.mean(values)) if values else None,
        "psnr_min": values[0] if values else None,
        "max_level_difference": levels,
        "max_output_error": raw,
        "worst": [{"name": name, "psnr": value} for value, name in rows[:_WORST]],
    }
