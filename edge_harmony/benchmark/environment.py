"""The environment of a benchmark: machine, clocks, load, container and versions."""

from __future__ import annotations

import contextlib
import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2

from edge_harmony.backends.discovery import backend_names, get_backend
from edge_harmony.benchmark.result import Environment
from edge_harmony.errors import CapabilityError
from edge_harmony.machine.counters import ROOT, cpu_megahertz
from edge_harmony.machine.doctor import examine

_PACKAGES = ("edge-harmony", "numpy")
"""Packages whose versions a result records besides those of the backends."""


def environment(root: Path = ROOT) -> Environment:
    """The current environment."""
    report = examine()
    machine = report["machine"]
    gpus = [row["detail"] for row in report["capabilities"] if row["name"] == "engines on CUDA" and row["available"]]
    jetson = machine["jetson"]
    return Environment(
        system=machine["system"],
        cpu=machine["cpu"],
        cpu_features=machine["features"],
        cpus=machine["cpus"],
        memory_bytes=machine["memory_bytes"],
        gpu=gpus[0] if gpus else None,
        board=jetson["board"] if jetson else None,
        power_mode=jetson["power_mode"] if jetson else None,
        container=container(root),
        governor=governor(root),
        clock=cpu_megahertz(root),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        versions={"python": machine["python"], "opencv": cv2.__version__}
        | {name: found for name in (*_PACKAGES, *_of_backends()) if (found := _version(name))},
    )


def container(root: Path = ROOT) -> str | None:
    """The kind of container that this process runs in; None if it runs in none."""
    for mark, kind in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
        if (root / mark).exists():
            return kind
    groups = root / "proc/1/cgroup"
    found = re.search(r"docker|kubepods|containerd|lxc", groups.read_text() if groups.is_file() else "")
    return found[0] if found else None


def governor(root: Path = ROOT) -> str | None:
    """The governor, by which the system chooses the CPU's clock."""
    path = root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _of_backends() -> list[str]:
    """Packages whose versions decide what the installed backends do."""
    packages: list[str] = []
    for name in backend_names():
        with contextlib.suppress(CapabilityError):  # a plug-in that cannot be used runs nothing
            packages += get_backend(name).packages
    return packages


def _version(package: str) -> str | None:
    try:
        return version(package)
    except (PackageNotFoundError, ValueError):  # an empty name, or one that cannot be a package's
        return None
