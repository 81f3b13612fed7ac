"""What ``edge-harmony build`` and :func:`edge_harmony.build_engine` are asked for, in one place."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_harmony.backends.tensorrt.bridge import Distribution
from edge_harmony.backends.tensorrt.figures import PERCENTILES
from edge_harmony.backends.tensorrt.options import BuildOptions, Shape
from edge_harmony.backends.tensorrt.timing import TimingOptions
from edge_harmony.errors import UsageError
from edge_harmony.files.manifest import files_of

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.cuda.api import Package


@dataclass(frozen=True)
class CalibrationChoice:
    """Pictures for implicit INT8: TensorRT 8.6 to 10 counts ranges while it builds.

    Attributes:
        pictures: name of a calibration set, or a ``.toml`` file.
        data: root of a set that is not shipped.
        algorithm: TensorRT's.
        cache: file of the ranges: read if it is there, else written.
    """

    pictures: str = "samples-24"
    data: Path | None = None
    algorithm: Literal["entropy", "min-max"] = "entropy"
    cache: Path | None = None


@dataclass(frozen=True)
class TimingRequest:
    """A run of the engine after the build, as trtexec does it.

    Attributes:
        warm_up: milliseconds before anything counts.
        duration: seconds, at least.
        iterations: queries, at least.
        graph: capture a CUDA graph and launch that; None: as trtexec of this version.
        spin: wait for the GPU without sleeping; None: as trtexec of this version.
        transfers: copy inputs in and outputs out with every query; None: as trtexec of this version.
        streams: execution contexts that run at a time.
        threads: give each of them a thread.
        overlap: keep two queries of a context under way, so that the copies of one overlap the network of the other.
        idle: milliseconds to sleep between queries.
        shapes: of the inputs, where the engine's are open; by default the largest.
        inputs: files of raw values for inputs, by name; noise for the others.
        percentiles: to report, within 0 and 100.
        average: also report the means over this many successive queries; None: do not.
        profile: time every layer too, in a run of its own.
        layers: report what TensorRT's inspector says of the layers.
        outputs: report the values of the last query's outputs.
        times_to: write every query to this file, as JSON.
        profile_to: write the times of the layers to this file, as JSON.
        layers_to: write what TensorRT's inspector says to this file, as JSON.
        outputs_to: write the values of the last query's outputs to this file, as JSON.

    Raises:
        UsageError: a percentile is not within 0 and 100, or a file of values is not there.
    """

    warm_up: float = 200.0
    duration: float = 3.0
    iterations: int = 10
    graph: bool | None = None
    spin: bool | None = None
    transfers: bool | None = None
    shapes: dict[str, Shape] | None = None
    percentiles: tuple[float, ...] = PERCENTILES
    profile: bool = False
    times_to: Path | None = None
    profile_to: Path | None = None
    layers_to: Path | None = None
    _: KW_ONLY
    streams: int = 1
    threads: bool = False
    overlap: bool = True
    idle: float = 0.0
    inputs: dict[str, Path] | None = None
    average: int | None = None
    layers: bool = False
    outputs: bool = False
    outputs_to: Path | None = None

    def __post_init__(self) -> None:
        if any(not 0 <= value <= 100 for value in self.percentiles):
            text = ",".join(f"{value:g}" for value in self.percentiles)
            raise UsageError(
                f"--percentile cannot be {text!r}", "write numbers within 0 and 100: --percentile 90,95,99"
            )

        missing = [path for path in (self.inputs or {}).values() if not path.is_file()]
        if missing:
            raise UsageError(f"there is no file {missing[0]}", "check the paths of --loadInputs")

    def options(self, tensorrt: TensorRT) -> TimingOptions:
        """The options of the run; what nothing was chosen for is as in trtexec of this version."""
        switches = {"graph": self.graph, "spin": self.spin, "transfers": self.transfers}
        return replace(
            TimingOptions.defaults(tensorrt),
            warm_up=self.warm_up,
            duration=self.duration,
            iterations=self.iterations,
            streams=self.streams,
            threads=self.threads,
            overlap=self.overlap,
            idle=self.idle,
            **{name: choice for name, choice in switches.items() if choice is not None},
        )

    def refuse_files(self, why: str) -> None:
        """Refuse results of a run where the engine is not run.

        Args:
            why: the reason that it is not run.

        Raises:
            UsageError: a file or a listing is asked for.
        """
        wanted = {
            "--exportTimes": self.times_to,
            "--exportProfile": self.profile_to,
            "--exportLayerInfo": self.layers_to,
            "--exportOutput": self.outputs_to,
            "--loadInputs": self.inputs,
            "--dumpProfile": self.profile or None,
            "--dumpLayerInfo": self.layers or None,
            "--dumpOutput": self.outputs or None,
        }
        asked = [name for name, target in wanted.items() if target is not None]
        if asked:
            raise UsageError(f"{asked[0]} needs a run, and there is none: {why}", f"leave {asked[0]} out")


@dataclass(frozen=True)
class BuildRequest:
    """An ONNX file to build, or a finished engine, and what is done with it.

    Attributes:
        onnx: the file to build, with its manifest beside it.
        load: a finished engine to time, instead of ``onnx``.
        options: how to build; by default the types in the file rule.
        save: where the engine goes; by default it comes from the cache, or goes there.
        weights: with ``load``: the ONNX file whose weights fill an engine without them; by default the one that it was
            built from.
        lean_library: with ``load``: a lean runtime (``libnvinfer_lean``) for an engine that was built for other
            versions and without one.
        timing_cache: file of kernel timings from earlier builds; read if it is there, written afterwards.
        calibration: pictures for implicit INT8, where ``options`` allow it and the file has no ranges of its own.
        timing: how the engine is timed; None: it is not.
        distribution: TensorRT, TensorRT for RTX, or with ``load`` TensorRT's lean runtime; by default the first of them
            that is installed.
        cuda: package for memory and streams; by default what is installed.
        device: number of the GPU.
        log_file: file for all that TensorRT says.

    Raises:
        UsageError: not exactly one of ``onnx`` and ``load`` is given, or what is given does not go together.
    """

    onnx: Path | str | None = None
    _: KW_ONLY
    load: Path | str | None = None
    options: BuildOptions = field(default_factory=BuildOptions)
    save: Path | str | None = None
    weights: Path | str | None = None
    lean_library: Path | None = None
    timing_cache: Path | None = None
    calibration: CalibrationChoice = CalibrationChoice()
    timing: TimingRequest | None = None
    distribution: Distribution | None = None
    cuda: Package | None = None
    device: int = 0
    log_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.onnx is None) == (self.load is None):
            raise UsageError("name an ONNX file to build, or --loadEngine a finished one", "one of the two")
        if self.load is not None and self.save is not None:
            raise UsageError("--saveEngine is for engines that are built", "leave it out with --loadEngine")
        if self.load is None and (self.distribution == "tensorrt-lean" or self.lean_library is not None):
            raise UsageError("a lean runtime loads engines and builds none", "use it with --loadEngine")
        if self.load is not None and self.options.architectures:
            raise UsageError("a finished engine is not built for other GPUs", "leave --computeCapabilities out")
        if self.timing is not None and self.options.architectures:
            self.timing.refuse_files(self.untimed)

    @property
    def untimed(self) -> str:
        """Why the engine cannot be timed here; empty if it can."""
        named = ", ".join(self.options.architectures)
        return f"built for {named}, not for a GPU of this machine" if named else ""


def files_read(request: BuildRequest) -> list[Path]:
    """The files that a request reads."""
    timing = request.timing
    values = [*(timing.inputs or {}).values()] if timing is not None else []
    values += [request.lean_library] if request.lean_library is not None else []
    values += [Path(request.calibration.pictures)]  # a file, or a name of what ships
    named = [request.onnx, request.load, request.weights]
    return [*values, *(file for name in named if name is not None for file in files_of(Path(name)))]


def files_written(request: BuildRequest) -> list[Path]:
    """The files that a request writes, among them the caches that it continues."""
    timing = request.timing
    reports = [timing.times_to, timing.profile_to, timing.layers_to, timing.outputs_to] if timing is not None else []
    named = [*reports, request.log_file, request.timing_cache, request.calibration.cache]
    engine = files_of(Path(request.save)) if request.save is not None else []
    return [*engine, *(path for path in named if path is not None)]
