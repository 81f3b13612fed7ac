"""Facts that a Jetson reports: board, L4T and JetPack, power mode."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# https://docs.nvidia.com/jetson/archives: L4T releases and their JetPack; the longest match wins
_JETPACK = {
    "35": "5",
    "35.1": "5.0.2",
    "35.2": "5.1",
    "35.3": "5.1.1",
    "35.4": "5.1.2",
    "35.5": "5.1.3",
    "35.6": "5.1.4",
    "35.6.1": "5.1.5",
    "35.6.2": "5.1.5",
    "36.2": "6.0 (developer preview)",
    "36.3": "6.0",
    "36.4": "6.1 or 6.2",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.5": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5": "6.2.2",
    "38": "7",
    "38.2": "7.0",
    "38.4": "7.1",
    "39": "7.2",
}


@dataclass(frozen=True)
class Jetson:
    """A Jetson.

    Attributes:
        board: name of the board, such as ``NVIDIA Jetson Orin Nano Developer Kit``.
        l4t: release of the board support package, such as ``36.4.3``; None if the system does not report it.
        jetpack: the JetPack of this release; None if it is not known.
        power_mode: name of the power mode, such as ``15W``; None if the system does not report it.
    """

    board: str
    l4t: str | None
    jetpack: str | None
    power_mode: str | None


def find_jetson(root: Path = Path("/")) -> Jetson | None:
    """This machine as a Jetson; None if it is none. ``root`` is for tests."""
    board = _read(root / "proc/device-tree/model").rstrip("\0\n")
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", _read(root / "etc/nv_tegra_release"))
    if "Jetson" not in board and found is None:
        return None
    l4t = f"{found[1]}.{found[2]}" if found else None
    fitting = [name for name in _JETPACK if l4t and f"{l4t}.".startswith(f"{name}.")]
    jetpack = _JETPACK[max(fitting, key=len)] if fitting else None
    return Jetson(board or "Jetson", l4t, jetpack, _power_mode(root))


def _power_mode(root: Path) -> str | None:
    """Name of the current mode; nvpmodel keeps its number in one file and all names in another."""
    number = re.search(r"pmode:0*(\d+)", _read(root / "var/lib/nvpmodel/status"))
    if number is None:
        return None
    names = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>", _read(root / "etc/nvpmodel.conf"))
    return dict(names).get(number[1], number[1])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
