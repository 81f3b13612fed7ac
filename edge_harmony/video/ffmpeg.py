"""Access to PyAV, which includes FFmpeg, and the colour description of videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_harmony.extras import require

_MATRICES = {1: "itu709", 5: "itu601", 6: "itu601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""Swscale's names for ``matrix_coefficients`` of ITU-T H.273."""
_BT709, _BT601, _LIMITED = 1, 6, 1
_HD_LINES = 720


def require_av() -> Any:
    """The module ``av``.

    Raises:
        CapabilityError: PyAV is not installed.
    """
    return require("av", "videos need PyAV")


def address(path: Path) -> str:
    """The address of a file for FFmpeg, which would take a name with a colon for a protocol."""
    return f"file:{path}"


def open_video(path: Path) -> Any:
    """A container of PyAV to read from; in tags, what is no UTF-8 is replaced by U+FFFD."""
    return require_av().open(address(path), metadata_errors="replace")


def set_decoder_threads(stream: Any) -> None:
    """Let a stream be decoded on all cores; on one where PyAV's logging is on.

    Its log takes Python's lock, and a decoder's thread that waits for it hangs with the one that holds it and waits
    for the thread.
    """
    if require_av().logging.get_level() is None:
        stream.thread_type = "AUTO"
    else:
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1


@dataclass(frozen=True)
class Colour:
    """The colour description of a video: numbers of ITU-T H.273, as FFmpeg and files use them.

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
        """Read from a decoder. Players' defaults replace missing values: BT.709 from 720 lines on, else BT.601."""
        matrix = context.colorspace if context.colorspace in _MATRICES else _BT709 if lines >= _HD_LINES else _BT601
        return cls(matrix, context.color_primaries, context.color_trc, context.color_range or _LIMITED)


SCREEN = Colour(_BT709, _BT709, _BT709, _LIMITED)
"""Colour description of results from a camera."""
