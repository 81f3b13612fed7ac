"""The learning curves of a run as a picture: an SVG that needs no other package."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

LogRow = Mapping[str, Any]
"""A row of ``log.csv``: ``stage``, ``images`` and numbers."""

_PANELS = (
    ("training loss, as a share of the composite's", ("loss",)),
    ("PSNR, dB", ("psnr", "composite_psnr")),
    ("fMSE", ("fmse", "composite_fmse")),
    ("gain without a rim, dB", ("sealed_gain",)),
    ("share made worse without a rim", ("sealed_worse",)),
    ("score", ("score",)),
)
"""Title of a panel, its column of the log, and the column of the unharmonized composite if there is one."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 440, 230, 56, 16, 34, 34
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600}.soft{fill:#777}"
    ".grid{stroke:#e3e3e3}.stage{stroke:#aaa;stroke-dasharray:3 3}"
    ".curve{fill:none;stroke:#d9480f;stroke-width:1.8}.dot{fill:#d9480f}"
    ".base{fill:none;stroke:#777;stroke-dasharray:6 4}"
)
_MOST_TICKS = 6
_ALIKE = 1e-6
"""Values that differ by less than this share of themselves get the ticks of one value."""


def draw_curves(history: Sequence[LogRow]) -> str:
    """An SVG of all validations of a run, one panel for each quantity that the log has.

    Args:
        history: rows of the log in order; each has ``stage``, ``images`` seen in the run, and numbers.

    Returns:
        The text of the file. Equal rows give equal texts.
    """
    panels = [
        _panel(history, title, columns) for title, columns in _PANELS if any(columns[0] in row for row in history)
    ]
    across = min(2, max(1, len(panels)))
    down = -(-len(panels) // across)
    placed = [
        f'<g transform="translate({k % across * _WIDTH} {k // across * _HEIGHT})">{panel}</g>'
        for k, panel in enumerate(panels)
    ]
    width, height = across * _WIDTH, max(1, down) * _HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="learning curves"><style>{_STYLE}</style>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(placed)}</svg>\n'
    )


def _panel(history: Sequence[LogRow], title: str, columns: Sequence[str]) -> str:
    points = [[(row["images"], row[name]) for row in history if _is_number(row.get(name))] for name in columns]
    values = [value for curve in points for _, value in curve] or [0.0]
    ticks = _ticks(min(values), max(values))
    low, high = min(*values, ticks[0]), max(*values, ticks[-1])
    most = max(row["images"] for row in history)

    def x(images: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * images / most

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - low) / ((high - low) or 1.0)

    parts = [f'<text class="title" x="{_LEFT}" y="16">{escape(title)}</text>']
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="soft" x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for images in _ticks(0, most):
        if images <= most:
            parts.append(
                f'<text class="soft" x="{x(images):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">'
                f"{_count(images)}</text>"
            )
    for before, after in itertools.pairwise(history):
        if before["stage"] != after["stage"]:
            at = x(before["images"])
            parts.append(
                f'<line class="stage" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 8}" y2="{_HEIGHT - _BOTTOM}">'
                f"<title>{escape(before['stage'])}, then {escape(after['stage'])}</title></line>"
            )
    for kind, curve in zip(("curve", "base"), points, strict=False):
        corners = " ".join(f"{x(images):.1f},{y(value):.1f}" for images, value in curve)
        parts.append(f'<polyline class="{kind}" points="{corners}"/>')
    parts += [f'<circle class="dot" cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.5"/>' for a, b in points[0]]
    if points[0]:
        parts.append(f'<text x="{_WIDTH - _RIGHT}" y="16" text-anchor="end">{points[0][-1][1]:.4g}</text>')
    return "".join(parts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose a range, at most :data:`_MOST_TICKS` within it."""
    span, largest = high - low, max(abs(low), abs(high))
    if largest < sys.float_info.min:  # a number of fewer digits has no power of ten below it
        span = 1.0
    elif span <= _ALIKE * largest:
        span = largest
    unit = 10.0 ** math.floor(math.log10(span))
    step = next(unit * m for m in (0.1, 0.2, 0.5, 1, 2, 5) if span / (unit * m) <= _MOST_TICKS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{k * step:.10g}") for k in range(first, max(last, first + 1) + 1)]


def _count(images: float) -> str:
    """A number of images, short."""
    if images >= 1e6:
        return f"{images / 1e6:g}M"
    return f"{images / 1e3:g}k" if images >= 1e3 else f"{images:g}"
