"""From a suite's entries to files that can be timed: shipped files are used, others are built."""

from __future__ import annotations

from pathlib import Path

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.discovery import get_backend
from edge_harmony.benchmark.job import ContenderJob
from edge_harmony.benchmark.peers import PEERS
from edge_harmony.benchmark.result import Contender
from edge_harmony.benchmark.suite import ContenderSpec, Suite
from edge_harmony.errors import CapabilityError
from edge_harmony.extras import require_torch
from edge_harmony.models.registry import bundled_weights, has_weights


def prepare(entry: ContenderSpec, suite: Suite, folder: Path) -> ContenderJob:
    """Prepare the job of a worker for a contender.

    Networks without shipped weights get random ones from a fixed seed: they can be timed, but not scored.

    Args:
        entry: the contender.
        suite: its suite.
        folder: folder for built files.

    Raises:
        UsageError: the backend or the network is unknown, or there are no weights.
        CapabilityError: a package or device that the contender needs is missing.
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
    """The contender as described in the result."""
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
    shipped = has_weights(model)
    if own is not None:
        return own, False
    if shipped:
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
