"""Ranges without training, from the command that users run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def calibrated(
    model: str,
    weights: Path,
    chosen: str,
    method: str,
    folder: Path,
    data: Path | None = None,
    options: Sequence[str] = (),
) -> Path:
    """Weights with ranges from ``edge-harmony calibrate`` with further ``options``, in ``folder``."""
    path = folder / f"{model}.safetensors"
    command = [sys.executable, "-m", "edge_harmony", "calibrate", model, "--weights", str(weights)]
    command += ["--set", chosen, "--method", method, *options, "-o", str(path)]
    command += ["--data", str(data)] if data else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path
