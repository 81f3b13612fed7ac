"""From a suite's entries to files that can be timed: what is shipped is taken, the rest is built."""

from __future__ import annotations

from pathlib import Path

from edge_harmony.backends.base import ExportRequest, get_backend
from edge_harmony.benchmark.job import ContenderJob
from edge_harmony.benchmark.peers import PEERS
from edge_harmony.benchmark.result import Contender
from edge_harmony.benchmark.suite import ContenderSpec, Suite
from edge_harmony.errors import CapabilityError
from edge_harmony.extras import require_torch
from edge_harmony.models.registry import bundled_weights, find_model, weights_folder


def prepare(entry: ContenderSpec, suite: Suite, folder: Path) -> ContenderJob:
    """What a worker needs to open a contender.

    Networks without shipped weights get random ones, the same every time: they can be timed, not scored.

    Args:
        entry: the contender.
        suite: that it is part of.
        folder: for what is built.

    Raises:
        UsageError: an unknown backend or network, or one without weights.
        CapabilityError: what it needs is not installed.
    """
    if entry.peer:
        return ContenderJob(entry=entry, suite=suite, untrained=PEERS[entry.peer].trained and entry.checkpoint is None)
    if entry.artifact:
        return ContenderJob(entry=entry, suite=suite, artifact=entry.artifact, weights=entry.weights)
    model = str(entry.model)
    backend = get_backend(entry.backend)
    probe = backend.probe()
    if not probe.available:
        raise CapabilityError(f"{entry.backend} does not run here: {probe.detail}", probe.fix)
    weights, untrained = _weights(model, entry.weights, folder)
    if backend.takes_weights or (not entry.weights and backend.shipped(model, entry.precision)):
        return ContenderJob(entry=entry, suite=suite, weights=weights, untrained=untrained)
    place = folder / entry.backend / (entry.weights.stem if entry.weights else "")
    artifact = backend.build(ExportRequest(model, entry.precision), weights, place)
    return ContenderJob(entry=entry, suite=suite, artifact=artifact, weights=weights, untrained=untrained)


def describe(job: ContenderJob, sha256: str | None) -> Contender:
    """How the result names what a worker opened."""
    entry = job.entry
    if entry.peer:
        return Contender(name=entry.name, kind="peer", untrained=job.untrained)
    request, modes = job.request(), get_backend(entry.backend).modes
    return Contender(
        name=entry.name,
        kind=entry.what,
        model=request.model,
        backend=entry.backend,
        precision=request.precision,
        mode=(entry.mode or modes[0]) if modes else None,
        artifact=job.artifact.name if job.artifact else None,
        sha256=sha256,
        untrained=job.untrained,
    )


def _weights(model: str, own: Path | None, folder: Path) -> tuple[Path, bool]:
    find_model(model)
    if own is not None:
        return own, False
    if (weights_folder() / f"{model}.safetensors").is_file():
        return bundled_weights(model), False
    require_torch()
    import torch

    from edge_harmony.models.registry import build_model
    from edge_harmony.models.weights_file import save_weights

    path = folder / f"{model}-untrained.safetensors"
    if not path.is_file():
        torch.manual_seed(0)
        save_weights(path, build_model(model), name=model)
    return path, True
