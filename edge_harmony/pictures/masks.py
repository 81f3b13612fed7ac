"""The meaning of a mask's values: full scale, 0 and 1, a class id beside a void value; one rule for all sources."""

from __future__ import annotations

import logging
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError

log = logging.getLogger(__name__)

_FEW = 64
"""So many different values, none of them near full scale, are class ids; more are a picture of another scale."""
ID_BOUND = 64
"""Class ids without ``mask_value`` are below this."""
_VOID = 255
_SAMPLES = 1 << 16
_FAINT = 0.02


class MaskReader:
    """Turns masks of integers into weights; for the masks of a video, one after the other.

    - Two values, whatever they are, are background and foreground.
    - 255 around one class id (as in Pascal VOC) is void: the id is the foreground, in later masks of a video too, where
      it may stand without 255, or 255 without it.
    - Other masks whose largest value is below half of full scale are refused where they hold few values, as class ids
      do, and told in the log where they hold many. In a video that has shown full scale before, they are what they
      say: a mask that fades.

    Args:
        value: the class id that is the foreground; everything else is background. None: by the rules.
        invert: what is white is the background.
    """

    def __init__(self, value: int | None = None, *, invert: bool = False) -> None:
        self._value, self._invert = value, invert
        self._seen_full = self._told = False
        self._beside_void: int | None = None

    @property
    def picks(self) -> bool:
        """Whether a class id is picked, so that levels must come as they were stored."""
        return self._value is not None

    def read(self, mask: NDArray[Any], name: str = "the mask") -> NDArray[Any]:
        """A mask's weights.

        Args:
            mask: ``(H, W)``; integers, bool, or floating point in [0, 1].
            name: what errors call it.

        Returns:
            ``(H, W)``; uint8 or uint16 (full scale is the foreground), or float32 in [0, 1].

        Raises:
            InputError: it is not clear what is meant, or the class id is not there.
        """
        weights = self._weights(mask, name)
        if not self._invert:
            return weights
        return np.float32(1) - weights if weights.dtype.kind == "f" else np.iinfo(weights.dtype).max - weights

    def _weights(self, mask: NDArray[Any], name: str) -> NDArray[Any]:
        if mask.dtype == np.bool_:
            mask = np.ascontiguousarray(mask).view(np.uint8)
        if mask.dtype.kind == "f":
            return self._of_floats(mask, name)
        if self._value is not None:
            return self._of_value(mask, self._value, name)
        low, high = int(mask.min()), int(mask.max())
        if low < 0 or (high > np.iinfo(np.uint16).max and not _is_two_valued(mask, low, high)):
            raise InputError(f"{name} holds values from {low} to {high}", "pick a class id with mask_value=N")
        if mask.dtype not in (np.uint8, np.uint16):
            mask = mask.astype(
                np.uint8 if high <= _VOID else np.uint16 if high <= np.iinfo(np.uint16).max else np.int64
            )
        full = np.iinfo(np.uint8 if mask.dtype == np.uint8 else np.uint16).max
        if self._beside_void is None and high == full:
            self._beside_void = self._id_beside_void(mask, name)
            self._seen_full |= self._beside_void is None
        if self._beside_void is not None:
            return self._without_void(mask, self._beside_void, name)
        if high == full:
            return np.ascontiguousarray(mask)
        if not high:
            return np.ascontiguousarray(mask)
        if self._seen_full:
            return np.ascontiguousarray(mask, dtype=np.float32) / np.float32(full)
        if low == high:
            return np.full(mask.shape, _VOID, np.uint8) if high < ID_BOUND else np.ascontiguousarray(mask)
        if 2 * low <= high and _is_two_valued(mask, low, high):
            return _binary(mask == high)
        if 2 * high < full:
            self._refuse_ids(mask, name, high, full)
        return np.ascontiguousarray(mask)

    def _of_floats(self, mask: NDArray[Any], name: str) -> NDArray[np.float32]:
        if self._value is not None:
            raise InputError(f"{name} holds floating point, which has no class ids", "leave mask_value out")
        if 0 < float(mask.max()) < _FAINT:
            self._tell(f"the largest value of {name} is {float(mask.max()):.3g} of 1: hardly anything changes")
        return np.ascontiguousarray(mask, dtype=np.float32)

    def _of_value(self, mask: NDArray[Any], value: int, name: str) -> NDArray[np.uint8]:
        chosen = mask == value
        if not chosen.any() and not self._seen_full:
            raise InputError(f"{name} has no pixel of the value {value}; it holds {_named(mask)}", "pick one of them")
        self._seen_full = True  # later frames of a video may be without the object
        return _binary(chosen)

    def _id_beside_void(self, mask: NDArray[Any], name: str) -> int | None:
        """The class id that 255 stands around; None where 255 is full scale."""
        if mask.dtype != np.uint8:
            return None
        step = max(1, math.isqrt(mask.size // _SAMPLES))
        for part in (mask[::step, ::step], mask):
            counts = np.bincount(part.ravel(), minlength=_VOID + 1)
            if counts[ID_BOUND:_VOID].any() or not counts[1:ID_BOUND].any():
                return None
        ids = 1 + np.flatnonzero(counts[1:ID_BOUND])
        near_background = cv2.dilate((mask == 0).view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
        of_ids = (mask > 0) & (mask < _VOID)
        touching = float(np.count_nonzero(near_background & of_ids)) / np.count_nonzero(of_ids)
        if touching > (
            0.5 if len(ids) == 1 else 0.1
        ):  # the soft edge of a mask of 0 and 255, or what JPEG leaves there
            return None
        if len(ids) > 1:
            raise InputError(f"{name} holds the class ids {_named(mask)}", "pick one with mask_value=N")
        self._tell(f"{name}: 255 is taken for void, the class id {ids[0]} for the foreground")
        return int(ids[0])

    def _without_void(self, mask: NDArray[Any], chosen: int, name: str) -> NDArray[np.uint8]:
        """The class id as the foreground, of the mask that had 255 for void or of one after it."""
        if ((mask != 0) & (mask != chosen) & (mask != _VOID)).any():
            raise InputError(
                f"{name} holds {_named(mask)}, masks before it the class id {chosen} beside 255 for void",
                "pick one with mask_value=N",
            )
        return _binary(mask == chosen)

    def _refuse_ids(self, mask: NDArray[Any], name: str, high: int, full: int) -> None:
        says = f"the largest value of {name} is {high} of {full}"
        if len(np.unique(mask)) <= _FEW:
            raise InputError(
                f"{says}: it holds {_named(mask)}, as class ids do", "pick one with mask_value=N, or scale the mask"
            )
        self._tell(f"{says}: little changes; scale it to the full range, or pick a class id with mask_value=N")

    def _tell(self, line: str) -> None:
        if not self._told:
            log.warning("%s", line)
        self._told = True


def _is_two_valued(mask: NDArray[Any], low: int, high: int) -> bool:
    return bool(((mask == low) | (mask == high)).all())


def _binary(chosen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(chosen).view(np.uint8) * np.uint8(_VOID)


def _named(mask: NDArray[Any]) -> str:
    values = [str(value) for value in np.unique(mask)]
    return ", ".join(values[:8]) + (f" and {len(values) - 8} more" if len(values) > 8 else "")
