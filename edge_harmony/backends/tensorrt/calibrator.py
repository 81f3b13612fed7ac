"""Calibration while building: weak mode's implicit INT8, from TensorRT 8.6 to 10.

The ranges that come out belong to TensorRT, not to the weights: files with Q/DQ are what this project ships, and
this is for networks that have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import EdgeHarmonyError, InputError
from edge_harmony.files.atomic import atomic_write

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.cuda.api import Cuda

Algorithm = Literal["entropy", "min-max"]
BASES: dict[Algorithm, str] = {"entropy": "IInt8EntropyCalibrator2", "min-max": "IInt8MinMaxCalibrator"}
CalibrationBatch = dict[str, NDArray[np.float32]]


class Feeder:
    """Gives calibration batches to TensorRT through device memory, and keeps what it counted in a file.

    Args:
        cuda: where the memory comes from.
        batches: what is fed; all of one shape.
        cache: file of what TensorRT counted; read if it is there, written afterwards.

    Attributes:
        batches: how many were given.
        failure: why they ended before their end; whoever builds must ask, for TensorRT takes any end for the end.
    """

    def __init__(self, cuda: Cuda, batches: Iterator[CalibrationBatch], cache: Path | None) -> None:
        self.cuda = cuda
        self.cache = cache
        self.batches = 0
        self.failure: EdgeHarmonyError | None = None
        self._left = batches
        self._memory: dict[str, tuple[Any, int]] = {}
        self._held = ExitStack()
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
        """What an earlier build counted."""
        return self.cache.read_bytes() if self.cache is not None and self.cache.is_file() else None

    def write(self, content: bytes) -> None:
        """Keep what was counted, unless the batches failed before their end."""
        if self.cache is not None and self.failure is None:
            atomic_write(self.cache, content)

    def close(self) -> None:
        """Free the memory."""
        self.cuda.activate()
        self._memory = {}
        self._held.close()


def make_calibrator(tensorrt: TensorRT, algorithm: Algorithm, feeder: Feeder, batch_size: int) -> Any:
    """TensorRT's calibrator object around a feeder.

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
            try:
                return feeder.next(names)
            except EdgeHarmonyError as error:
                feeder.failure = error
                return None

        def read_calibration_cache(self) -> bytes | None:
            return feeder.read()

        def write_calibration_cache(self, cache: Any) -> None:
            feeder.write(bytes(cache))

    return Calibrator()
