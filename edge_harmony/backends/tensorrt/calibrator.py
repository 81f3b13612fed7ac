"""Calibration while building, for implicit INT8: TensorRT 8.6 to 10 runs the network on pictures and counts ranges.

The ranges belong to the engine. Files with Q/DQ pairs, which this project ships, have their own and need none of this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError
from edge_harmony.files.atomic import atomic_write

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.cuda.api import Cuda
    from edge_harmony.backends.tensorrt.logger import Log

Algorithm = Literal["entropy", "min-max"]
BASES: dict[Algorithm, str] = {"entropy": "IInt8EntropyCalibrator2", "min-max": "IInt8MinMaxCalibrator"}
CalibrationBatch = dict[str, NDArray[np.float32]]


class Feeder:
    """Calibration batches in device memory, one after another, and the file that keeps the ranges.

    Args:
        cuda: where the memory comes from.
        batches: input arrays by name; all batches have one shape.
        cache: file of the ranges that TensorRT counted; read if it is there, written afterwards.

    Attributes:
        batches: how many were given.
    """

    def __init__(self, cuda: Cuda, batches: Iterator[CalibrationBatch], cache: Path | None) -> None:
        self.cuda = cuda
        self.cache = cache
        self.batches = 0
        self._left = batches
        self._memory: dict[str, tuple[Any, int]] = {}
        self._held = ExitStack()
        cuda.activate()
        self._stream = cuda.create_stream()
        self._held.callback(cuda.destroy_stream, self._stream)

    def next(self, names: Sequence[str]) -> list[int] | None:
        """Device addresses of the next batch's inputs, in the order of ``names``; None at the end.

        Raises:
            InputError: a batch lacks an input, or is not finite.
        """
        batch = next(self._left, None)
        if batch is None:
            return None
        self.cuda.activate()
        addresses = []
        for name in names:
            if name not in batch:
                raise InputError(f"the calibration batch has no input {name!r}", f"it has {', '.join(batch)}")
            values = np.ascontiguousarray(batch[name], np.float32)
            if not np.isfinite(values).all():
                raise InputError(f"calibration values of {name} are not finite", "repair the calibration set")
            addresses.append(self._upload(name, values))
        self.cuda.synchronize(self._stream)
        self.batches += 1
        return addresses

    def _upload(self, name: str, values: NDArray[np.float32]) -> int:
        if name not in self._memory:
            pinned = self.cuda.pin(values.nbytes)
            self._held.callback(self.cuda.unpin, pinned)
            place = self.cuda.allocate(values.nbytes)
            self._held.callback(self.cuda.free, place)
            self._memory[name] = (pinned, place)
        host, address = self._memory[name]
        host.array[: values.nbytes] = values.view(np.uint8).ravel()
        self.cuda.copy_to_device(address, host, values.nbytes, self._stream)
        return address

    def read(self) -> bytes | None:
        """The ranges of an earlier build; None if there are none."""
        return read_ranges(self.cache)

    def write(self, content: bytes) -> None:
        """Keep the ranges."""
        if self.cache is not None:
            atomic_write(self.cache, content)

    def close(self) -> None:
        """Free the memory."""
        self.cuda.activate()
        self._memory = {}
        self._held.close()


def read_ranges(cache: Path | None) -> bytes | None:
    """Ranges that an earlier build counted; None where there is no file, or an empty one."""
    return (cache.read_bytes() or None) if cache is not None and cache.is_file() else None


def make_calibrator(tensorrt: TensorRT, algorithm: Algorithm, feeder: Feeder, batch_size: int, log: Log) -> Any:
    """TensorRT's calibrator object around a feeder.

    TensorRT takes any end of the batches for their end, and then hands over ranges of those that it had. So once a
    callback of the build has failed, no batch is given and no ranges are kept.

    Args:
        tensorrt: the TensorRT that builds.
        algorithm: how ranges follow from what was counted.
        feeder: gives the batches.
        batch_size: pictures in a batch.
        log: of the build; keeps what the callbacks raise.

    Raises:
        CapabilityError: this version has no calibrators.
    """
    base: Any = tensorrt.get(BASES[algorithm], "calibration while building")

    class Calibrator(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def get_batch_size(self) -> int:
            return batch_size

        def get_batch(self, names: list[str]) -> list[int] | None:
            if log.failure is None:
                with log.guard():
                    return feeder.next(names)
            return None

        def read_calibration_cache(self) -> bytes | None:
            with log.guard():
                return feeder.read()
            return None

        def write_calibration_cache(self, cache: Any) -> None:
            if log.failure is None:
                with log.guard():
                    feeder.write(bytes(cache))

    return Calibrator()
