"""Parts of plots in SVG: scales and their axes, names of rows, text."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

Scale = Callable[[float], float]
"""From a value to a place on the plot, in pixels."""

_TEXT = 12
_NAME_LETTER = 7.2
"""Width that is left for each letter of a name: that of an x in DejaVu Sans, the widest of the common fonts."""
_ROW, _LINE = 24, 14
_LOGS = (1, 2, 5)
_LEAST_TICKS = 2


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Values from ``low`` to ``high`` on places from ``start`` to ``end``."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def log_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """A logarithmic scale for positive values, with a margin around them."""
    low, high = min(values) * 0.9, max(values) * 1.1
    inner = linear(math.log(low), math.log(high), start, end)
    return lambda value: inner(math.log(max(value, 1e-9)))


def log_axis(x: Scale, values: Sequence[float], top: float, bottom: float, title: str) -> str:
    """The grid, the ticks and the title of a logarithmic axis below the plot of these values."""
    low, high = min(values) * 0.9, max(values) * 1.1
    ticks = _log_ticks(low, high)
    parts = [f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{top}" y2="{bottom}"/>' for t in ticks]
    last = -math.inf
    for tick in ticks:
        if x(tick) - last > 26:
            parts.append(text_at(x(tick), bottom + 16, f"{tick:g}", "middle", "soft"))
            last = x(tick)
    parts.append(text_at((x(low) + x(high)) / 2, bottom + 34, title, "middle"))
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


def level_axis(y: Scale, low: float, high: float, left: float, right: float) -> str:
    """The grid and the ticks of a linear axis left of the plot."""
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if (high - low) / s <= 9)
    ticks = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
    digits = 1 if step < 1 else 0
    lines = [f'<line class="grid" x1="{left}" x2="{right}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>' for t in ticks]
    return "".join(lines + [text_at(left - 6, y(t) + 4, f"{t:.{digits}f}", "end", "soft") for t in ticks])


def gutter(names: Sequence[str], width: int) -> float:
    """Width for the names, at most 45 % of the plot."""
    return min(max(map(len, names)) * _NAME_LETTER + 10, 0.45 * width)


def _wrapped(name: str, room: float) -> list[str]:
    """A name in lines that fit."""
    return textwrap.wrap(name, max(8, int((room - 10) / _NAME_LETTER))) or [""]


def row_places(names: Sequence[str], room: float) -> tuple[list[float], float]:
    """The middle of each row, whose height is that of its wrapped name, and the height of all."""
    heights = [max(_ROW, _LINE * len(_wrapped(name, room)) + _ROW - _LINE) for name in names]
    ends = list(itertools.accumulate(heights, initial=0.0))
    return [end + height / 2 for end, height in zip(ends, heights, strict=False)], ends[-1]


def row_name(name: str, room: float, middle: float) -> str:
    """A wrapped name, left of a row."""
    lines = _wrapped(name, room)
    first = middle + 4 - _LINE * (len(lines) - 1) / 2
    return "".join(text_at(room - 6, first + _LINE * k, line, "end") for k, line in enumerate(lines))


def text_at(x: float, y: float, text: str, anchor: str = "start", css: str = "", turn: int = 0) -> str:
    """A line of text; turned by degrees, its middle is at the place."""
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    if turn:
        anchor = "middle"
    kind = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}{turned}>{escape(text)}</text>'


def svg(width: int, height: float, parts: Sequence[str], title: str) -> str:
    """A plot of its parts, with its title for screen readers."""
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(title)}" font-size="{_TEXT}">{"".join(parts)}</svg>'
    )
