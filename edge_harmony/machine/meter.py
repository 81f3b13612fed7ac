"""What a contender costs besides time: energy, heat, throttling, memory of the device."""

from __future__ import annotations

from pathlib import Path

from edge_harmony.machine.counters import ROOT, Reading, hottest, throttles
from edge_harmony.machine.energy import find_energy
from edge_harmony.machine.nvml import Nvml, find_nvml


class Meter:
    """What a contender costs besides time, between :meth:`start` and :meth:`stop`, added up.

    Args:
        device: that it runs on: ``cpu`` or ``cuda...``.
        root: for tests.
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
        """Queries begin."""
        if not isinstance(self._counter, Reading):
            self._began = self._counter.joules()

    def stop(self, queries: int) -> None:
        """So many queries are over."""
        if not isinstance(self._counter, Reading):
            self._joules += self._counter.joules() - self._began
        self._queries += queries
        now = self._gpu.temperature() if isinstance(self._gpu, Nvml) else hottest(self._root)
        if now.value is None or self._hottest.value is None or now.value > self._hottest.value:
            self._hottest = now
        if isinstance(self._gpu, Nvml):
            self._gpu_slowed += bool(self._gpu.is_throttled())

    def energy(self) -> Reading:
        """J a query; of the whole package, module or GPU, whatever else runs on it."""
        if isinstance(self._counter, Reading):
            return self._counter
        if not self._queries or not self._joules:
            return Reading(None, "J", self._counter.source, "the counter did not move")
        return Reading(self._joules / self._queries, "J", self._counter.source)

    def temperature(self) -> Reading:
        """The highest."""
        return self._hottest

    def throttled(self) -> Reading:
        """How often the device was slowed down for heat meanwhile."""
        if isinstance(self._gpu, Nvml):
            return Reading(float(self._gpu_slowed), "count", "NVML, turns at whose end it was slowed")
        now = throttles(self._root)
        if now.value is None or self._slowed.value is None:
            return now
        return Reading(now.value - self._slowed.value, "count", now.source)

    def device_memory(self) -> Reading:
        """Of the GPU, all that is in use."""
        if self._gpu is None:
            return Reading(None, "bytes", "NVML", "it runs on the CPU")
        return self._gpu.memory() if isinstance(self._gpu, Nvml) else Reading(None, "bytes", "NVML", self._gpu.reason)
