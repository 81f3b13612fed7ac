"""Measures of harm: what a network does to pictures besides reducing the mean error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pictures.metrics import Scores, foreground_mse

LOW, HIGH = 3, 252
"""Levels under the first and over the second count as clipped."""
CHROMA = 10.0
"""Least Lab chroma for which the hue of a colour is meaningful."""
TURN = 30.0
"""Difference in Lab hue, in degrees, beyond which a colour counts as another one."""
MUCH = 1.2
"""A picture is much worse if its foreground error exceeds the composite's by this factor."""
VIVID = 5
"""One in this many pictures is vivid: those with the largest mean foreground chroma in the truth."""

HARM_LINES = (
    ("gain, dB", "gain", 1, "+.2f"),
    ("pictures made worse than their composite, %", "worse", 100, ".1f"),
    ("... by more than 20 %, %", "much_worse", 100, ".1f"),
    ("no-change error: fMSE for real pictures, mean", "no_change", 1, ".0f"),
    ("... median", "no_change_median", 1, ".0f"),
    ("foreground's chroma against the truth", "chroma", 1, ".2f"),
    ("... of the most vivid fifth", "vivid_chroma", 1, ".2f"),
    ("foreground's lightness against the truth", "lightness", 1, ".2f"),
    ("... of the most vivid fifth", "vivid_lightness", 1, ".2f"),
    ("newly clipped, % of the foreground", "clipped", 100, ".2f"),
    ("hue turned by more than 30 degrees, % of the foreground", "hue_turned", 100, ".1f"),
    ("... in the composite", "composite_hue_turned", 100, ".1f"),
    ("score, dB (leaving pictures as they are: 0)", "score", 1, "+.2f"),
)
"""Lines of the tables of harm, on the command line and on cards: label, key, factor, format."""


@dataclass(frozen=True)
class Harm:
    """Measures of one picture's foreground; NaN if the mask is empty.

    Attributes:
        no_change: fMSE of the result for the real picture itself.
        chroma: mean Lab chroma of the result.
        lightness: mean Lab lightness of the result.
        truth_chroma: mean Lab chroma of the real picture.
        truth_lightness: mean Lab lightness of the real picture.
        clipped: share of pixels with a channel that is clipped in the result, but not in composite or truth.
        hue_turned: share of pixels whose hue differs from the truth's, where both have enough chroma.
        composite_hue_turned: this share for the composite.
    """

    no_change: float
    chroma: float
    lightness: float
    truth_chroma: float
    truth_lightness: float
    clipped: float
    hue_turned: float
    composite_hue_turned: float


def measure_harm(
    result: NDArray[Any],
    composite: NDArray[Any],
    real: NDArray[Any],
    unasked: NDArray[Any],
    weight: NDArray[np.float32],
) -> Harm:
    """Measure one picture; all pictures are ``(H, W, 3)`` in 0..255.

    Args:
        result: the harmonized composite.
        composite: the composite.
        real: the truth.
        unasked: the network's result for the real picture, which needs no change.
        weight: ``(H, W)`` in [0, 1]; for counts of pixels, the foreground is where it exceeds one half.
    """
    inside = weight > 0.5
    if not inside.any():
        return Harm(*[math.nan] * 8)
    ours, theirs, truth = (picture[inside] for picture in (result, composite, real))
    lab_ours, lab_theirs, lab_truth = (_lab(pixels) for pixels in (ours, theirs, truth))
    newly = _clipped(ours) & ~_clipped(theirs) & ~_clipped(truth)
    return Harm(
        no_change=foreground_mse(unasked, real, weight),
        chroma=float(_chroma(lab_ours).mean()),
        lightness=float(lab_ours[:, 0].mean()),
        truth_chroma=float(_chroma(lab_truth).mean()),
        truth_lightness=float(lab_truth[:, 0].mean()),
        clipped=float(newly.any(1).mean()),
        hue_turned=_turned(lab_ours, lab_truth),
        composite_hue_turned=_turned(lab_theirs, lab_truth),
    )


def summarize_harm(ours: Sequence[Scores], composite: Sequence[Scores], harms: Sequence[Harm]) -> dict[str, Any]:
    """Harm over pictures. Pictures without a foreground are left out; a measure without any picture is None.

    Args:
        ours: scores of the results.
        composite: scores of the composites.
        harms: harm of the results.

    Returns:
        ``gain`` (dB: mean PSNR less the composite's), ``worse`` and ``much_worse`` (shares of pictures whose
        foreground error exceeds the composite's, and 1.2 times the composite's), ``no_change`` and
        ``no_change_median`` (fMSE of results for real pictures), ``chroma``, ``lightness``, ``vivid_chroma`` and
        ``vivid_lightness`` (ratios of means over pictures to the truth's, for all and for the most vivid fifth),
        ``clipped``, ``hue_turned`` and ``composite_hue_turned`` (mean shares of the foreground), and ``score``, see
        :func:`score`.
    """
    pairs = [
        (a.fmse, b.fmse)
        for a, b in zip(ours, composite, strict=True)
        if math.isfinite(a.fmse) and math.isfinite(b.fmse)
    ]
    counted = [harm for harm in harms if math.isfinite(harm.no_change)]
    vivid = sorted(counted, key=lambda harm: -harm.truth_chroma)[: -(-len(counted) // VIVID)]
    gain = _difference(_mean([s.psnr for s in ours]), _mean([s.psnr for s in composite]))
    worse = _mean([float(a > b) for a, b in pairs])
    no_change = _mean([harm.no_change for harm in counted])
    return {
        "gain": gain,
        "worse": worse,
        "much_worse": _mean([float(a > MUCH * b) for a, b in pairs]),
        "no_change": no_change,
        "no_change_median": float(np.median([harm.no_change for harm in counted])) if counted else None,
        "chroma": _ratio(counted, "chroma"),
        "lightness": _ratio(counted, "lightness"),
        "vivid_chroma": _ratio(vivid, "chroma"),
        "vivid_lightness": _ratio(vivid, "lightness"),
        "clipped": _mean([harm.clipped for harm in counted]),
        "hue_turned": _mean([harm.hue_turned for harm in counted]),
        "composite_hue_turned": _mean([harm.composite_hue_turned for harm in counted]),
        "score": score(gain, worse, no_change, _mean([b for _, b in pairs])),
    }


def score(gain: float | None, worse: float | None, no_change: float | None, composite: float | None) -> float | None:
    """The number to choose checkpoints by, in dB: ``gain - worse - 10 log10(1 + no_change / composite)``.

    A network that changes nothing scores 0; one that scores less does more harm than good. The last term is a price for
    the error that the network adds to pictures that fit already, relative to the error of the composites. As a ratio it
    weighs equally on every set, and a network cannot raise its score by repainting everything. The share made worse
    costs a decibel, to separate networks of equal mean: a large gain on a few pictures does not pay for many spoilt
    ones.

    Args:
        gain: dB.
        worse: share in 0..1.
        no_change: fMSE.
        composite: mean fMSE of the composites.

    Returns:
        dB; None if a part is missing or the composites have no error.
    """
    if gain is None or worse is None or no_change is None or not composite:
        return None
    return gain - worse - 10 * math.log10(1 + no_change / composite)


def _lab(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Convert levels ``(N, 3)`` to CIE Lab (D65): lightness 0..100, a, b."""
    scaled = np.clip(pixels.astype(np.float32) / 255, 0, 1)
    converted: NDArray[np.float32] = cv2.cvtColor(scaled[None], cv2.COLOR_RGB2LAB)[0]  # type: ignore[assignment]
    return converted


def _chroma(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hypot(lab[:, 1], lab[:, 2])


def _clipped(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    return (pixels < LOW) | (pixels > HIGH)


def _turned(lab: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Share of all pixels whose hue differs from the truth's."""
    a, b, c, d = lab[:, 1], lab[:, 2], truth[:, 1], truth[:, 2]
    angle = np.degrees(np.abs(np.arctan2(a * d - b * c, a * c + b * d)))
    return float(((angle > TURN) & (_chroma(lab) >= CHROMA) & (_chroma(truth) >= CHROMA)).mean())


def _ratio(harms: Sequence[Harm], key: str) -> float | None:
    truth = sum(getattr(harm, f"truth_{key}") for harm in harms)
    return float(sum(getattr(harm, key) for harm in harms) / truth) if truth else None


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else None


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def harm_rows(*harms: dict[str, Any]) -> list[tuple[str, ...]]:
    """The rows of a table of harm, of :data:`HARM_LINES`: the label, and the text of each evaluation's number.

    A dash stands where no picture gives the number.
    """

    def text(value: float | None, factor: int, form: str) -> str:
        return "-" if value is None else format(factor * value, form)

    return [(label, *(text(harm[key], factor, form) for harm in harms)) for label, key, factor, form in HARM_LINES]
