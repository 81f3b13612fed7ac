"""Finding backends by name, and loading networks into them."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from edge_harmony.backends.base import (
    DEFAULT_PRECISION,
    Backend,
    LoadRequest,
    Runner,
)
from edge_harmony.backends.conformance import shortcoming
from edge_harmony.backends.guard import GuardedBackend
from edge_harmony.errors import CapabilityError, UsageError, first_line
from edge_harmony.models.registry import DEFAULT_MODEL

ENTRY_POINTS = "edge_harmony.backends"

log = logging.getLogger(__name__)


def backend_names() -> list[str]:
    """Names of the installed backends."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def get_backend(name: str) -> GuardedBackend:
    """A backend by name; what it raises and returns is guarded, see :mod:`edge_harmony.backends.guard`.

    Raises:
        UsageError: no installed backend has this name.
        CapabilityError: it is registered but cannot be used: two claim the name, its import fails, or it is no
            complete :class:`Backend`.
    """
    points = [point for point in entry_points(group=ENTRY_POINTS) if point.name == name]
    if not points:
        names = backend_names()
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(names)}"
        raise UsageError(f"there is no backend {name!r}", hint)
    if len({point.value for point in points}) > 1:
        raise CapabilityError(f"two backends are called {name}: {_listed(points)}", "uninstall one of them")
    point = points[0]
    label = f"the backend {_listed([point])}"
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # importing a plug-in runs its code, which may raise anything
        raise CapabilityError(
            f"{label} cannot be imported ({type(error).__name__}: {first_line(error)})",
            "install what it needs, or uninstall it",
        ) from error
    problem = shortcoming(found, Backend, name)
    if not problem:
        try:
            backend: Backend = found()
        except (Exception, SystemExit) as error:  # making it runs its code too
            problem = f"cannot be made ({type(error).__name__}: {first_line(error)})"
        else:
            log.info("backend %s: %s", name, point.value)
            return GuardedBackend(backend, label)
    raise CapabilityError(f"{label} {problem}", "see docs/adding-a-backend.md")


def _listed(points: Iterable[EntryPoint]) -> str:
    """``name = module:Class of distribution``, for people."""
    return " and ".join(
        f"{point.name} ({point.value}{f' of {point.dist.name}' if point.dist else ''})" for point in points
    )


def load_runner(
    model: str = DEFAULT_MODEL,
    *,
    backend: str | None = None,
    precision: str = DEFAULT_PRECISION,
    artifact: Path | str | None = None,
    weights: Path | str | None = None,
    threads: int = 0,
    device: str = "auto",
) -> Runner:
    """Load a network into a backend.

    >>> with load_runner("edge-s", backend="openvino") as runner:
    ...     scores = evaluate(runner, read_split("iHarmony4", "test"))

    Args:
        model: name in the registry.
        backend: what runs it, such as ``onnxruntime`` or ``pytorch``; ``edge-harmony doctor`` lists them. None for the
            one that the artifact was made for, or ``onnxruntime`` without an artifact.
        precision: ``int8``, ``fp16`` or ``fp32``.
        artifact: an exported file instead of the shipped one; its manifest names model and precision.
        weights: weights instead of the shipped ones, where a backend builds from weights.
        threads: CPU threads; 0 leaves the choice to the backend.
        device: ``auto``, ``cpu``, or a CUDA device where the backend has one.

    Raises:
        UsageError: an unknown name, or nothing is shipped for this combination.
        CapabilityError: this machine cannot do it.
        ArtifactError: a file is damaged.
    """
    return load_request(
        LoadRequest(
            model=model,
            precision=precision,
            artifact=None if artifact is None else Path(artifact),
            weights=None if weights is None else Path(weights),
            threads=threads,
            device=device,
            backend=backend,
        )
    )


def load_request(request: LoadRequest) -> Runner:
    """Load what a request names into its backend; see :func:`load_runner` for the errors.

    Args:
        request: one that is :meth:`resolved <edge_harmony.backends.base.LoadRequest.resolved>` carries the manifest of
            its artifact, which is then not read again.
    """
    request = request.resolved()
    return get_backend(str(request.backend)).load(request)
