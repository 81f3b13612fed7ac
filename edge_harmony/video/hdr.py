"""High dynamic range: metadata for displays, and curves between HDR and the range that networks have learned."""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.video.ffmpeg import require_av

PQ, HLG = 16, 18
"""``transfer_characteristics`` of ITU-T H.273: SMPTE ST 2084 and ARIB STD-B67."""

_WHITE_NITS = 203.0
"""Diffuse white of HDR pictures, ITU-R BT.2408."""
_PEAK_NITS = {PQ: 10_000.0, HLG: 1_000.0}
_KNEE, _SLOPE = 0.5, 13.0
"""Light up to half of diffuse white is unchanged; a logarithm compresses brighter light: 1,000 nits become 0.91."""


@dataclass(frozen=True)
class HdrLight:
    """HDR10 metadata of a video (SMPTE ST 2086, CTA-861.3).

    Attributes:
        mastering: the display it was made on, as x265's ``master-display`` has it: chromaticities in 0.00002, nits in
            0.0001; None if it is not told.
        content: MaxCLL and MaxFALL, nits; None if they are not told.
    """

    mastering: str | None
    content: tuple[int, int] | None

    @classmethod
    def of(cls, frame: Any) -> HdrLight | None:
        """Of a decoded frame; None if it tells nothing."""
        kinds = require_av().sidedata.sidedata.Type
        display = frame.side_data.get(kinds.MASTERING_DISPLAY_METADATA)
        level = frame.side_data.get(kinds.CONTENT_LIGHT_LEVEL)
        found = cls(
            None if display is None else _display(bytes(display)),
            None if level is None else struct.unpack("=II", bytes(level)[:8]),
        )
        return found if found.mastering or found.content else None

    def x265(self) -> str:
        """As ``x265-params``."""
        display = [f"master-display={self.mastering}"] if self.mastering else []
        level = [f"max-cll={self.content[0]},{self.content[1]}"] if self.content else []
        return ":".join(["hdr10=1", "repeat-headers=1", *display, *level])


def dynamic_metadata(frame: Any) -> str:
    """Names of what a frame says of itself alone, which does not hold for a changed one; empty if it says nothing."""
    kinds = require_av().sidedata.sidedata.Type
    names = {
        "HDR10+": (kinds.DYNAMIC_HDR_PLUS,),
        "Dolby Vision": (kinds.DOVI_METADATA, kinds.DOVI_RPU_BUFFER),
        "HDR Vivid": (kinds.DYNAMIC_HDR_VIVID,),
    }
    return ", ".join(name for name, found in names.items() if any(frame.side_data.get(kind) for kind in found))


def to_sdr(pixels: NDArray[np.uint16], transfer: int) -> NDArray[np.uint16]:
    """Pixels of PQ or HLG as networks know pictures: sRGB's curve, diffuse white at 0.83 of it, lights compressed.

    Channel by channel, and rising, so that :func:`from_sdr` undoes it. Primaries stay what they are.
    """
    return _curves(transfer)[0][pixels]


def from_sdr(pixels: NDArray[np.uint16], before: NDArray[np.uint16], transfer: int) -> NDArray[np.uint16]:
    """Convert harmonized frames back to PQ or HLG; values that did not change keep the bits of ``before``."""
    there, back = _curves(transfer)
    made = back[pixels]
    np.copyto(made, before, where=pixels == there[before])
    return made


@functools.cache
def _curves(transfer: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """There and back, for every value of 16 bits."""
    codes = np.linspace(0, 1, 65536)
    light = (_pq if transfer == PQ else _hlg)(codes) / _WHITE_NITS
    most = _PEAK_NITS[transfer] / _WHITE_NITS
    bright = _KNEE + (1 - _KNEE) * np.log1p(np.maximum(light - _KNEE, 0) * _SLOPE) / np.log1p((most - _KNEE) * _SLOPE)
    shown = np.where(light <= _KNEE, light, bright)
    curve = np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * np.power(np.maximum(shown, 1e-9), 1 / 2.4) - 0.055)
    there = np.rint(np.clip(curve, 0, 1) * 65535).astype(np.uint16)
    back = np.rint(np.interp(codes, np.maximum.accumulate(curve), codes) * 65535).astype(np.uint16)
    return there, back


def _pq(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nits, SMPTE ST 2084 equation 4.1."""
    m1, m2, c1, c2, c3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128
    root = np.power(codes, 1 / m2)
    return np.asarray(10_000 * np.power(np.maximum(root - c1, 0) / (c2 - c3 * root), 1 / m1))


def _hlg(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nits on a display of 1,000, ITU-R BT.2100 table 5, its system gamma channel by channel."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    return np.asarray(1_000 * scene**1.2)


def _display(data: bytes) -> str | None:
    """``AVMasteringDisplayMetadata`` of libavutil: 10 rationals, and which of them are there."""
    numbers = struct.unpack("=22i", data[:88])
    if not all(numbers[20:]) or not all(numbers[1:20:2]):
        return None
    values = [over / under for over, under in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    (red, green, blue, white), (darkest, brightest) = [values[k : k + 2] for k in range(0, 8, 2)], values[8:]
    points = {"G": green, "B": blue, "R": red, "WP": white}
    parts = [f"{name}({round(x * 50_000)},{round(y * 50_000)})" for name, (x, y) in points.items()]
    return "".join([*parts, f"L({round(brightest * 10_000)},{round(darkest * 10_000)})"])
