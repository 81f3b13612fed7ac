"""Recorded answers: what PyTorch computes in FP32 for the shipped pictures, for devices without torch.

``NAME.answers.npz`` lies beside the shipped weights whose hash it holds; ``benchmarks/land_weights.py`` writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import REFERENCE_BACKEND
from edge_harmony.backends.discovery import load_runner
from edge_harmony.files.atomic import new_file, sha256_of
from edge_harmony.models.registry import weights_folder
from edge_harmony.pipeline.harmonize import predict
from edge_harmony.samples import sample_files, sample_pictures

_WEIGHTS = "weights_sha256"


def answers_path(model: str, folder: Path | None = None) -> Path:
    """The file of a network's answers, by default the shipped one; for most networks there is none."""
    return (folder or weights_folder()) / f"{model}.answers.npz"


def record_answers(model: str, weights: Path) -> Path:
    """Write the answers of a network with these weights beside them; needs torch."""
    content: dict[str, Any] = {_WEIGHTS: np.array(sha256_of(weights))}
    with load_runner(model, backend=REFERENCE_BACKEND, precision="fp32", weights=weights) as runner:
        content |= {name: predict(runner, picture, mask) for name, picture, mask in sample_pictures()}
    path = answers_path(model, weights.parent)
    with new_file(path) as part:
        np.savez_compressed(part, **content)
    return path


def recorded_answers(model: str, weights_sha256: str) -> dict[str, NDArray[np.float32]] | None:
    """The grids of :func:`edge_harmony.pipeline.harmonize.predict` for the shipped pictures, by their names.

    Args:
        model: network, at its own working size.
        weights_sha256: hash of the weights whose answers are wanted.

    Returns:
        None if none are recorded for these weights, or not for all pictures.
    """
    path = answers_path(model)
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files}
    is_of_weights = str(content.pop(_WEIGHTS)) == weights_sha256
    return content if is_of_weights and content.keys() == {path.stem for path, _ in sample_files()} else None
