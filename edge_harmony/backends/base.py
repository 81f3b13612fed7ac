"""What a backend is: probe this machine, build an artifact, load it into a runner."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.files.manifest import IOSpec, read_manifest
from edge_harmony.models.registry import DEFAULT_MODEL

ENTRY_POINTS = "edge_harmony.backends"
DEFAULT_BACKEND = "onnxruntime"
DEFAULT_PRECISION = "int8"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Probe:
    """What this machine can do with a backend.

    Attributes:
        available: it can run here.
        detail: version and device, or what is missing.
        fix: the command or device that would make it available; empty if it is.
        precisions: what it can run here.
    """

    available: bool
    detail: str
    fix: str = ""
    precisions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A step on the way to an artifact.

    Attributes:
        does: what is done, for people.
        makes: name of the file or folder; parts that only the device knows stand in angle brackets.
        missing: why it cannot be done on this machine; empty if it can.
        fix: what to do about it.
    """

    does: str
    makes: str
    missing: str = ""
    fix: str = ""

    def unless(self, check: Callable[[], object]) -> Step:
        """The same step, with what ``check`` finds missing."""
        try:
            check()
        except CapabilityError as error:
            return replace(self, missing=error.message, fix=error.hint or "")
        return self


@dataclass(frozen=True)
class LoadRequest:
    """What to load.

    Attributes:
        model: name in the registry.
        precision: ``fp32``, ``fp16`` or ``int8``.
        artifact: a file to run instead of the shipped one; its manifest is verified.
        weights: weights to use instead of the shipped ones, where a backend builds from weights.
        threads: CPU threads; 0 leaves the choice to the backend.
        device: where a backend has several, e.g. ``cuda:0``.
        mode: how PyTorch runs it: ``eager``, ``compiled`` (``torch.compile``), or ``cuda-graphs``.
    """

    model: str
    precision: str
    artifact: Path | None = None
    weights: Path | None = None
    threads: int = 0
    device: str = "auto"
    mode: str = "eager"

    def resolved(self) -> LoadRequest:
        """The same request under the artifact's own model and precision, where there is an artifact.

        Raises:
            UsageError: there is no such artifact.
            ArtifactError: its manifest is missing, damaged, or of another file.
        """
        if self.artifact is None:
            return self
        manifest = read_manifest(self.artifact)
        return replace(self, model=manifest.model, precision=manifest.precision)


class Runner(Protocol):
    """A loaded network; a ``with`` statement closes it."""

    @property
    def io_spec(self) -> IOSpec:
        """Working size and kind of output."""

    @property
    def sha256(self) -> str:
        """Hash of the file that is run: what is timed is what is scored."""

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one batch.

        Args:
            composite: ``(N, 3, H, W)`` RGB in [0, 1], contiguous.
            mask: ``(N, 1, H, W)`` in [0, 1], contiguous.

        Returns:
            ``(N, C, h, w)``, as ``io_spec.output`` says.

        Several threads may call it at a time.
        """

    def synchronize(self) -> None:
        """Wait until everything asked for is done."""

    def close(self) -> None:
        """Free what the runner holds; it cannot be used afterwards. Closing twice is harmless."""

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def submit(
    runner: Runner, composite: NDArray[np.float32], mask: NDArray[np.float32]
) -> Callable[[], NDArray[np.float32]]:
    """Begin a batch; what is returned waits for its result.

    Runners of devices that work by themselves have a method ``submit``, which returns while the device is busy, so that
    the next batch can be prepared and copied meanwhile; the others run it now.

    Args:
        runner: what runs it.
        composite: as :meth:`Runner.infer` takes it.
        mask: likewise.
    """
    begin: Callable[..., Callable[[], NDArray[np.float32]]] | None = getattr(runner, "submit", None)
    if begin is not None:
        return begin(composite, mask)
    output = runner.infer(composite, mask)
    return lambda: output


@runtime_checkable
class Backend(Protocol):
    """A way to run networks."""

    name: str

    def probe(self) -> Probe:
        """Say what this machine can do; never raises."""

    def build(self, source: Path, output: Path, **options: Any) -> Path:
        """Turn ``source`` (weights or ONNX) into this backend's artifact, with its manifest."""

    def plan(self, **options: Any) -> list[Step]:
        """The steps of :meth:`build` with these options, none of them done."""

    def load(self, request: LoadRequest) -> Runner:
        """Load a network.

        Raises:
            CapabilityError: the backend, device or precision is not available here.
            ArtifactError: the file is damaged or not the one its manifest describes.
        """


def backend_names() -> list[str]:
    """Names of the installed backends."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def get_backend(name: str) -> Backend:
    """A backend by name.

    Raises:
        UsageError: no installed backend has this name.
        CapabilityError: it is registered but cannot be imported.
    """
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in points:
        close = difflib.get_close_matches(name, points, 1)
        hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(sorted(points))}"
        raise UsageError(f"there is no backend {name!r}", hint)
    try:
        factory = points[name].load()
    except ImportError as error:
        raise CapabilityError(
            f"the backend {name} cannot be imported ({error})", "install what it needs; see edge-harmony doctor"
        ) from None
    log.info("backend %s: %s", name, points[name].value)
    backend: Backend = factory()
    return backend


def load_runner(
    model: str = DEFAULT_MODEL,
    *,
    backend: str = DEFAULT_BACKEND,
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
        backend: what runs it, such as ``onnxruntime`` or ``pytorch``; ``edge-harmony doctor`` lists them.
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
    request = LoadRequest(
        model=model,
        precision=precision,
        artifact=None if artifact is None else Path(artifact),
        weights=None if weights is None else Path(weights),
        threads=threads,
        device=device,
    )
    return get_backend(backend).load(request.resolved())
