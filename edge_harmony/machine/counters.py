"""Energy, temperature, clocks, throttling and memory from the counters of a machine; never 0 for one it lacks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ROOT = Path("/")
_TOTALS = ("VDD_IN", "SYS_VIN_HV", "SYS5V_IN")
"""Rails that carry all that a Jetson module draws, by generation."""


@dataclass(frozen=True)
class Reading:
    """A measured value, or why there is none.

    Attributes:
        value: in ``unit``; None if it could not be measured.
        unit: ``J``, ``W``, ``degC``, ``MHz``, ``bytes``, ``count``.
        source: the counter that was read.
        reason: why there is no value; empty if there is.
    """

    value: float | None
    unit: str
    source: str
    reason: str = ""


class EnergyCounter(Protocol):
    """A counter of what a machine or a part of it has used."""

    source: str

    def joules(self) -> float:
        """Since some moment; only differences mean anything."""


class Rapl:
    """Intel's and AMD's running average power limit: packages of the CPU, in microjoules that wrap around.

    https://www.kernel.org/doc/html/latest/power/powercap/powercap.html
    """

    source = "RAPL, CPU packages"

    def __init__(self, zones: list[Path]) -> None:
        self._zones = zones
        self._ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
        self._last = [self._read(zone) for zone in zones]
        self._turns = [0] * len(zones)

    @staticmethod
    def _read(zone: Path) -> int:
        return int((zone / "energy_uj").read_text())

    def joules(self) -> float:
        """See :class:`EnergyCounter`; to be asked more often than the counters wrap around (minutes)."""
        for k, zone in enumerate(self._zones):
            now = self._read(zone)
            self._turns[k] += now < self._last[k]
            self._last[k] = now
        return sum(v + t * r for v, t, r in zip(self._last, self._turns, self._ranges, strict=True)) / 1e6


def find_rapl(root: Path = ROOT) -> Rapl | Reading:
    """The packages' counters, or why they cannot be read."""
    zones = sorted((root / "sys/class/powercap").glob("intel-rapl:?"))
    if not zones:
        return Reading(None, "J", Rapl.source, "this system shows no /sys/class/powercap/intel-rapl")
    try:
        return Rapl(zones)
    except PermissionError:
        return Reading(None, "J", Rapl.source, f"{zones[0]}/energy_uj is readable by root only")
    except (OSError, ValueError) as error:
        return Reading(None, "J", Rapl.source, f"{zones[0]} cannot be read ({error})")


def jetson_watts(root: Path = ROOT) -> Reading:
    """What a Jetson's module draws now, by its INA3221 power monitor.

    https://docs.nvidia.com/jetson/archives/r36.4/DeveloperGuide/SD/PlatformPowerAndPerformance/JetsonOrinNanoSeriesJetsonOrinNxSeriesAndJetsonAgxOrinSeries.html
    """
    source = "INA3221"
    for monitor in sorted((root / "sys/bus/i2c/drivers/ina3221").glob("*/hwmon/hwmon*")):
        for label in sorted(monitor.glob("in*_label")):
            name = label.read_text().strip()
            if name not in _TOTALS:
                continue
            channel = label.name.removeprefix("in").removesuffix("_label")
            try:
                millivolts = int((monitor / f"in{channel}_input").read_text())
                milliamperes = int((monitor / f"curr{channel}_input").read_text())
            except (OSError, ValueError) as error:
                return Reading(None, "W", f"{source} {name}", f"cannot be read ({error})")
            return Reading(millivolts * milliamperes / 1e6, "W", f"{source} {name}")
    return Reading(None, "W", source, "there is no INA3221 power monitor")


@dataclass(frozen=True)
class Tegrastats:
    """A line of ``tegrastats``.

    Attributes:
        watts: rail to power now, such as ``VDD_IN``.
        celsius: sensor to temperature, such as ``gpu``.
        used_bytes: main memory in use.
        gpu_share: load of the GPU, 0 to 1; None if the line does not tell.
    """

    watts: dict[str, float]
    celsius: dict[str, float]
    used_bytes: int | None
    gpu_share: float | None


def parse_tegrastats(line: str) -> Tegrastats:
    """Read a line.

    https://docs.nvidia.com/jetson/archives/r36.4/DeveloperGuide/AT/JetsonLinuxDevelopmentTools/TegrastatsUtility.html
    """
    memory = re.search(r"RAM (\d+)/\d+MB", line)
    load = re.search(r"GR3D_FREQ (\d+)%", line)
    sensors = re.findall(r"([A-Za-z]\w*)@(-?[\d.]+)C", line)
    return Tegrastats(
        watts={name: int(now) / 1e3 for name, now in re.findall(r"([A-Z][A-Z0-9_]+) (\d+)mW(?:/\d+mW)?", line)},
        celsius={name.lower(): float(value) for name, value in sensors if float(value) > -200},  # -256: switched off
        used_bytes=int(memory[1]) * 2**20 if memory else None,
        gpu_share=int(load[1]) / 100 if load else None,
    )


class Sampled:
    """Energy of a sensor that tells power: read ten times a second by a thread, and added up.

    Args:
        watts: reads the sensor.
        source: what it is.
    """

    def __init__(self, watts: Callable[[], float | None], source: str) -> None:
        self.source = source
        self._watts = watts
        self._sum = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._add, daemon=True)
        self._thread.start()

    def _add(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(0.1):
            now, power = time.monotonic(), self._watts()
            self._sum += (power or 0.0) * (now - before)
            before = now

    def joules(self) -> float:
        """See :class:`EnergyCounter`."""
        return self._sum

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()


class TegrastatsPower:
    """What ``tegrastats`` says a Jetson draws, for systems that hide the power monitor from users.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: str = "tegrastats") -> None:
        self._process = subprocess.Popen(
            [command, "--interval", "100"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._last: float | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            rails = parse_tegrastats(line).watts
            self._last = next((rails[name] for name in _TOTALS if name in rails), self._last)

    def watts(self) -> float | None:
        """The latest; None before the first line."""
        return self._last

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()


def find_energy(device: str, root: Path = ROOT) -> EnergyCounter | Reading:
    """The counter of what runs on a device (``cpu`` or ``cuda...``): NVML, a Jetson's monitor, or RAPL."""
    jetson = jetson_watts(root)
    if jetson.value is not None:
        return Sampled(lambda: jetson_watts(root).value, jetson.source)
    if shutil.which("tegrastats"):
        return Sampled(TegrastatsPower().watts, "tegrastats")
    if device.startswith("cuda"):
        return find_nvml()
    return find_rapl(root)


def hottest(root: Path = ROOT) -> Reading:
    """The highest temperature of the system's thermal zones."""
    found: list[tuple[float, str]] = []
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        try:
            value = int((zone / "temp").read_text()) / 1000
            kind = (zone / "type").read_text().strip()
        except (OSError, ValueError):  # zones of parts that are switched off do not answer
            continue
        if -50 < value < 200:
            found.append((value, kind))
    if not found:
        return Reading(None, "degC", "thermal zones", "this system shows no thermal zone that answers")
    value, kind = max(found)
    return Reading(value, "degC", f"thermal zone {kind}")


def cpu_megahertz(root: Path = ROOT) -> Reading:
    """Mean clock of the CPU's cores now."""
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    try:
        values = [int(file.read_text()) / 1000 for file in files]
    except (OSError, ValueError) as error:
        return Reading(None, "MHz", "cpufreq", f"cannot be read ({error})")
    if values:
        return Reading(sum(values) / len(values), "MHz", "cpufreq")
    information = root / "proc/cpuinfo"
    text = information.read_text(errors="replace") if information.is_file() else ""
    clocks = [float(value) for value in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", text, re.MULTILINE)]
    if clocks:
        return Reading(sum(clocks) / len(clocks), "MHz", "/proc/cpuinfo")
    return Reading(None, "MHz", "cpufreq", "this system shows no clocks")


def throttles(root: Path = ROOT) -> Reading:
    """How often the CPU's cores have been slowed down for heat since the system started."""
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    try:
        counts = [int(file.read_text()) for file in files]
    except (OSError, ValueError) as error:
        return Reading(None, "count", "thermal_throttle", f"cannot be read ({error})")
    if not counts:
        return Reading(None, "count", "thermal_throttle", "this system shows no thermal_throttle counters")
    return Reading(float(sum(counts)), "count", "thermal_throttle")


def peak_memory(root: Path = ROOT) -> Reading:
    """The most main memory that this process has had."""
    status = root / "proc/self/status"
    text = status.read_text() if status.is_file() else ""
    found = re.search(r"VmHWM:\s*(\d+) kB", text)
    if found:
        return Reading(int(found[1]) * 1024.0, "bytes", "VmHWM")
    if sys.platform == "darwin":
        import resource

        return Reading(float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss), "bytes", "ru_maxrss")
    return Reading(None, "bytes", "VmHWM", "/proc/self/status does not tell")


class Nvml:
    """An NVIDIA GPU through NVML (``pip install nvidia-ml-py``).

    https://docs.nvidia.com/deploy/nvml-api
    """

    source = "NVML"

    def __init__(self, library: Any, index: int = 0) -> None:
        self._library = library
        library.nvmlInit()
        self._device = library.nvmlDeviceGetHandleByIndex(index)

    def joules(self) -> float:
        """See :class:`EnergyCounter`; Volta and newer."""
        return float(self._library.nvmlDeviceGetTotalEnergyConsumption(self._device)) / 1e3

    def energy(self) -> Reading:
        """The same as a reading."""
        return self._reading("J", self.joules)

    def temperature(self) -> Reading:
        """Of the GPU."""
        kind = self._library.NVML_TEMPERATURE_GPU
        return self._reading("degC", lambda: float(self._library.nvmlDeviceGetTemperature(self._device, kind)))

    def memory(self) -> Reading:
        """In use on the device by all processes."""
        return self._reading("bytes", lambda: float(self._library.nvmlDeviceGetMemoryInfo(self._device).used))

    def clock(self) -> Reading:
        """Of the streaming multiprocessors."""
        kind = self._library.NVML_CLOCK_SM
        return self._reading("MHz", lambda: float(self._library.nvmlDeviceGetClockInfo(self._device, kind)))

    def is_throttled(self) -> bool | None:
        """Whether heat or the power limit slows it now; None if it does not tell."""
        try:
            reasons = int(self._library.nvmlDeviceGetCurrentClocksThrottleReasons(self._device))
        except self._library.NVMLError:
            return None
        names = ("SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown", "SwPowerCap")
        slow = sum(getattr(self._library, f"nvmlClocksThrottleReason{name}") for name in names)
        return bool(reasons & slow)

    def close(self) -> None:
        """Leave NVML."""
        self._library.nvmlShutdown()

    def _reading(self, unit: str, read: Callable[[], float]) -> Reading:
        try:
            return Reading(read(), unit, self.source)
        except self._library.NVMLError as error:
            return Reading(None, unit, self.source, str(error))


def find_nvml() -> Nvml | Reading:
    """The first NVIDIA GPU, or why it tells nothing."""
    try:
        import pynvml
    except ImportError:
        return Reading(None, "J", Nvml.source, "nvidia-ml-py is not installed: pip install nvidia-ml-py")
    try:
        return Nvml(pynvml)
    except pynvml.NVMLError as error:
        return Reading(None, "J", Nvml.source, str(error))


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
