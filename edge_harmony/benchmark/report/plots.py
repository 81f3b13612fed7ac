"""The plots of a report as SVG. Marks have classes instead of colours, so that colours follow the page's theme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from edge_harmony.benchmark.report.axes import (
    Scale,
    gutter,
    level_axis,
    linear,
    log_axis,
    log_scale,
    row_name,
    row_places,
    svg,
    text_at,
)
from edge_harmony.benchmark.report.columns import fastest_first
from edge_harmony.benchmark.result import Measurement, Result

Area = tuple[float, float, float, float]
Corners = tuple[tuple[float, float], ...]

STAGES = ("decode", "preprocess", "copy", "infer", "harmonize", "apply", "encode")
_LETTER = 6.3
"""Mean width of a letter at 12 pixels, for placing labels without measuring fonts."""
_ALIKE = 0.01
"""Differences in quality up to this many dB do not count."""
_CROSS: Corners = (
    *((-2, -6), (2, -6), (2, -2), (6, -2), (6, 2), (2, 2)),
    *((2, 6), (-2, 6), (-2, 2), (-6, 2), (-6, -2), (-2, -2)),
)
_OUTLINES: tuple[Corners, ...] = (
    ((-5.5, -5.5), (5.5, -5.5), (5.5, 5.5), (-5.5, 5.5)),
    ((0, -6.5), (6.5, 5.5), (-6.5, 5.5)),
    ((0, -7.5), (7.5, 0), (0, 7.5), (-7.5, 0)),
    ((0, 7.5), (6.5, -5.5), (-6.5, -5.5)),
    ((0, -6.5), (6.5, -1), (3.85, 6.5), (-3.85, 6.5), (-6.5, -1)),
)
"""Square, triangle, diamond, inverted triangle, pentagon: corners in pixels. A circle comes before them."""


def on_front(result: Result) -> list[Measurement]:
    """The Pareto front of time and quality, the fastest first, without contenders that are worse than no change."""
    scored = {(m.summary.p50.estimate, q): m for m, q in _scored(result) if is_help(m)}
    return [scored[point] for point in _front(scored)]


def is_help(m: Measurement) -> bool:
    """Whether its pictures are at least as good as the unharmonized ones; True if that is not known."""
    if m.truth is None or m.truth.result.psnr is None or m.truth.composite.psnr is None:
        return True
    return m.truth.result.psnr >= m.truth.composite.psnr


def _scored(result: Result) -> list[tuple[Measurement, float]]:
    """Measurements with their quality: against the real pictures if any has that, else against the reference."""
    by_truth = any(m.truth for m in result.measurements)
    return [(m, q) for m in result.measurements if (q := _quality(m, by_truth)) is not None]


def pareto(result: Result, width: int) -> str:
    """Quality against latency, with a line along the Pareto front.

    Quality is the PSNR against the real pictures, or the parity with the reference if there are none. Contenders
    below the unharmonized composite are drawn at the lower edge, with their value.
    """
    points = _scored(result)
    if not points:
        return ""
    by_truth = any(m.truth for m, _ in points)
    base = next((m.truth.composite.psnr for m, _ in points if m.truth), None) if by_truth else None
    inside = [q for _, q in points if base is None or q >= base] or [q for _, q in points]
    low, high = min([*inside, *([base] if base else [])]), max(inside)
    margin = max(0.05 * (high - low), 0.05)
    left, right, top, bottom = 52, 16, 14, 46
    height = min(460, max(320, width * 2 // 3))
    x = log_scale([m.summary.p50.estimate for m, _ in points], left + 14, width - right - 40)
    y = linear(low - 3 * margin, high + margin, height - bottom, top)
    parts = [log_axis(x, [m.summary.p50.estimate for m, _ in points], top, height - bottom, "median, ms a picture")]
    parts.append(level_axis(y, low - 3 * margin, high + margin, left, width - right))
    parts.append(
        text_at(14, (top + height - bottom) / 2, "PSNR, dB" if by_truth else "parity with PyTorch, dB", turn=-90)
    )
    if base is not None:
        parts.append(f'<line class="base" x1="{left}" x2="{width - right}" y1="{y(base):.1f}" y2="{y(base):.1f}"/>')
        parts.append(text_at(width - right, y(base) - 5, f"unharmonized, {base:.2f} dB", "end", "soft"))
    front = _front((m.summary.p50.estimate, q) for m, q in points if is_help(m))
    corners = [f"{x(a):.1f},{y(b):.1f}" for a, b in front]
    parts.append(f'<polyline class="front" points="{" ".join(corners)}"/>')
    taken: list[Area] = []
    backends = backends_of(result)
    floor = height - bottom - 8
    places = [(m, q, x(m.summary.p50.estimate), min(y(q), floor)) for m, q in points]
    for m, q, px, py in places:
        span = m.summary.p50
        parts.append(
            f'<line class="error" x1="{x(span.low):.1f}" x2="{x(span.high):.1f}" y1="{py:.1f}" y2="{py:.1f}"/>'
        )
        title = f"{m.contender.name}: {span.estimate:.2f} ms, {q:.2f} dB"
        parts.append(shape(m.contender.backend, backends, _class(m), px, py, title))
        taken.append((px - 6, py - 6, px + 6, py + 6))
    important = {(a, b) for a, b in front}
    for m, q, px, py in sorted(places, key=lambda place: (place[0].summary.p50.estimate, place[1]) not in important):
        below = py >= floor and y(q) > floor
        label = _short(m) + (f" ({q:.1f} dB)" if below else "")
        parts.append(_label(label, px, py, taken, (left, width - right, top, height - bottom)))
    return svg(width, height, parts, "Quality against latency")


def distributions(result: Result, width: int) -> str:
    """The samples of every contender on a logarithmic axis: density, median, 90th and 99th percentile."""
    rows = fastest_first(result)
    left = gutter([m.contender.name for m in rows], width)
    middles, total_height = row_places([m.contender.name for m in rows], left)
    height = total_height + 54
    values = [v for m in rows for v in np.percentile(m.samples_ms, (0.5, 99.5))]
    x = log_scale(values, left + 6, width - 20)
    parts = [log_axis(x, values, 8, height - 46, "ms a query")]
    for m, place in zip(rows, middles, strict=True):
        middle = 8 + place
        parts.append(row_name(m.contender.name, left, middle))
        parts.append(_density(np.array(m.samples_ms), x, middle, _class(m)))
        for share, name, reach in ((50, "median", 9), (90, "p90", 6), (99, "p99", 4)):
            at = x(float(np.percentile(m.samples_ms, share)))
            parts.append(
                f'<line class="{name}" x1="{at:.1f}" x2="{at:.1f}" y1="{middle - reach}" y2="{middle + reach}"/>'
            )
    return svg(width, height, parts, "Distribution of the samples")


def stages(result: Result, width: int) -> str:
    """The parts of a query's time, as medians; empty if no parts were measured."""
    rows = [m for m in fastest_first(result) if len(m.stages_ms) > 1]
    if not rows:
        return ""
    left = gutter([m.contender.name for m in rows], width)
    middles, total_height = row_places([m.contender.name for m in rows], left)
    height = total_height + 8
    x = linear(0, 1, left + 6, width - 72)
    parts = []
    for m, place in zip(rows, middles, strict=True):
        middle = 4 + place
        medians = {name: float(np.median(m.stages_ms[name])) for name in STAGES if m.stages_ms.get(name)}
        total, at = sum(medians.values()) or 1.0, 0.0  # parts that took no time that the clock can tell
        parts.append(row_name(m.contender.name, left, middle))
        for name, value in medians.items():
            start, end = x(at), x(at + value / total)
            at += value / total
            parts.append(
                f'<rect class="stage-{name}" x="{start:.1f}" y="{middle - 8}" width="{max(end - start - 1, 0.5):.1f}" '
                f'height="16"><title>{escape(m.contender.name)}: {name} {value:.2f} ms</title></rect>'
            )
            if end - start > 40:
                parts.append(text_at((start + end) / 2, middle + 4, f"{value:.1f}", "middle", "inside"))
        parts.append(text_at(width - 66, middle + 4, f"{total:.1f} ms"))
    return svg(width, height, parts, "Parts of a query")


def _quality(m: Measurement, by_truth: bool) -> float | None:
    if by_truth:
        return m.truth.result.psnr if m.truth else None
    return m.parity.psnr if m.parity else None


def _front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The Pareto front: points that are faster than all points of equal or better quality, within :data:`_ALIKE`."""
    best, front = -math.inf, []
    for ms, quality in sorted(points, key=lambda p: (p[0], -p[1])):
        if quality > best + _ALIKE:
            front.append((ms, quality))
            best = quality
    return front


def _short(m: Measurement) -> str:
    c = m.contender
    if c.kind == "peer":
        return c.name
    return " ".join(part for part in (c.model, c.precision, c.mode if c.mode not in (None, "eager") else "") if part)


def _class(m: Measurement) -> str:
    return m.contender.precision if m.contender.precision in ("fp32", "fp16", "int8") else "peer"


def backends_of(result: Result) -> list[str]:
    """Names of the backends in a result, in the order in which they are given marks."""
    return sorted({m.contender.backend for m in result.measurements if m.contender.backend})


def shape(backend: str | None, backends: Sequence[str], kind: str, x: float, y: float, title: str = "") -> str:
    """The mark of a backend among those of a result: circle, square, triangle, ...; a cross for peers."""
    r = 5.5
    inner = f"<title>{escape(title)}</title>" if title else ""
    corners = _CROSS
    if backend:
        place = backends.index(backend) % (len(_OUTLINES) + 1)
        if place == 0:
            return f'<circle class="mark {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{r}">{inner}</circle>'
        corners = _OUTLINES[place - 1]
    points = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)
    return f'<polygon class="mark {kind}" points="{points}">{inner}</polygon>'


def _label(text: str, x: float, y: float, taken: list[Area], frame: Area) -> str:
    """A label that hides nothing: right, left, above or below its point; empty if there is no room."""
    width = len(text) * _LETTER * 0.92
    places = [(x + 9, y + 4), (x - 9 - width, y + 4), (x - width / 2, y - 10), (x - width / 2, y + 19)]
    places += [(x + 7, y - 8), (x + 7, y + 16), (x - 7 - width, y - 8), (x - 7 - width, y + 16)]
    for px, py in places:
        box = (px, py - 10, px + width, py + 2)
        if box[0] < frame[0] or box[2] > frame[1] or box[1] < frame[2] or box[3] > frame[3]:
            continue
        if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            taken.append(box)
            return text_at(px, py, text, css="label")
    return ""


def _density(samples: NDArray[np.float64], x: Scale, middle: float, kind: str) -> str:
    """A mirrored Gaussian kernel estimate over the logarithm of the samples."""
    logs = np.log(samples)
    spread = max(float(logs.std()), 1e-3)
    grid = np.linspace(logs.min() - spread / 4, np.quantile(logs, 0.995) + spread / 4, 60)
    bandwidth = max(1.06 * min(spread, (np.subtract(*np.quantile(logs, (0.75, 0.25))) / 1.34) or spread), 1e-3)
    bandwidth *= len(logs) ** -0.2
    heights = np.exp(-0.5 * ((grid[:, None] - logs) / bandwidth) ** 2).sum(1)
    heights *= 9 / heights.max()
    along = [x(float(value)) for value in np.exp(grid)]
    upper = [f"{a:.1f},{middle - h:.1f}" for a, h in zip(along, heights, strict=True)]
    lower = [f"{a:.1f},{middle + h:.1f}" for a, h in zip(along, heights, strict=True)]
    return f'<polygon class="density {kind}" points="{" ".join(upper + lower[::-1])}"/>'
