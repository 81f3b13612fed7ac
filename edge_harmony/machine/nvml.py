"""An NVIDIA GPU's counters, through NVML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_harmony.extras import install_hint
from edge_harmony.machine.counters import Reading


class Nvml:
    """An NVIDIA GPU through NVML (``pip install nvidia-ml-py``).

    https://docs.nvidia.com/deploy/nvml-api
    """

    source = "NVML"

    def __init__(self, library: Any) -> None:
        self._library = library
        library.nvmlInit()
        self._device = library.nvmlDeviceGetHandleByIndex(0)

    def joules(self) -> float:
        """See :class:`~edge_harmony.machine.energy.EnergyCounter`; Volta and newer."""
        return float(self._library.nvmlDeviceGetTotalEnergyConsumption(self._device)) / 1e3

    def energy(self) -> Reading:
        """:meth:`joules` as a reading."""
        return self._reading("J", self.joules)

    def temperature(self) -> Reading:
        """Temperature of the GPU."""
        kind = self._library.NVML_TEMPERATURE_GPU
        return self._reading("degC", lambda: float(self._library.nvmlDeviceGetTemperature(self._device, kind)))

    def memory(self) -> Reading:
        """Memory of the device that is in use by all processes."""
        return self._reading("bytes", lambda: float(self._library.nvmlDeviceGetMemoryInfo(self._device).used))

    def clock(self) -> Reading:
        """Clock of the streaming multiprocessors."""
        kind = self._library.NVML_CLOCK_SM
        return self._reading("MHz", lambda: float(self._library.nvmlDeviceGetClockInfo(self._device, kind)))

    def is_throttled(self) -> bool | None:
        """Whether heat or the power limit slows the GPU now; None if it does not report this."""
        try:
            reasons = int(self._library.nvmlDeviceGetCurrentClocksThrottleReasons(self._device))
        except self._library.NVMLError:
            return None
        names = ("SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown", "SwPowerCap")
        slow = sum(getattr(self._library, f"nvmlClocksThrottleReason{name}") for name in names)
        return bool(reasons & slow)

    def close(self) -> None:
        """Shut NVML down."""
        self._library.nvmlShutdown()

    def _reading(self, unit: str, read: Callable[[], float]) -> Reading:
        try:
            return Reading(read(), unit, self.source)
        except self._library.NVMLError as error:
            return Reading(None, unit, self.source, str(error))


def find_nvml() -> Nvml | Reading:
    """The first NVIDIA GPU, or the reason why its counters cannot be read."""
    try:
        import pynvml
    except ImportError:
        return Reading(None, "J", Nvml.source, f"nvidia-ml-py is not installed: {install_hint('pynvml')}")
    try:
        return Nvml(pynvml)
    except pynvml.NVMLError as error:
        return Reading(None, "J", Nvml.source, str(error))
