"""Costs of a contender besides time: energy, heat, throttling, memory of the device."""

from __future__ import annotations

from pathlib import Path

from edge_harmony.machine.counters import ROOT, Reading, hottest, throttles
from edge_harmony.machine.energy import Sampled, find_energy
from edge_harmony.machine.nvml import Nvml, find_nvml


class Meter:
    """Costs of a contender besides time, accumulated between :meth:`start` and :meth:`stop`.

    Args:
        device: device of the contender: ``cpu`` or ``cuda...``.
        root: root of the file system, for tests.
    """

    def __init__(self, device: str, root: Path = ROOT) -> None:
        self._root = root
        self._gpu = find_nvml() if device.startswith("cuda") else None
        self._counter = find_energy(device, root)
        self._joules = 0.0
        self._queries = 0
        self._began = 0.0
        self._hottest = Reading(None, "degC", "thermal zones", "nothing was measured")
        self._slowed = throttles(root)
        self._gpu_slowed = 0

    def start(self) -> None:
        """Start measuring, before queries."""
        if not isinstance(self._counter, Reading):
            self._began = self._counter.joules()

    def stop(self, queries: int) -> None:
        """Stop measuring, after this number of queries."""
        if not isinstance(self._counter, Reading):
            self._joules += self._counter.joules() - self._began
        self._queries += queries
        now = self._gpu.temperature() if isinstance(self._gpu, Nvml) else hottest(self._root)
        if now.value is None or self._hottest.value is None or now.value > self._hottest.value:
            self._hottest = now
        if isinstance(self._gpu, Nvml):
            self._gpu_slowed += bool(self._gpu.is_throttled())

    def close(self) -> None:
        """End threads and programs that read sensors."""
        if isinstance(self._counter, Sampled):
            self._counter.close()

    def energy(self) -> Reading:
        """J per query, of the whole package, module or GPU, including anything else that runs on it."""
        if isinstance(self._counter, Reading):
            return self._counter
        if not self._queries or not self._joules:
            return Reading(None, "J", self._counter.source, "the counter did not move")
        return Reading(self._joules / self._queries, "J", self._counter.source)

    def temperature(self) -> Reading:
        """The highest temperature."""
        return self._hottest

    def throttled(self) -> Reading:
        """How often heat slowed the device during the measurement."""
        if isinstance(self._gpu, Nvml):
            return Reading(float(self._gpu_slowed), "count", "NVML, turns that ended with a slowed GPU")
        now = throttles(self._root)
        if now.value is None or self._slowed.value is None:
            return now
        return Reading(now.value - self._slowed.value, "count", now.source)

    def device_memory(self) -> Reading:
        """Memory of the GPU that is in use by all processes."""
        if self._gpu is None:
            return Reading(None, "bytes", "NVML", "the contender runs on the CPU")
        return self._gpu.memory() if isinstance(self._gpu, Nvml) else Reading(None, "bytes", "NVML", self._gpu.reason)
