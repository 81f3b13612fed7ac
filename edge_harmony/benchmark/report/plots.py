"""The plots of a report as SVG. Marks have classes instead of colours, so that colours follow the page's theme."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from edge_harmony.benchmark.report.columns import fastest_first
from edge_harmony.benchmark.result import Measurement, Result

Scale = Callable[[float], float]
Area = tuple[float, float, float, float]
Corners = tuple[tuple[float, float], ...]

STAGES = ("decode", "preprocess", "copy", "infer", "harmonize", "apply", "encode")
_TEXT = 12
_LETTER = 6.3
"""Mean width of a letter at 12 pixels, for placing labels without measuring fonts."""
_NAME_LETTER = 7.2
"""Width that is left for each letter of a name: that of an x in DejaVu Sans, the widest of the common fonts."""
_ROW, _LINE = 24, 14
_LOGS = (1, 2, 5)
_LEAST_TICKS = 2
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
    x = _log_scale([m.summary.p50.estimate for m, _ in points], left + 14, width - right - 40)
    y = _linear(low - 3 * margin, high + margin, height - bottom, top)
    parts = [_log_axis(x, [m.summary.p50.estimate for m, _ in points], top, height - bottom, "median, ms a picture")]
    parts.append(_level_axis(y, low - 3 * margin, high + margin, left, width - right))
    parts.append(
        _text(14, (top + height - bottom) / 2, "PSNR, dB" if by_truth else "parity with PyTorch, dB", turn=-90)
    )
    if base is not None:
        parts.append(f'<line class="base" x1="{left}" x2="{width - right}" y1="{y(base):.1f}" y2="{y(base):.1f}"/>')
        parts.append(_text(width - right, y(base) - 5, f"unharmonized, {base:.2f} dB", "end", "soft"))
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
    return _svg(width, height, parts, "Quality against latency")


def distributions(result: Result, width: int) -> str:
    """The samples of every contender on a logarithmic axis: density, median, 90th and 99th percentile."""
    rows = fastest_first(result)
    left = _gutter([m.contender.name for m in rows], width)
    middles, total_height = _places([m.contender.name for m in rows], left)
    height = total_height + 54
    values = [v for m in rows for v in np.percentile(m.samples_ms, (0.5, 99.5))]
    x = _log_scale(values, left + 6, width - 20)
    parts = [_log_axis(x, values, 8, height - 46, "ms a query")]
    for m, place in zip(rows, middles, strict=True):
        middle = 8 + place
        parts.append(_name(m.contender.name, left, middle))
        parts.append(_density(np.array(m.samples_ms), x, middle, _class(m)))
        for share, name, reach in ((50, "median", 9), (90, "p90", 6), (99, "p99", 4)):
            at = x(float(np.percentile(m.samples_ms, share)))
            parts.append(
                f'<line class="{name}" x1="{at:.1f}" x2="{at:.1f}" y1="{middle - reach}" y2="{middle + reach}"/>'
            )
    return _svg(width, height, parts, "Distribution of the samples")


def stages(result: Result, width: int) -> str:
    """The parts of a query's time, as medians; empty if no parts were measured."""
    rows = [m for m in fastest_first(result) if len(m.stages_ms) > 1]
    if not rows:
        return ""
    left = _gutter([m.contender.name for m in rows], width)
    middles, total_height = _places([m.contender.name for m in rows], left)
    height = total_height + 8
    x = _linear(0, 1, left + 6, width - 72)
    parts = []
    for m, place in zip(rows, middles, strict=True):
        middle = 4 + place
        medians = {name: float(np.median(m.stages_ms[name])) for name in STAGES if m.stages_ms.get(name)}
        total, at = sum(medians.values()) or 1.0, 0.0  # parts that took no time that the clock can tell
        parts.append(_name(m.contender.name, left, middle))
        for name, value in medians.items():
            start, end = x(at), x(at + value / total)
            at += value / total
            parts.append(
                f'<rect class="stage-{name}" x="{start:.1f}" y="{middle - 8}" width="{max(end - start - 1, 0.5):.1f}" '
                f'height="16"><title>{escape(m.contender.name)}: {name} {value:.2f} ms</title></rect>'
            )
            if end - start > 40:
                parts.append(_text((start + end) / 2, middle + 4, f"{value:.1f}", "middle", "inside"))
        parts.append(_text(width - 66, middle + 4, f"{total:.1f} ms"))
    return _svg(width, height, parts, "Parts of a query")


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
            return _text(px, py, text, css="label")
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


def _linear(low: float, high: float, start: float, end: float) -> Scale:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _log_scale(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = min(values) * 0.9, max(values) * 1.1
    inner = _linear(math.log(low), math.log(high), start, end)
    return lambda value: inner(math.log(max(value, 1e-9)))


def _log_axis(x: Scale, values: Sequence[float], top: float, bottom: float, title: str) -> str:
    low, high = min(values) * 0.9, max(values) * 1.1
    ticks = _log_ticks(low, high)
    parts = [f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{top}" y2="{bottom}"/>' for t in ticks]
    last = -math.inf
    for tick in ticks:
        if x(tick) - last > 26:
            parts.append(_text(x(tick), bottom + 16, f"{tick:g}", "middle", "soft"))
            last = x(tick)
    parts.append(_text((x(low) + x(high)) / 2, bottom + 34, title, "middle"))
    return "".join(parts)


def _log_ticks(low: float, high: float) -> list[float]:
    """Round values on a logarithmic axis, at least two: 1, 2, 5, 10, ...; finer ones where few of them are in reach."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**e for e in decades for m in _LOGS if low <= m * 10.0**e <= high]
    if len(ticks) >= _LEAST_TICKS:
        return ticks
    step = 10.0 ** math.floor(math.log10(high - low))
    while (math.floor(high / step) - math.ceil(low / step)) < _LEAST_TICKS - 1:
        step /= 2 if f"{step:e}"[0] != "5" else 2.5  # 10, 5, 2, 1
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _level_axis(y: Scale, low: float, high: float, left: float, right: float) -> str:
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if (high - low) / s <= 9)
    ticks = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
    digits = 1 if step < 1 else 0
    lines = [f'<line class="grid" x1="{left}" x2="{right}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>' for t in ticks]
    return "".join(lines + [_text(left - 6, y(t) + 4, f"{t:.{digits}f}", "end", "soft") for t in ticks])


def _gutter(names: Sequence[str], width: int) -> float:
    """Width for the names, at most 45 % of the plot."""
    return min(max(map(len, names)) * _NAME_LETTER + 10, 0.45 * width)


def _wrapped(name: str, room: float) -> list[str]:
    """A name in lines that fit."""
    return textwrap.wrap(name, max(8, int((room - 10) / _NAME_LETTER))) or [""]


def _places(names: Sequence[str], room: float) -> tuple[list[float], float]:
    """The middle of each row, whose height is that of its wrapped name, and the height of all."""
    heights = [max(_ROW, _LINE * len(_wrapped(name, room)) + _ROW - _LINE) for name in names]
    ends = list(itertools.accumulate(heights, initial=0.0))
    return [end + height / 2 for end, height in zip(ends, heights, strict=False)], ends[-1]


def _name(name: str, room: float, middle: float) -> str:
    """A wrapped name, left of a row."""
    lines = _wrapped(name, room)
    first = middle + 4 - _LINE * (len(lines) - 1) / 2
    return "".join(_text(room - 6, first + _LINE * k, line, "end") for k, line in enumerate(lines))


def _text(x: float, y: float, text: str, anchor: str = "start", css: str = "", turn: int = 0) -> str:
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    if turn:
        anchor = "middle"
    kind = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}{turned}>{escape(text)}</text>'


def _svg(width: int, height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(title)}" font-size="{_TEXT}">{"".join(parts)}</svg>'
    )
