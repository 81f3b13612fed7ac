"""What a backend is: probe this machine, build an artifact, load it into a runner, judge a file before it is built.

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
from edge_harmony.files.manifest import IOSpec, Precision, read_manifest
from edge_harmony.inspection.findings import Inspection
from edge_harmony.models.registry import find_model

DEFAULT_BACKEND = "onnxruntime"
DEFAULT_PRECISION: Precision = "int8"
REFERENCE_BACKEND = "pytorch"
"""What the others are compared with, in ``fp32``."""


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
        except EdgeHarmonyError as error:
            return replace(self, missing=error.message, fix=error.hint or "")
        return self


@dataclass(frozen=True)
class LoadRequest:
    """What to load.

    Attributes:
        model: name in the registry.
        precision: ``fp32``, ``fp16`` or ``int8``.
        artifact: a file to run instead of the shipped one; its manifest is verified.
        weights: weights to use instead of the shipped ones, where a backend takes weights.
        threads: CPU threads; 0 leaves the choice to the backend.
        device: where a backend has several, e.g. ``cuda:0``.
        mode: one of the backend's :attr:`Backend.modes`; None for the first of them.
    """

    model: str
    precision: str
    artifact: Path | None = None
    weights: Path | None = None
    threads: int = 0
    device: str = "auto"
    mode: str | None = None

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


@dataclass(frozen=True)
class ExportRequest:
    """What to build.

    Attributes:
        model: name in the registry.
        precision: ``fp32``, ``fp16`` or ``int8``.
        size: working size (height, width); None for the network's own.
        opset: ONNX operator set, where an ONNX file is written.
        keep_float: layers of an ``int8`` network that stay float.
        whole_pipeline: build all that is around the network too, 8-bit pictures in and out.
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
        """``size``, or what the registry says of the network."""
        return self.size or find_model(self.model).size


@dataclass(frozen=True)
class CheckRequest:
    """What to judge before it is built or run.

    Attributes:
        file: an ONNX file, or an artifact of the backend.
        precision: what the target wants; None where no target is named.
        opset_ceiling: the newest ONNX operator set that the target's runtime reads; None for no limit.
        options: of the target, an instance of the backend's :attr:`Backend.options`; None where no target is named.
    """

    file: Path
    precision: str | None = None
    opset_ceiling: int | None = None
    options: Any = None


class Runner(ABC):
    """A loaded network; a ``with`` statement closes it.

    A subclass has ``io_spec`` and ``infer``; the rest has defaults, for runtimes that return when they are done.
    """

    @property
    @abstractmethod
    def io_spec(self) -> IOSpec:
        """Working size and kind of output."""

    @property
    def sha256(self) -> str:
        """Hash of the file that is run: what is timed is what is scored. Empty where no file is."""
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
        """Begin a batch; what is returned waits for its result, and is to be called once.

        A device that works by itself returns while it is busy, so that the next batch can be prepared and copied
        meanwhile. By default the batch is run at once.
        """
        output = self.infer(composite, mask)
        return lambda: output

    def infer_parts(
        self, composite: NDArray[np.float32], mask: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """What :meth:`infer` returns, and the milliseconds of ``copy`` (to the device and back) and ``infer``.

        By default nothing is copied.
        """
        began = time.perf_counter()
        output = self.infer(composite, mask)
        self.synchronize()
        return output, {"copy": 0.0, "infer": 1e3 * (time.perf_counter() - began)}

    def synchronize(self) -> None:  # noqa: B027  (a default, not a gap)
        """Wait until everything asked for is done; by default there is nothing to wait for."""

    def close(self) -> None:  # noqa: B027  (a default, not a gap)
        """Free what the runner holds; it cannot be used afterwards. Closing twice is harmless."""

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NoOptions(BaseModel):
    """The options of a backend that has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Backend(ABC):
    """A way to run networks: a subclass has ``name``, ``probe`` and ``load``; the rest has defaults.

    It is made without arguments, and importing it must not need the runtime that it drives.

    Attributes:
        name: that of its entry point.
        options: what a target's ``[options]`` may say; unknown keys should be errors.
        packages: distributions whose versions a benchmark's result records.
        modes: ways to run a network, the usual one first; empty if there is but one.
        device: where it runs unless told otherwise, ``cpu`` or ``cuda:0``: whose counters tell what it costs.
        takes_weights: :meth:`load` takes weights as they are, and nothing is built.
        reads_onnx: its targets name the newest operator set that their runtime reads.
        elsewhere: where its artifacts run if not on this machine, for people.
    """

    name: ClassVar[str]
    options: ClassVar[type[BaseModel]] = NoOptions
    packages: ClassVar[tuple[str, ...]] = ()
    modes: ClassVar[tuple[str, ...]] = ()
    device: ClassVar[str] = "cpu"
    takes_weights: ClassVar[bool] = False
    reads_onnx: ClassVar[bool] = False
    elsewhere: ClassVar[str] = "on the device"

    @abstractmethod
    def probe(self) -> Probe:
        """Say what this machine can do; never raises."""

    def shipped(self, model: str, precision: str) -> Path | None:
        """The file of this package that :meth:`load` runs without an artifact; None if there is none."""
        return None

    def steps(self, request: ExportRequest) -> list[Step]:
        """The steps of :meth:`build`, none of them done; the last one makes the artifact. By default they are not told.

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
            folder: where to; made if need be.

        Returns:
            The artifact; or what another machine makes it of, see :meth:`remaining`.

        Raises:
            UsageError: this backend builds nothing.
            CapabilityError: something that builds it is not installed.
            ArtifactError: the source is damaged or does not fit.
        """
        raise self._builds_nothing()

    def remaining(self, request: ExportRequest, made: Path) -> Step | None:
        """The step that :meth:`build` left for another machine, because this one lacks what it needs.

        Args:
            request: what was built.
            made: what :meth:`build` returned.

        Returns:
            The step, with what is missing here and the command that does it there; None if the artifact is finished,
            as it always is by default.
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
        """Judge a file: what is computed in integers, what is refused.

        Raises:
            UsageError: there is no such file, or this backend has no rules to judge one by.
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
