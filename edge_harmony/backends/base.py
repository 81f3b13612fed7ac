"""The contract of backends: probe this machine, build an artifact, load it into a runner, inspect a file.

``docs/adding-a-backend.md`` shows one from outside this package.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from edge_harmony.errors import EdgeHarmonyError, UsageError
from edge_harmony.files.manifest import ONNX, IOSpec, Manifest, Precision, read_manifest
from edge_harmony.inspection.findings import Inspection
from edge_harmony.models.registry import find_model

DEFAULT_BACKEND = "onnxruntime"
DEFAULT_PRECISION: Precision = "int8"
REFERENCE_BACKEND = "pytorch"
"""The backend whose results in ``fp32`` are the reference for all others."""


def backend_of(manifest: Manifest) -> str:
    """The backend that runs an artifact if none is named: the one that made it; for ONNX files the default."""
    return DEFAULT_BACKEND if manifest.backend == ONNX else manifest.backend


@dataclass(frozen=True)
class Probe:
    """Whether a backend runs on this machine.

    Attributes:
        available: whether it does.
        detail: its version and device, or the missing part.
        fix: the command or device that makes it available; empty if it is.
        precisions: the precisions that run here.
    """

    available: bool
    detail: str
    fix: str = ""
    precisions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A step on the way to an artifact.

    Attributes:
        does: the action, in words.
        makes: name of the file or folder that it writes; parts known only on the device are in angle brackets.
        missing: the reason why this machine cannot do it; empty if it can.
        fix: a remedy for ``missing``.
    """

    does: str
    makes: str
    missing: str = ""
    fix: str = ""

    def unless(self, check: Callable[[], object]) -> Step:
        """A copy of the step, whose ``missing`` is the message of the CapabilityError that ``check`` raises, if any."""
        try:
            check()
        except EdgeHarmonyError as error:
            return replace(self, missing=error.message, fix=error.hint or "")
        return self


@dataclass(frozen=True)
class LoadRequest:
    """A request to load a network.

    Attributes:
        model: name in the registry.
        precision: ``fp32``, ``fp16`` or ``int8``.
        artifact: a file to run instead of the shipped one; its manifest is verified.
        weights: weights to use instead of the shipped ones, where a backend takes weights.
        threads: CPU threads; 0 leaves the choice to the backend.
        device: a device such as ``cuda:0``, where a backend has several.
        mode: one of the backend's :attr:`Backend.modes`; None for the first of them.
        backend: name of the backend; None for the one that runs the artifact, or the default without an artifact.
        manifest: the verified manifest of the artifact, once :meth:`resolved` has read it.
    """

    model: str
    precision: str
    artifact: Path | None = None
    weights: Path | None = None
    threads: int = 0
    device: str = "auto"
    mode: str | None = None
    backend: str | None = None
    manifest: Manifest | None = None

    def resolved(self) -> LoadRequest:
        """A copy that names its backend, with the artifact's manifest, model and precision if there is one.

        Raises:
            UsageError: there is no such artifact.
            ArtifactError: its manifest is missing, damaged, or of another file.
        """
        if self.artifact is None:
            return replace(self, backend=self.backend or DEFAULT_BACKEND)
        manifest = self.manifest or read_manifest(self.artifact)
        backend = self.backend or backend_of(manifest)
        return replace(self, model=manifest.model, precision=manifest.precision, backend=backend, manifest=manifest)


@dataclass(frozen=True)
class ExportRequest:
    """A request to build an artifact.

    Attributes:
        model: name in the registry.
        precision: ``fp32``, ``fp16`` or ``int8``.
        size: working size (height, width); None for the network's own.
        opset: ONNX operator set, for builds that write an ONNX file.
        keep_float: layers of an ``int8`` network that stay float.
        whole_pipeline: build the network with its pre- and post-processing: 8-bit pictures in and out.
        options: an instance of the backend's :attr:`Backend.options`; None for its defaults.
    """

    model: str
    precision: str
    size: tuple[int, int] | None = None
    opset: int = 18
    keep_float: tuple[str, ...] = ()
    whole_pipeline: bool = False
    options: Any = None

    @property
    def working_size(self) -> tuple[int, int]:
        """``size``, or the network's own in the registry."""
        return self.size or find_model(self.model).size


@dataclass(frozen=True)
class CheckRequest:
    """A request to inspect a file before it is built or run.

    Attributes:
        file: an ONNX file, or an artifact of the backend.
        precision: precision of the target; None if no target is named.
        opset_ceiling: the newest ONNX operator set that the target's runtime reads; None for no limit.
        options: options of the target, an instance of :attr:`Backend.options`; None if no target is named.
    """

    file: Path
    precision: str | None = None
    opset_ceiling: int | None = None
    options: Any = None


class Runner(ABC):
    """A loaded network; a ``with`` statement closes it.

    A subclass defines ``io_spec`` and ``infer``. The other methods have defaults for runtimes whose calls return when
    the work is done.
    """

    @property
    @abstractmethod
    def io_spec(self) -> IOSpec:
        """Working size and kind of output."""

    @property
    def sha256(self) -> str:
        """Hash of the file that runs, by which times and scores of one file are matched; empty without a file."""
        return ""

    @abstractmethod
    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one batch.

        Args:
            composite: ``(N, 3, H, W)`` RGB in [0, 1], contiguous.
            mask: ``(N, 1, H, W)`` in [0, 1], contiguous.

        Returns:
            ``(N, C, h, w)``, as ``io_spec.output`` says.

        Several threads may call it at a time.
        """

    def submit(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
        """Start a batch. The returned function waits for its result; call it once.

        An asynchronous device is still working when this returns, so that the next batch can be prepared and copied
        meanwhile. By default the batch has been run when this returns.
        """
        output = self.infer(composite, mask)
        return lambda: output

    def infer_parts(
        self, composite: NDArray[np.float32], mask: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Run one batch, and time its parts.

        Returns:
            The result of :meth:`infer`, and the milliseconds of ``copy`` (to the device and back; 0 by default) and
            ``infer``.
        """
        began = time.perf_counter()
        output = self.infer(composite, mask)
        self.synchronize()
        return output, {"copy": 0.0, "infer": 1e3 * (time.perf_counter() - began)}

    def harmonize(self, picture: NDArray[np.uint8], mask: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
        """Harmonize a picture, where the file holds a whole pipeline (``io_spec.is_whole_pipeline``).

        Args:
            picture: ``(H, W, 3)`` RGB, at least as large as ``io_spec`` says.
            mask: ``(H, W)``, 255 in the foreground.
            strength: of the change, 0 to 1.5.

        Returns:
            ``(H, W, 3)``, an array of its own. Several threads may call it at a time.

        Raises:
            UsageError: it holds a network alone, as by default.
        """
        raise UsageError("this file holds a network and no whole pipeline", "export it with --whole-pipeline")

    def synchronize(self) -> None:  # noqa: B027  (a default, not a gap)
        """Wait until the device has done all its work; by default there is nothing to wait for."""

    def close(self) -> None:  # noqa: B027  (a default, not a gap)
        """Free the network, which cannot be used afterwards. Closing twice is harmless."""

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NoOptions(BaseModel):
    """The options of a backend without options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Backend(ABC):
    """A way to run networks. A subclass defines ``name``, ``probe`` and ``load``; the rest has defaults.

    It is instantiated without arguments. Importing its module must work without the runtime that it drives.

    Attributes:
        name: name of its entry point.
        options: model of a target's ``[options]``; it should forbid unknown keys.
        packages: distributions whose versions a benchmark's result records.
        modes: ways to run a network, the default first; empty if there is only one.
        device: its default device, ``cpu`` or ``cuda:0``, whose counters measure the costs in benchmarks.
        takes_weights: whether :meth:`load` takes weights, and nothing needs to be built.
        reads_onnx: whether its targets must name the newest operator set that their runtime reads.
        elsewhere: place where its artifacts run if they do not run on this machine, in words.
        then: a command for what was exported, instead of those that compare or test it, with ``{folder}`` and
            ``{artifact}`` in it; empty, as by default, for these.
        runs_whole_pipelines: whether its runners have :meth:`Runner.harmonize`, for files that hold a whole pipeline.
    """

    name: ClassVar[str]
    options: ClassVar[type[BaseModel]] = NoOptions
    packages: ClassVar[tuple[str, ...]] = ()
    modes: ClassVar[tuple[str, ...]] = ()
    device: ClassVar[str] = "cpu"
    takes_weights: ClassVar[bool] = False
    reads_onnx: ClassVar[bool] = False
    elsewhere: ClassVar[str] = "on the device"
    then: ClassVar[str] = ""
    runs_whole_pipelines: ClassVar[bool] = False

    @abstractmethod
    def probe(self) -> Probe:
        """Report what this machine can do. Must not raise."""

    def shipped(self, model: str, precision: str) -> Path | None:
        """The file of this package that :meth:`load` runs if no artifact is given; None if none is shipped."""
        return None

    def steps(self, request: ExportRequest) -> list[Step]:
        """The steps of :meth:`build` in order, without doing them; the last one writes the artifact.

        Empty by default: the backend does not report its steps.

        Raises:
            UsageError: this backend builds nothing.
        """
        if self.takes_weights:
            raise self._builds_nothing()
        return []

    def build(self, request: ExportRequest, source: Path, folder: Path) -> Path:
        """Turn weights into this backend's artifact, with its manifest.

        Args:
            request: what to build.
            source: weights, or an ONNX file of this package.
            folder: folder for the artifact, created if it is missing.

        Returns:
            The artifact; or what another machine makes it of, see :meth:`remaining`.

        Raises:
            UsageError: this backend builds nothing.
            CapabilityError: a package that the build needs is not installed.
            ArtifactError: the source is damaged or does not fit.
        """
        raise self._builds_nothing()

    def remaining(self, request: ExportRequest, made: Path) -> Step | None:
        """The step that :meth:`build` left for another machine, because this one lacks what it needs.

        Args:
            request: the request to :meth:`build`.
            made: the path that it returned.

        Returns:
            The step, with the part that is missing here and the command for the other machine; None, as by default, if
            the artifact is finished.
        """
        return None

    def _builds_nothing(self) -> UsageError:
        if self.takes_weights:
            return UsageError(f"the {self.name} backend runs weights as they are", "use them with --weights")
        return UsageError(f"the {self.name} backend builds nothing", "choose a target of another")

    @abstractmethod
    def load(self, request: LoadRequest) -> Runner:
        """Load a network.

        Raises:
            UsageError: the request names what this backend does not take.
            CapabilityError: the backend, device or precision is not available here.
            ArtifactError: the file is damaged or not the one its manifest describes.
        """

    def inspect(self, request: CheckRequest) -> Inspection:
        """Inspect a file: the arithmetic of its layers, and what the target refuses.

        Raises:
            UsageError: there is no such file, or this backend has no rules for files.
            ArtifactError: the file is damaged.
        """
        raise UsageError(f"the {self.name} backend has no rules to judge a file by", "check another target")

    def placement(self, file: Path) -> dict[str, int]:
        """Load a file on this machine, and count the operators that the runtime has made of it, by their names.

        Raises:
            UsageError: this backend does not count them.
            CapabilityError: the runtime is not installed.
            ArtifactError: the runtime does not take the file.
        """
        raise UsageError(f"the {self.name} backend does not count fused operators", "leave --placement out")
