"""Ranges without training, from the command that users run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def calibrated(model: str, weights: Path, chosen: str, method: str, folder: Path, data: Path | None = None) -> Path:
    """Weights with ranges from ``edge-harmony calibrate``, in ``folder``."""
    path = folder / f"{model}.safetensors"
    command = [sys.executable, "-m", "edge_harmony", "calibrate", model, "--weights", str(weights)]
    command += ["--set", chosen, "--method", method, "-o", str(path)]
    command += ["--data", str(data)] if data else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path
