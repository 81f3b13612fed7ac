"""ONNX files to TensorRT engines: checked before the build, taken from the cache where nothing changed, and timed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import NDArray

from edge_harmony.backends.tensorrt.bridge import find_runtime, find_tensorrt
from edge_harmony.backends.tensorrt.builder import Built, build_plan
from edge_harmony.backends.tensorrt.calibration import calibrating, find_calibration
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.figures import averages, export_outputs, export_times, summarize, warnings_of
from edge_harmony.backends.tensorrt.logger import Log
from edge_harmony.backends.tensorrt.network import is_before_10
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.backends.tensorrt.plan import (
    EngineFacts,
    cached,
    check_plan,
    facts_of,
    facts_without_manifest,
    find_weights,
    has_manifest,
    write_plan,
)
from edge_harmony.backends.tensorrt.profiling import write_rows
from edge_harmony.backends.tensorrt.request import BuildRequest, TimingRequest, files_read, files_written
from edge_harmony.backends.tensorrt.timing import TimingOptions, time_engine
from edge_harmony.errors import ArtifactError, CapabilityError, name_some
from edge_harmony.extras import require_onnx
from edge_harmony.files.atomic import make_place_for
from edge_harmony.files.identity import check_outputs

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.calibration import CalibrationRequest
    from edge_harmony.backends.tensorrt.cuda.api import Cuda, Device
    from edge_harmony.inspection.graph import Graph


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineFile:
    """An engine's file.

    Attributes:
        path: where it lies.
        facts: what it was built from and for.
        built: how; None if it came from the cache, or was finished before.
        notes: what :func:`check_file` notes about the ONNX file.
    """

    path: Path
    facts: EngineFacts
    built: Built | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineTiming:
    """How fast an engine is.

    Attributes:
        options: how long it ran, and how.
        figures: queries per second and the times of every part in milliseconds, see
            :func:`~edge_harmony.backends.tensorrt.figures.summarize`.
        warnings: what trtexec would warn about.
        memory: bytes of scratch memory on the device.
        layers: time of every layer, in the rows of trtexec's ``--exportProfile``; None unless they were asked for.
        averages: the means of successive queries, where they were asked for.
        description: a line for every layer, by TensorRT's inspector; empty unless it was asked for.
        outputs: of the last query, by name; empty unless they were asked for.
    """

    options: TimingOptions
    figures: dict[str, Any]
    warnings: list[str]
    memory: int
    layers: list[dict[str, Any]] | None
    averages: list[dict[str, float]] = field(default_factory=list)
    description: str = ""
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildReport:
    """The result of a :class:`BuildRequest`.

    Attributes:
        engine: its file, and how it was built.
        tensorrt: name and version of TensorRT.
        device: the GPU; None where it was built for others.
        timing: how fast it is; None if it was not timed.
    """

    engine: EngineFile
    tensorrt: str
    device: Device | None
    timing: EngineTiming | None = None


def build_engine(request: BuildRequest, *, report: Callable[[float, str], None] | None = None) -> BuildReport:
    """Do what ``edge-harmony build`` does: turn an ONNX file into a TensorRT engine, and time it.

    >>> build_engine(BuildRequest("edge-s-160x160-int8.onnx", save="edge-s.plan", timing=TimingRequest()))

    The file is checked before the build. Without ``save`` the engine comes from the cache, where nothing changed.

    Args:
        request: what is built, and how.
        report: called with the share of the build that is done and its phase, if this version of TensorRT reports
            progress, and with 1.0 at its end. What it raises stops the build.

    Returns:
        The engine's file, and its times if they were asked for.

    Raises:
        UsageError: a file is not there or would be overwritten, or shapes do not fit the inputs.
        InputError: a shape to be timed is outside the engine's profile, or a calibration picture is damaged.
        ArtifactError: the file is damaged, TensorRT does not take it, or would compute it wrongly; a finished engine
            is of another TensorRT or GPU.
        CapabilityError: TensorRT, a GPU or what the options ask for is missing here.
    """
    save = Path(request.save) if request.save is not None else None
    check_outputs(files_written(request), files_read(request))
    for path in files_written(request):
        make_place_for(path)
    find = find_tensorrt if request.load is None else find_runtime
    tensorrt = find(request.distribution)
    cuda = None if request.options.architectures else _gpu(tensorrt, request)
    device = cuda.device() if cuda else None
    with contextlib.closing(Log(tensorrt, request.log_file)) as log:
        if request.onnx is not None:
            require_onnx("build")
            onnx = Path(request.onnx)
            made = make_engine(
                tensorrt,
                onnx,
                request.options,
                device,
                save=save,
                timing_cache=request.timing_cache,
                calibration=find_calibration(request, tensorrt, onnx, cuda),
                log=log,
                report=report,
            )
            weights: Path | str | None = onnx
        else:
            path = Path(cast("Path | str", request.load))
            made = _finished(path, tensorrt, cast("Device", device), request.options)
            weights = request.weights
            if weights is None and made.facts.options.strip_weights:
                weights = find_weights(path, made.facts)
    if report is not None:
        report(1.0, "built")
    done = BuildReport(made, str(tensorrt), device)
    if request.timing is None or cuda is None:
        return done
    options = made.facts.options
    fill = Path(weights) if weights else None
    with contextlib.closing(Engine(tensorrt, cuda, made.path, options, fill, request.lean_library)) as engine:
        return replace(done, timing=_time(engine, request.timing))


def _finished(path: Path, tensorrt: TensorRT, device: Device, options: BuildOptions) -> EngineFile:
    """A finished engine, held against its manifest; one of another builder has none, and is taken with a warning."""
    if has_manifest(path):
        return EngineFile(path, check_plan(path, tensorrt, device))
    facts = facts_without_manifest(path, tensorrt, device, options)
    logger.warning(
        "%s has no manifest: that it was built for this GPU, and without further options, is taken on trust", path
    )
    return EngineFile(path, facts)


def _gpu(tensorrt: TensorRT, request: BuildRequest) -> Cuda:
    try:
        return find_cuda(request.cuda, request.device)
    except CapabilityError as error:
        if not tensorrt.is_rtx:
            raise
        hint = f"{error.hint}; to build for another: --computeCapabilities SM89"
        raise CapabilityError(error.message, hint) from None


def _time(engine: Engine, request: TimingRequest) -> EngineTiming:
    """Run the engine and write the requested files."""
    options = request.options(engine.tensorrt)
    timed = time_engine(
        engine,
        options,
        request.shapes,
        inputs=request.inputs,
        profiled=options.iterations if request.profile or request.profile_to else 0,
    )
    if request.times_to:
        export_times(timed.samples, request.times_to)
    if request.profile_to and timed.layers:
        write_rows(request.profile_to, timed.layers.rows())
    if request.layers_to:
        write_rows(request.layers_to, engine.information())
    if request.outputs_to:
        export_outputs(timed.outputs, request.outputs_to)
    return EngineTiming(
        timed.options,
        summarize(timed.samples, timed.batch, request.percentiles),
        [*timed.notes, *warnings_of(timed.samples, options.streams)],
        timed.memory,
        timed.layers.rows() if timed.layers else None,
        averages(timed.samples, request.average) if request.average else [],
        engine.information("ONELINE") if request.layers else "",
        timed.outputs if request.outputs else {},
    )


def make_engine(
    tensorrt: TensorRT,
    onnx: Path,
    options: BuildOptions,
    device: Device | None,
    *,
    save: Path | None = None,
    timing_cache: Path | None = None,
    calibration: CalibrationRequest | None = None,
    log: Log | None = None,
    report: Callable[[float, str], None] | None = None,
) -> EngineFile:
    """Check an ONNX file, then build its engine or take it from the cache. Every build goes through here.

    Args:
        tensorrt: which TensorRT.
        onnx: the file.
        options: how to build.
        device: the GPU to build for; None where ``options`` name others.
        save: where to write the engine; without it the engine comes from the cache, or goes there.
        timing_cache: file of kernel timings from earlier builds; read if it is there, written afterwards.
        calibration: pictures for implicit INT8.
        log: collects TensorRT's messages.
        report: see :func:`build_engine`.

    Raises:
        EdgeHarmonyError: as :func:`build_engine`.
    """
    graph, notes = check_file(onnx, tensorrt)
    facts = facts_of(tensorrt, onnx, options, device, calibration.identity if calibration else "")
    builds: list[Built] = []

    def build() -> bytes:
        said = log or Log(tensorrt)
        with contextlib.ExitStack() as held:
            calibrator = (
                held.enter_context(calibrating(tensorrt, graph, onnx, calibration, said)) if calibration else None
            )
            arguments: dict[str, Any] = {"timing_cache": timing_cache, "log": said, "report": report}
            builds.append(build_plan(tensorrt, onnx, options, calibrator=calibrator, **arguments))
        return builds[0].plan

    if save is not None:
        path = save
        write_plan(path, build(), facts, onnx)
    else:
        path = cached(facts, onnx, build)
    return EngineFile(path, facts, builds[0] if builds else None, notes)


def check_file(onnx: Path, tensorrt: TensorRT) -> tuple[Graph, tuple[str, ...]]:
    """Check an ONNX file before TensorRT gets it, by the rules of :mod:`edge_harmony.backends.tensorrt.rules`.

    TensorRT refuses some graphs with a message that does not name the cause, and computes others wrongly without any.

    Returns:
        The graph, and notes: rules that make the engine slower, and an opset newer than TensorRT documents.

    Raises:
        UsageError: there is no such file.
        ArtifactError: it is damaged, or TensorRT would refuse it or compute it wrongly; the message names the nodes.
        CapabilityError: this TensorRT needs opset 17, and the file cannot be written so.
    """
    from edge_harmony.backends.tensorrt.rules import REFUSALS
    from edge_harmony.export.opset_17 import to_opset_17
    from edge_harmony.inspection.graph import read_graph
    from edge_harmony.inspection.refusals import find_refusals

    graph = read_graph(onnx)
    findings = find_refusals(graph, REFUSALS)
    fatal = [finding for finding in findings if finding.fatal]
    if fatal:
        said = name_some([f"{finding.node}: {finding.problem}" for finding in fatal])
        raise ArtifactError(f"{tensorrt} cannot build {onnx} rightly: {said}", fatal[0].fix)
    inputs = {value.name for value in graph.model.graph.input}  # open shapes are for the build to judge
    notes = [f"{found.node}: {found.problem}; {found.fix}" for found in findings if found.node not in inputs]
    if is_before_10(tensorrt):
        to_opset_17(graph.model)
    elif graph.opset > tensorrt.opset_ceiling:
        notes.append(f"opset {graph.opset} is newer than what {tensorrt} documents ({tensorrt.opset_ceiling})")
    return graph, tuple(notes)
