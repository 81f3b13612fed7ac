"""Temperature, clocks, throttling and memory from a machine's counters; a missing counter never reads as 0."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True)
class Reading:
    """A measured value, or the reason why there is none.

    Attributes:
        value: value in ``unit``; None if it could not be measured.
        unit: ``J``, ``W``, ``degC``, ``MHz``, ``bytes``, ``count``.
        source: name of the counter.
        reason: why there is no value; empty if there is one.
    """

    value: float | None
    unit: str
    source: str
    reason: str = ""


def hottest(root: Path = ROOT) -> Reading:
    """The highest temperature of the system's thermal zones."""
    found: list[tuple[float, str]] = []
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        try:
            value = int((zone / "temp").read_text()) / 1000
            kind = (zone / "type").read_text().strip()
        except (OSError, ValueError):  # zones of parts without power do not answer
            continue
        if -50 < value < 200:
            found.append((value, kind))
    if not found:
        return Reading(None, "degC", "thermal zones", "this system shows no thermal zone that answers")
    value, kind = max(found)
    return Reading(value, "degC", f"thermal zone {kind}")


def cpu_megahertz(root: Path = ROOT) -> Reading:
    """Mean current clock of the CPU's cores."""
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
    """How often heat has slowed the CPU's cores since the system started."""
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    try:
        counts = [int(file.read_text()) for file in files]
    except (OSError, ValueError) as error:
        return Reading(None, "count", "thermal_throttle", f"cannot be read ({error})")
    if not counts:
        return Reading(None, "count", "thermal_throttle", "this system shows no thermal_throttle counters")
    return Reading(float(sum(counts)), "count", "thermal_throttle")


def resident_memory(root: Path = ROOT) -> Reading:
    """Main memory that this process has now."""
    status = root / "proc/self/status"
    text = status.read_text() if status.is_file() else ""
    found = re.search(r"VmRSS:\s*(\d+) kB", text)
    if found:
        return Reading(int(found[1]) * 1024.0, "bytes", "VmRSS")
    return Reading(None, "bytes", "VmRSS", "/proc/self/status does not report it")


def peak_memory(root: Path = ROOT) -> Reading:
    """Peak main memory of this process."""
    status = root / "proc/self/status"
    text = status.read_text() if status.is_file() else ""
    found = re.search(r"VmHWM:\s*(\d+) kB", text)
    if found:
        return Reading(int(found[1]) * 1024.0, "bytes", "VmHWM")
    if sys.platform == "darwin":
        import resource

        return Reading(float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss), "bytes", "ru_maxrss")
    return Reading(None, "bytes", "VmHWM", "/proc/self/status does not report it")
