"""``edge-harmony build``: ONNX files to TensorRT engines, and their timing, in trtexec's words."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from edge_harmony.backends.tensorrt.bridge import TensorRT, find_tensorrt
from edge_harmony.backends.tensorrt.cuda.api import Cuda, Package
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.logger import Log
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile, Shape, parse_pools, parse_shapes
from edge_harmony.backends.tensorrt.plan import check_plan
from edge_harmony.backends.tensorrt.profiling import diff, read_profile, write_rows
from edge_harmony.backends.tensorrt.timing import TimingOptions, export_times, summarize, time_engine, warnings_of
from edge_harmony.cli import build_flags as flags
from edge_harmony.cli.build_tables import show_difference, show_report
from edge_harmony.cli.console import JsonOption, notes, print_json, share_bar
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.extras import require_onnx
from edge_harmony.files.manifest import manifest_path

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.engines import CalibrationRequest


def build(  # one parameter per flag of trtexec
    model: flags.ModelArgument = None,
    onnx: flags.OnnxOption = None,
    save_engine: flags.SaveEngineOption = None,
    load_engine: flags.LoadEngineOption = None,
    fp16: flags.Fp16Option = False,
    int8: flags.Int8Option = False,
    best: flags.BestOption = False,
    strongly_typed: flags.StronglyTypedOption = False,
    tf32: flags.Tf32Option = None,
    calib: flags.CalibOption = None,
    calibration_set: flags.CalibrationSetOption = "samples-24",
    calibration_data: flags.CalibrationDataOption = None,
    calibration_algorithm: flags.CalibrationAlgorithmOption = "entropy",
    mem_pool_size: flags.MemPoolSizeOption = None,
    timing_cache: flags.TimingCacheOption = None,
    level: flags.LevelOption = None,
    avg_timing: flags.AvgTimingOption = None,
    use_dla_core: flags.UseDlaCoreOption = None,
    allow_gpu_fallback: flags.AllowGpuFallbackOption = False,
    version_compatible: flags.VersionCompatibleOption = False,
    exclude_lean_runtime: flags.ExcludeLeanRuntimeOption = False,
    hardware: flags.HardwareOption = "none",
    strip_weights: flags.StripWeightsOption = False,
    refit: flags.RefitOption = False,
    sparsity: flags.SparsityOption = "disable",
    verbosity: flags.VerbosityOption = "layer_names_only",
    compute_capabilities: flags.ComputeCapabilitiesOption = None,
    min_shapes: flags.MinShapesOption = None,
    opt_shapes: flags.OptShapesOption = None,
    max_shapes: flags.MaxShapesOption = None,
    shapes: flags.ShapesOption = None,
    refit_from: flags.RefitFromOption = None,
    skip_inference: flags.SkipInferenceOption = False,
    use_cuda_graph: flags.UseCudaGraphOption = None,
    use_spin_wait: flags.UseSpinWaitOption = None,
    no_data_transfers: flags.NoDataTransfersOption = None,
    warm_up: flags.WarmUpOption = 200,
    duration: flags.DurationOption = 3,
    iterations: flags.IterationsOption = 10,
    percentile: flags.PercentileOption = "90,95,99",
    dump_profile: flags.DumpProfileOption = False,
    times_to: flags.TimesToOption = None,
    profile_to: flags.ProfileToOption = None,
    layers_to: flags.LayersToOption = None,
    log_file: flags.LogFileOption = None,
    compared: flags.ComparedOption = None,
    layer_info: flags.LayerInfoOption = None,
    distribution: flags.DistributionOption = None,
    cuda: flags.CudaOption = None,
    device: flags.DeviceOption = 0,
    json: JsonOption = False,
) -> None:
    """Build a TensorRT engine and time it, as trtexec does."""
    if compared is not None:
        _compare(compared, layer_info, as_json=json)
        return
    if sum(given is not None for given in (model, onnx, load_engine)) != 1:
        raise UsageError("name an ONNX file to build, or --loadEngine a finished one", "one of the two")
    model = model or onnx
    if load_engine is not None and save_engine is not None:
        raise UsageError("--saveEngine is for what is built", "leave it out with --loadEngine")
    tensorrt = find_tensorrt(distribution)
    options = _checked(
        BuildOptions,
        precision=_precision(fp16=fp16, int8=int8, best=best),
        strongly_typed=True if strongly_typed else None,
        tf32=tf32,
        profile=_profile(min_shapes, opt_shapes, max_shapes, shapes),
        pools=parse_pools(mem_pool_size) if mem_pool_size else {},
        optimization_level=level,
        timing_iterations=avg_timing,
        dla_core=use_dla_core,
        gpu_fallback=allow_gpu_fallback,
        version_compatible=version_compatible,
        exclude_lean_runtime=exclude_lean_runtime,
        hardware_compatibility=hardware,
        strip_weights=strip_weights,
        refit=refit or strip_weights,
        sparsity=sparsity == "enable",
        verbosity=verbosity,
        architectures=tuple(compute_capabilities.split(",")) if compute_capabilities else (),
    )
    choices = {
        "graph": use_cuda_graph,
        "spin": use_spin_wait,
        "transfers": None if no_data_transfers is None else not no_data_transfers,
    }
    timing = replace(
        TimingOptions.of(tensorrt),
        warm_up=warm_up,
        duration=duration,
        iterations=iterations,
        **{name: choice for name, choice in choices.items() if choice is not None},
    )
    percentiles = _percentiles(percentile)
    files = {"--exportTimes": times_to, "--exportProfile": profile_to, "--exportLayerInfo": layers_to}
    why_not = "--skipInference" if skip_inference else ""
    if options.architectures:
        why_not = f"built for {', '.join(options.architectures)}, not for a GPU of this machine"
    if why_not:
        _refuse_files(files | {"--dumpProfile": dump_profile or None}, why_not)
    found = None if options.architectures else _gpu(tensorrt, cuda, device)
    report: dict[str, Any] = {
        "tensorrt": str(tensorrt),
        "device": asdict(found.device()) if found else None,
        "options": options.model_dump(mode="json"),
    }
    with contextlib.closing(Log(tensorrt, log_file)) as log:
        weights = refit_from
        if model is not None:
            require_onnx("build")
            request = _calibration(
                tensorrt, model, options, found, calib, calibration_set, calibration_data, calibration_algorithm
            )
            path, made = _make(tensorrt, model, options, found, save_engine, timing_cache, request, log)
            report |= made
            weights = model
        elif load_engine is not None and found is not None:
            path = load_engine
            options = check_plan(path, tensorrt, found.device()).options
            report |= {"engine": str(path), "bytes": path.stat().st_size, "options": options.model_dump(mode="json")}
        else:
            raise UsageError("a finished engine is not built for other GPUs", "leave --computeCapabilities out")
    if why_not or found is None:
        notes.print(f"nothing was timed: {why_not}", soft_wrap=True, markup=False)
    else:
        wanted = parse_shapes(shapes, "--shapes") if shapes else {}
        report |= _time(
            tensorrt, found, path, options, weights, timing, wanted, percentiles, files, profiled=dump_profile
        )
    if json:
        print_json(report)
    else:
        show_report(report, layers=dump_profile)


def _gpu(tensorrt: TensorRT, package: Package | None, index: int) -> Cuda:
    try:
        return find_cuda(package, index)
    except CapabilityError as error:
        if not tensorrt.is_rtx:
            raise
        hint = f"{error.hint}; to build for another: --computeCapabilities SM89"
        raise CapabilityError(error.message, hint) from None


def _precision(*, fp16: bool, int8: bool, best: bool) -> str:
    if best or (fp16 and int8):
        return "best"
    return "fp16" if fp16 else "int8" if int8 else "typed"


_Checked = TypeVar("_Checked", bound=BaseModel)


def _checked(kind: type[_Checked], **values: Any) -> _Checked:
    try:
        return kind(**values)
    except ValidationError as error:
        raise UsageError(error.errors()[0]["msg"].removeprefix("Value error, "), "see --help") from None


def _profile(least: str | None, best: str | None, largest: str | None, timed: str | None) -> Profile | None:
    """trtexec's rule: what is not given is as the others are; --shapes alone gives all three."""
    given = {"--minShapes": least, "--optShapes": best, "--maxShapes": largest}
    read: dict[str, dict[str, Shape]] = {name: parse_shapes(text, name) for name, text in given.items() if text}
    if timed and not read:
        read["--optShapes"] = parse_shapes(timed, "--shapes")
    if not read:
        return None
    middle = read.get("--optShapes") or read.get("--maxShapes") or read["--minShapes"]
    return _checked(
        Profile, least=read.get("--minShapes", middle), best=middle, largest=read.get("--maxShapes", middle)
    )


def _percentiles(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (-1.0,)
    if any(not 0 <= value <= 100 for value in values):
        raise UsageError(f"--percentile cannot be {text!r}", "write numbers within 0 and 100: --percentile 90,95,99")
    return values


def _refuse_files(wanted: dict[str, Any], why: str) -> None:
    """What only a run can give is not asked for where there is none."""
    asked = [name for name, target in wanted.items() if target is not None]
    if asked:
        raise UsageError(f"{asked[0]} needs a run, and there is none: {why}", f"leave {asked[0]} out")


def _calibration(
    tensorrt: TensorRT,
    model: Path,
    options: BuildOptions,
    cuda: Cuda | None,
    cache: Path | None,
    name: str,
    data: Path | None,
    algorithm: Literal["entropy", "min-max"],
) -> CalibrationRequest | None:
    """Implicit INT8, where flags ask for it and the file has no ranges of its own."""
    from edge_harmony.backends.tensorrt.engines import CalibrationRequest, is_quantized

    if options.precision not in ("int8", "best") or not tensorrt.weak or is_quantized(model):
        if cache is not None:
            raise UsageError("--calib is for implicit INT8", "pass --int8, and a file without Q/DQ pairs")
        return None
    if cuda is None:
        raise CapabilityError("calibration runs on the GPU that is built for", "leave --computeCapabilities out")
    pictures = read_calibration_set(name)
    root = pictures.root(data)
    pictures.verify(root)
    return CalibrationRequest(pictures, root, algorithm, cache, cuda)


def _make(
    tensorrt: TensorRT,
    model: Path,
    options: BuildOptions,
    cuda: Cuda | None,
    save: Path | None,
    timing_cache: Path | None,
    calibration: CalibrationRequest | None,
    log: Log,
) -> tuple[Path, dict[str, Any]]:
    from edge_harmony.backends.tensorrt.engines import build_engine

    with share_bar(f"building {model.name}") as show:
        made = build_engine(
            model,
            options,
            save=save,
            tensorrt=tensorrt,
            device=cuda.device() if cuda else None,
            timing_cache=timing_cache,
            calibration=calibration,
            log=log,
            report=show,
        )
    return made.path, {
        "engine": str(made.path),
        "manifest": str(manifest_path(made.path)),
        "bytes": made.path.stat().st_size,
        "cached": made.built is None,
        "seconds": made.built.seconds if made.built else None,
        "strongly_typed": made.built.strong if made.built else None,
        "notes": list(made.notes),
        "warnings": list(made.built.warnings) if made.built else [],
    }


def _time(
    tensorrt: TensorRT,
    cuda: Cuda,
    path: Path,
    options: BuildOptions,
    weights: Path | None,
    timing: TimingOptions,
    shapes: dict[str, Shape],
    percentiles: tuple[float, ...],
    files: dict[str, Path | None],
    *,
    profiled: bool,
) -> dict[str, Any]:
    """Run the engine and write what was asked for."""
    with contextlib.closing(Engine(tensorrt, cuda, path, options, weights)) as engine:
        timed = time_engine(
            engine,
            timing,
            shapes,
            profiled=timing.iterations if profiled or files["--exportProfile"] else 0,
            inspected=files["--exportLayerInfo"] is not None,
        )
    if target := files["--exportTimes"]:
        export_times(timed.samples, target)
    if (target := files["--exportProfile"]) and timed.layers:
        write_rows(target, timed.layers.rows())
    if (target := files["--exportLayerInfo"]) and timed.information:
        write_rows(target, timed.information)
    return {
        "timing_options": asdict(timing),
        "timing": summarize(timed.samples, timed.batch, percentiles),
        "timing_warnings": warnings_of(timed.samples),
        "device_memory": timed.memory,
        "layers": timed.layers.rows() if timed.layers else None,
    }


def _compare(profiles: tuple[Path, Path], information: tuple[Path, Path] | None, *, as_json: bool) -> None:
    first, second = (
        read_profile(path, information[side] if information else None) for side, path in enumerate(profiles)
    )
    differences = diff(first, second)
    if as_json:
        print_json([asdict(difference) | {"change": difference.change} for difference in differences])
    else:
        show_difference(differences, (profiles[0].name, profiles[1].name))
