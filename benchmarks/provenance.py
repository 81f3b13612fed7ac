"""The origin of a result: this package, the machine, and the versions of the measured packages."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import edge_harmony
from edge_harmony.machine.doctor import examine


def provenance(*packages: str) -> dict[str, Any]:
    """The first keys of every result: ``version``, ``machine`` and ``versions`` of ``packages``."""
    return {
        "version": edge_harmony.__version__,
        "machine": examine()["machine"],
        "versions": {package: version(package) for package in packages},
    }
