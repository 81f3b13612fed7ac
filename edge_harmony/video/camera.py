"""Cameras, by OpenCV: always the newest frame; frames that arrive during processing are dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError
from edge_harmony.pictures.arrays import refuse_coloured
from edge_harmony.video.names import CAMERA
from edge_harmony.video.reader import Frame

_CLOCK = 90_000
_WAIT_SECONDS = 10.0


class Camera:
    """The frames of a camera. They start when you iterate; iterate once only.

    Args:
        name: ``camera:0`` for the first camera, ``camera:`` with a device, an address or a GStreamer pipeline for
            others, as OpenCV's ``VideoCapture`` takes them.
        gray: use the brightness as a mask.

    Attributes:
        size: (width, height).
        rate: frames a second, as reported by the camera.
        count: None.
        endless: True: its end is not known in advance.
        dropped: number of frames that arrived during the processing of others.

    Raises:
        InputError: the camera cannot be opened, or gives no frame.
    """

    count = None
    endless = True

    def __init__(self, name: str, *, gray: bool = False) -> None:
        self._name = name
        self._gray = gray
        self.dropped = 0
        device = name.removeprefix(CAMERA)
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below is enough
        try:
            self._capture = cv2.VideoCapture(int(device) if device.isdecimal() else device)
        finally:
            cv2.utils.logging.setLogLevel(level)
        taken, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not taken or first is None:
            self._capture.release()
            raise InputError(f"{name} gives no pictures", "check that it is connected and that you may read it")
        if gray:
            try:
                refuse_coloured(first, name)
            except InputError:
                self._capture.release()
                raise
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate if 1 <= rate <= 1000 else 30).limit_denominator(1001)
        self.size = (first.shape[1], first.shape[0])
        self._newest: NDArray[Any] | None = first
        self._at = time.monotonic()
        self._over = False
        self._fresh = threading.Condition()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame each time, with its time of arrival, until the camera gives no more."""
        reading = threading.Thread(target=self._read, name="edge-harmony-camera", daemon=True)
        start, last = time.monotonic(), Fraction(-1)
        reading.start()
        try:
            while True:
                with self._fresh:
                    self._fresh.wait_for(lambda: self._newest is not None or self._over, _WAIT_SECONDS)
                    frame, self._newest = self._newest, None
                    at = Fraction(round(max(self._at - start, 0) * _CLOCK), _CLOCK)
                if frame is None:
                    return
                last = max(at, last + Fraction(1, _CLOCK))
                yield self._converted(frame), last
        finally:
            self._over = True
            reading.join(_WAIT_SECONDS)
            self._capture.release()

    def _read(self) -> None:
        while not self._over:
            taken, frame = self._capture.read()
            with self._fresh:
                if not taken:
                    self._over = True
                else:
                    self.dropped += self._newest is not None
                    self._newest, self._at = frame, time.monotonic()
                self._fresh.notify()

    def _converted(self, frame: NDArray[Any]) -> NDArray[Any]:
        if self._gray:
            return frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        return np.ascontiguousarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB))
