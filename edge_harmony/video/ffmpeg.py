"""PyAV, which brings FFmpeg, where it is installed; and how samples of a video stand for colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_harmony.extras import require

_MATRICES = {1: "itu709", 5: "itu601", 6: "itu601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""Swscale's names for ``matrix_coefficients`` of ITU-T H.273."""
_BT709, _BT601, _LIMITED = 1, 6, 1
_HD_LINES = 720


def require_av() -> Any:
    """The module ``av``.

    Raises:
        CapabilityError: it is not installed.
    """
    return require("av", "videos need PyAV")


@dataclass(frozen=True)
class Colour:
    """How the samples of a video stand for colours: numbers of ITU-T H.273, as FFmpeg and files have them.

    Attributes:
        matrix: ``matrix_coefficients``.
        primaries: ``colour_primaries``.
        transfer: ``transfer_characteristics``.
        range: 1: limited (16 to 235), 2: full.
    """

    matrix: int
    primaries: int
    transfer: int
    range: int

    @property
    def name(self) -> str:
        """Swscale's name of the matrix."""
        return _MATRICES[self.matrix]

    @classmethod
    def of(cls, context: Any, lines: int) -> Colour:
        """Of a decoder; what it does not say is taken as players take it: BT.709 from 720 lines on, else BT.601."""
        matrix = context.colorspace if context.colorspace in _MATRICES else _BT709 if lines >= _HD_LINES else _BT601
        return cls(matrix, context.color_primaries, context.color_trc, context.color_range or _LIMITED)


SCREEN = Colour(_BT709, _BT709, _BT709, _LIMITED)
"""What is written for pictures that come from a camera."""
