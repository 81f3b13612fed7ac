"""Energy: RAPL, a Jetson's power monitor, tegrastats, and power sensors integrated over time."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_harmony.machine.counters import ROOT, Reading
from edge_harmony.machine.nvml import find_nvml

_TOTALS = ("VDD_IN", "SYS_VIN_HV", "SYS5V_IN")
"""Rails that carry the total power of a Jetson module, by generation."""


class EnergyCounter(Protocol):
    """A counter of the energy that a machine or a part of it has used."""

    source: str

    def joules(self) -> float:
        """Energy since an arbitrary moment; only differences are meaningful."""


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
        """See :class:`EnergyCounter`; call this more often than the counters wrap around (minutes)."""
        for k, zone in enumerate(self._zones):
            now = self._read(zone)
            self._turns[k] += now < self._last[k]
            self._last[k] = now
        return sum(v + t * r for v, t, r in zip(self._last, self._turns, self._ranges, strict=True)) / 1e6


def find_rapl(root: Path = ROOT) -> Rapl | Reading:
    """The counters of the CPU packages, or the reason why they cannot be read."""
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
    """The current power of a Jetson's module, from its INA3221 power monitor.

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
        watts: current power by rail, such as ``VDD_IN``.
        celsius: temperature by sensor, such as ``gpu``.
        used_bytes: main memory in use.
        gpu_share: load of the GPU, 0 to 1; None if it is not in the line.
    """

    watts: dict[str, float]
    celsius: dict[str, float]
    used_bytes: int | None
    gpu_share: float | None


def parse_tegrastats(line: str) -> Tegrastats:
    """Parse a line of ``tegrastats``.

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
    """Energy from a power sensor, which a thread reads ten times a second and integrates.

    Args:
        watts: function that reads the sensor.
        source: name of the sensor.
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
    """A Jetson's power from ``tegrastats``, for systems that hide the power monitor from users.

    Raises:
        OSError: ``tegrastats`` cannot be started.
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
        """The latest power; None before the first line."""
        return self._last

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()


def find_energy(device: str, root: Path = ROOT) -> EnergyCounter | Reading:
    """The energy counter for a device (``cpu`` or ``cuda...``): NVML, a Jetson's monitor, or RAPL."""
    jetson = jetson_watts(root)
    if jetson.value is not None:
        return Sampled(lambda: jetson_watts(root).value, jetson.source)
    if shutil.which("tegrastats"):
        return Sampled(TegrastatsPower().watts, "tegrastats")
    if device.startswith("cuda"):
        return find_nvml()
    return find_rapl(root)
