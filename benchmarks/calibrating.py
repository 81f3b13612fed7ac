"""Ranges without training, made as users make them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def calibrated(model: str, weights: Path, chosen: str, method: str, folder: Path, data: Path | None = None) -> Path:
    """Weights with the ranges that ``edge-harmony calibrate`` gives them, in ``folder``."""
    path = folder / f"{model}.safetensors"
    command = [sys.executable, "-m", "edge_harmony", "calibrate", model, "--weights", str(weights)]
    command += ["--set", chosen, "--method", method, "-o", str(path)]
    command += ["--data", str(data)] if data else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path
