"""Energy: RAPL, a Jetson's power monitors, tegrastats, and power sensors integrated over time."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge_harmony.machine.counters import ROOT, Reading
from edge_harmony.machine.nvml import find_nvml
from edge_harmony.machine.rails import jetson_watts, parse_tegrastats, total_watts

_FIRST_LINE = 5.0
"""Seconds to wait for a program that was asked for a line every tenth of a second."""


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


class Sampled:
    """Energy from a power sensor, which a thread reads ten times a second and integrates.

    Where the sensor gives no value, the next value stands for the time since the last one.

    Args:
        watts: function that reads the sensor.
        source: name of the sensor.
        release: called when reading ends, to end what the sensor needs.
    """

    def __init__(
        self, watts: Callable[[], float | None], source: str, release: Callable[[], None] = lambda: None
    ) -> None:
        self.source = source
        self._watts, self._release = watts, release
        self._sum = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._add, daemon=True)
        self._thread.start()

    def _add(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(0.1):
            now, power = time.monotonic(), self._watts()
            if power is not None:
                self._sum += power * (now - before)
                before = now

    def joules(self) -> float:
        """See :class:`EnergyCounter`."""
        return self._sum

    def close(self) -> None:
        """Stop reading, and release the sensor."""
        self._stop.set()
        self._thread.join()
        self._release()


class TegrastatsPower:
    """A Jetson's power from ``tegrastats``, for systems that hide the power monitors from users.

    Raises:
        OSError: ``tegrastats`` cannot be started.
    """

    def __init__(self, command: str = "tegrastats") -> None:
        self._process = subprocess.Popen(
            [command, "--interval", "100"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._last = Reading(None, "W", "tegrastats", "it wrote no line")
        self._has_told = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._last = total_watts(parse_tegrastats(line).watts, "tegrastats")
            self._has_told.set()
        self._has_told.set()

    def first(self) -> Reading:
        """The power of the first line, or why there is none."""
        self._has_told.wait(_FIRST_LINE)
        return self._last

    def watts(self) -> float | None:
        """The power of the last line; None if it names no rail that is known."""
        return self._last.value

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()


def find_energy(device: str, root: Path = ROOT) -> EnergyCounter | Reading:
    """The energy counter for a device (``cpu`` or ``cuda...``), or why there is none.

    A Jetson's power monitors come first, or ``tegrastats`` where they are hidden; then NVML for GPUs, RAPL for CPUs.
    """
    power = jetson_watts(root)
    if power.value is not None:
        return Sampled(lambda: jetson_watts(root).value, power.source)
    if shutil.which("tegrastats"):
        program = TegrastatsPower()
        power = program.first()
        if power.value is not None:
            return Sampled(program.watts, power.source, program.close)
        program.close()
        return Reading(None, "J", power.source, power.reason)
    if device.startswith("cuda"):
        return find_nvml()
    return find_rapl(root)
