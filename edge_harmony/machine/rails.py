"""A Jetson's power: the rails that its monitors and ``tegrastats`` name, and which of them make up the total.

Rails of Orin boards:
https://docs.nvidia.com/jetson/archives/r36.4/DeveloperGuide/SD/PlatformPowerAndPerformance/JetsonOrinNanoSeriesJetsonOrinNxSeriesAndJetsonAgxOrinSeries.html;
those of Thor as its ``tegrastats`` names them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_harmony.machine.counters import ROOT, Reading

_TOTALS = (
    ("VDD_IN",),  # Orin Nano and NX
    ("VIN",),  # Thor, from its INA238
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),  # AGX Orin
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),  # Thor, where VIN is not shown
)
"""Rails whose powers add up to what the module takes, by board."""

_UNCONNECTED = "NC"


def total_watts(rails: Mapping[str, float | str], source: str) -> Reading:
    """The power of a module from that of its rails.

    Args:
        rails: watts by name, or why they could not be read.
        source: the monitor.

    Returns:
        The sum of those rails of a board that its monitors name. Without a value if no rail is known, or if one that
        is named cannot be read.
    """
    for names in _TOTALS:
        if names[0] not in rails:
            continue
        there = [name for name in names if name in rails]
        described = f"{source} {' + '.join(there)}"
        values = [rails[name] for name in there]
        faults = [value for value in values if isinstance(value, str)]
        if faults:
            return Reading(None, "W", described, f"cannot be read ({faults[0]})")
        return Reading(sum(value for value in values if not isinstance(value, str)), "W", described)
    named = ", ".join(name for name in rails if name != _UNCONNECTED)
    return Reading(None, "W", source, f"no rail is known that carries the total (there are {named or 'none'})")


def jetson_watts(root: Path = ROOT) -> Reading:
    """The current power of a Jetson's module, from its power monitors: INA3221, and INA238 on Thor.

    https://docs.kernel.org/hwmon/ina3221.html, https://docs.kernel.org/hwmon/ina238.html
    """
    drivers = root / "sys/bus/i2c/drivers"
    rails: dict[str, float | str] = {}
    sources = []
    for driver, read in (("ina3221", _ina3221), ("ina238", _ina238)):
        for monitor in sorted((drivers / driver).glob("*/hwmon/hwmon*")):
            rails |= read(monitor)
            sources.append(driver.upper())
    if not sources:
        return Reading(None, "W", "INA3221", "there is no INA3221 or INA238 power monitor")
    return total_watts(rails, " and ".join(dict.fromkeys(sources)))


def _ina3221(monitor: Path) -> dict[str, float | str]:
    """Channels by their labels, in millivolts and milliamperes."""
    rails: dict[str, float | str] = {}
    for label in sorted(monitor.glob("in[123]_label")):
        channel = label.name.removeprefix("in").removesuffix("_label")
        name = channel
        try:
            name = label.read_text().strip()
            millivolts = int((monitor / f"in{channel}_input").read_text())
            milliamperes = int((monitor / f"curr{channel}_input").read_text())
        except (OSError, ValueError) as error:
            rails[name] = str(error)
        else:
            rails[name] = millivolts * milliamperes / 1e6
    return rails


def _ina238(monitor: Path) -> dict[str, float | str]:
    """Its one channel, in microwatts; named by the device tree, or else Thor's VIN."""
    label = monitor / "label"
    try:
        name = label.read_text().strip() if label.is_file() else "VIN"
        return {name: int((monitor / "power1_input").read_text()) / 1e6}
    except (OSError, ValueError) as error:
        return {"VIN": str(error)}


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
    powers = re.findall(r"([A-Z][A-Z0-9_]+) (-?\d+)mW(?:/-?\d+mW)?", line)  # an idle rail may be below its offset
    return Tegrastats(
        watts={name: int(now) / 1e3 for name, now in powers},
        celsius={name.lower(): float(value) for name, value in sensors if float(value) > -200},  # -256: switched off
        used_bytes=int(memory[1]) * 2**20 if memory else None,
        gpu_share=int(load[1]) / 100 if load else None,
    )
