"""Pictures side by side, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pictures.arrays import to_eight_bits
from edge_harmony.pictures.images import Picture

_GAP = 8
_HEIGHT = 720
_WHITE = 255
_TILE = 240
_LABEL = 22
_FULL_ERROR = 64


def before_after(composite: NDArray[Any], result: NDArray[Any], mask: NDArray[Any]) -> Picture:
    """Composite, mask and result side by side, at most 720 pixels high, 8 bits.

    Args:
        composite: ``(H, W, 3)`` or ``(H, W, 4)``; uint8, uint16 or floating point in [0, 1].
        result: like ``composite``.
        mask: ``(H, W)``; uint8, uint16 (full scale is the foreground) or float32 in [0, 1].
    """
    panels = [to_eight_bits(image) for image in (composite[..., :3], np.dstack([mask] * 3), result[..., :3])]
    size = _panel_size((composite.shape[1], composite.shape[0]))
    before, middle, after = (
        cv2.resize(np.ascontiguousarray(panel), size, interpolation=cv2.INTER_AREA) for panel in panels
    )
    gap = np.full((size[1], _GAP, 3), _WHITE, np.uint8)
    return Picture(np.concatenate([before, gap, middle, gap, after], axis=1))


def before_after_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the picture that :func:`before_after` makes of composites of a size."""
    width, height = _panel_size(size)
    return 3 * width + 2 * _GAP, height


def _panel_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, _HEIGHT / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def error_map(result: NDArray[np.uint8], real: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest absolute error of the channels as a colour: dark blue for 0, yellow for 64 levels and more."""
    error = np.abs(result.astype(np.int16) - real).max(2)
    levels = (np.minimum(error, _FULL_ERROR) * (_WHITE / _FULL_ERROR)).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1])


def contact_sheet(lines: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], columns: int = 1) -> Picture:
    """Lines of panels, each under its label, with ``columns`` lines side by side.

    Args:
        lines: label and panels ``(H, W, 3)`` of any sizes; every line has an equal number of panels.
        columns: number of lines side by side.
    """
    blocks = [_line(label, panels) for label, panels in lines]
    blocks += [np.full_like(blocks[0], _WHITE)] * (-len(blocks) % columns)
    gap = np.full((blocks[0].shape[0], 2 * _GAP, 3), _WHITE, np.uint8)
    rows = []
    for start in range(0, len(blocks), columns):
        parts: list[NDArray[np.uint8]] = [blocks[start]]
        for block in blocks[start + 1 : start + columns]:
            parts += [gap, block]
        rows.append(np.concatenate(parts, axis=1))
    return Picture(np.concatenate(rows, axis=0))


def _line(label: str, panels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    tiles: list[NDArray[np.uint8]] = []
    for panel in panels:
        scale = _TILE / max(panel.shape[:2])
        size = (max(1, round(panel.shape[1] * scale)), max(1, round(panel.shape[0] * scale)))
        small = cv2.resize(np.ascontiguousarray(panel), size, interpolation=cv2.INTER_AREA)
        tile = np.full((_TILE + _GAP, _TILE + _GAP, 3), _WHITE, np.uint8)
        tile[: size[1], : size[0]] = small
        tiles.append(tile)
    body = np.concatenate(tiles, axis=1)
    head = np.full((_LABEL, body.shape[1], 3), _WHITE, np.uint8)
    cv2.putText(head, label, (2, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([head, body])
