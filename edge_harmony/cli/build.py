"""``edge-harmony build``: ONNX files to TensorRT engines, and their timing, with trtexec's flags and output."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from edge_harmony.backends.tensorrt.bridge import Distribution
from edge_harmony.backends.tensorrt.engines import BuildReport, build_engine
from edge_harmony.backends.tensorrt.notation import (
    parse_inputs,
    parse_pairs,
    parse_pools,
    parse_shapes,
    parse_tactics,
)
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile, Shape
from edge_harmony.backends.tensorrt.plan import plan_version
from edge_harmony.backends.tensorrt.profiling import diff, read_profile
from edge_harmony.backends.tensorrt.request import BuildRequest, CalibrationChoice, TimingRequest
from edge_harmony.cli import build_flags as flags
from edge_harmony.cli.build_tables import show_difference, show_report
from edge_harmony.cli.console import JsonOption, notes, out, print_json, share_bar
from edge_harmony.errors import UsageError
from edge_harmony.files.manifest import manifest_path


def build(  # one parameter per flag of trtexec
    model: flags.ModelArgument = None,
    onnx: flags.OnnxOption = None,
    save_engine: flags.SaveEngineOption = None,
    load_engine: flags.LoadEngineOption = None,
    fp16: flags.Fp16Option = False,
    int8: flags.Int8Option = False,
    best: flags.BestOption = False,
    bf16: flags.Bf16Option = False,
    fp8: flags.Fp8Option = False,
    strongly_typed: flags.StronglyTypedOption = False,
    precision_constraints: flags.PrecisionConstraintsOption = "none",
    layer_precisions: flags.LayerPrecisionsOption = None,
    layer_output_types: flags.LayerOutputTypesOption = None,
    input_formats: flags.InputFormatsOption = None,
    output_formats: flags.OutputFormatsOption = None,
    direct_io: flags.DirectIOOption = False,
    tf32: flags.Tf32Option = None,
    calib: flags.CalibOption = None,
    calibration_set: flags.CalibrationSetOption = "samples-24",
    calibration_data: flags.CalibrationDataOption = None,
    calibration_algorithm: flags.CalibrationAlgorithmOption = "entropy",
    mem_pool_size: flags.MemPoolSizeOption = None,
    timing_cache: flags.TimingCacheOption = None,
    level: flags.LevelOption = None,
    avg_timing: flags.AvgTimingOption = None,
    max_aux_streams: flags.MaxAuxStreamsOption = None,
    tactic_sources: flags.TacticSourcesOption = None,
    no_builder_cache: flags.NoBuilderCacheOption = False,
    use_dla_core: flags.UseDlaCoreOption = None,
    allow_gpu_fallback: flags.AllowGpuFallbackOption = False,
    version_compatible: flags.VersionCompatibleOption = False,
    exclude_lean_runtime: flags.ExcludeLeanRuntimeOption = False,
    hardware: flags.HardwareOption = "none",
    strip_weights: flags.StripWeightsOption = False,
    strip_all_weights: flags.StripAllWeightsOption = False,
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
    avg_runs: flags.AvgRunsOption = None,
    inf_streams: flags.InfStreamsOption = 1,
    threads: flags.ThreadPerContextOption = False,
    expose_dma: flags.ExposeDMAOption = False,
    idle_time: flags.IdleTimeOption = 0,
    load_inputs: flags.LoadInputsOption = None,
    dump_output: flags.DumpOutputOption = False,
    dump_layer_info: flags.DumpLayerInfoOption = False,
    dump_profile: flags.DumpProfileOption = False,
    times_to: flags.TimesToOption = None,
    profile_to: flags.ProfileToOption = None,
    layers_to: flags.LayersToOption = None,
    output_to: flags.OutputToOption = None,
    use_runtime: flags.UseRuntimeOption = None,
    lean_library: flags.LeanLibraryOption = None,
    plan_version_only: flags.PlanVersionOption = False,
    log_file: flags.LogFileOption = None,
    compared: flags.ComparedOption = None,
    layer_info: flags.LayerInfoOption = None,
    distribution: flags.DistributionOption = None,
    cuda: flags.CudaOption = None,
    device: flags.GpuOption = 0,
    json: JsonOption = False,
) -> None:
    """Build a TensorRT engine and time it, as trtexec does."""
    if compared is not None:
        _compare(compared, layer_info, as_json=json)
        return
    if plan_version_only:
        if load_engine is None:
            raise UsageError("--getPlanVersionOnly is for a finished engine", "add --loadEngine=FILE")
        _show_version(load_engine, as_json=json)
        return
    if model is not None and onnx is not None:
        raise UsageError("name an ONNX file to build, or --loadEngine a finished one", "one of the two")
    options = _checked(
        BuildOptions,
        precision=_precision(fp16=fp16, int8=int8, best=best),
        strongly_typed=True if strongly_typed else None,
        tf32=tf32,
        profile=_profile(min_shapes, opt_shapes, max_shapes, shapes),
        bf16=bf16,
        fp8=fp8,
        precision_constraints=precision_constraints,
        layer_precisions=parse_pairs(layer_precisions, "--layerPrecisions", "NAME:fp16") if layer_precisions else {},
        layer_output_types=_output_types(layer_output_types) if layer_output_types else {},
        input_formats=tuple(input_formats.split(",")) if input_formats else (),
        output_formats=tuple(output_formats.split(",")) if output_formats else (),
        direct_io=direct_io,
        auxiliary_streams=max_aux_streams,
        tactic_sources=parse_tactics(tactic_sources) if tactic_sources else {},
        builder_cache=not no_builder_cache,
        pools=parse_pools(mem_pool_size) if mem_pool_size else {},
        optimization_level=level,
        timing_iterations=avg_timing,
        dla_core=use_dla_core,
        gpu_fallback=allow_gpu_fallback,
        version_compatible=version_compatible,
        exclude_lean_runtime=exclude_lean_runtime,
        hardware_compatibility=hardware,
        strip_weights=strip_weights or strip_all_weights,
        refit=refit or strip_all_weights,
        sparsity=sparsity == "enable",
        verbosity=verbosity,
        architectures=tuple(compute_capabilities.split(",")) if compute_capabilities else (),
    )
    timing = TimingRequest(
        warm_up=warm_up,
        duration=duration,
        iterations=iterations,
        graph=use_cuda_graph,
        spin=use_spin_wait,
        transfers=None if no_data_transfers is None else not no_data_transfers,
        shapes=parse_shapes(shapes, "--shapes") if shapes else None,
        percentiles=_percentiles(percentile),
        profile=dump_profile,
        times_to=times_to,
        profile_to=profile_to,
        layers_to=layers_to,
        streams=inf_streams,
        threads=threads,
        overlap=not expose_dma,
        idle=idle_time,
        inputs=parse_inputs(load_inputs) if load_inputs else None,
        average=avg_runs,
        layers=dump_layer_info,
        outputs=dump_output,
        outputs_to=output_to,
    )
    if skip_inference:
        timing.refuse_files("--skipInference")
    request = BuildRequest(
        model or onnx,
        load=load_engine,
        options=options,
        save=save_engine,
        weights=refit_from,
        lean_library=lean_library,
        timing_cache=timing_cache,
        calibration=CalibrationChoice(calibration_set, calibration_data, calibration_algorithm, calib),
        timing=None if skip_inference else timing,
        distribution=_distribution(distribution, use_runtime),
        cuda=cuda,
        device=device,
        log_file=log_file,
    )
    with share_bar(f"building {request.onnx.name}") if isinstance(request.onnx, Path) else nullcontext() as show:
        done = build_engine(request, report=show)
    if done.timing is None:
        why = "--skipInference" if skip_inference else request.untimed
        notes.print(f"nothing was timed: {why}", soft_wrap=True, markup=False)
    report = _report(done, is_built=request.onnx is not None, average=avg_runs)
    if json:
        print_json(report)
    else:
        show_report(report, layers=dump_profile)


def _report(done: BuildReport, *, is_built: bool, average: int | None) -> dict[str, Any]:
    """The object that ``--json`` prints."""
    engine, built = done.engine, done.engine.built
    report: dict[str, Any] = {
        "tensorrt": done.tensorrt,
        "device": asdict(done.device) if done.device else None,
        "options": engine.facts.options.model_dump(mode="json"),
        "engine": str(engine.path),
        **({"manifest": str(manifest_path(engine.path))} if is_built else {}),
        "bytes": engine.path.stat().st_size,
    }
    if is_built:
        report |= {
            "cached": built is None,
            "seconds": built.seconds if built else None,
            "strongly_typed": built.strong if built else None,
            "notes": list(engine.notes),
            "warnings": list(built.warnings) if built else [],
        }
    if timing := done.timing:
        report |= {
            "timing_options": asdict(timing.options),
            "timing": timing.figures,
            "timing_warnings": timing.warnings,
            "device_memory": timing.memory,
            "layers": timing.layers,
            "average": average,
            "averages": timing.averages,
            "layer_information": timing.description,
            "outputs": {name: array.tolist() for name, array in timing.outputs.items()},
        }
    return report


def _show_version(engine: Path, *, as_json: bool) -> None:
    builder, version = plan_version(engine)
    if as_json:
        print_json({"engine": str(engine), "distribution": builder, "version": version})
    else:
        out.print(f"{engine} was built by {builder} {version}", soft_wrap=True, markup=False, highlight=False)


def _distribution(named: Distribution | None, runtime: str | None) -> Distribution | None:
    chosen: Distribution | None = {"full": "tensorrt", "lean": "tensorrt-lean"}.get(runtime or "")  # type: ignore[assignment]
    if named and chosen and named != chosen:
        raise UsageError(f"--useRuntime={runtime} contradicts --distribution {named}", "leave one of them out")
    return chosen or named


def _output_types(text: str) -> dict[str, list[str]]:
    pairs = parse_pairs(text, "--layerOutputTypes", "NAME:fp16,NAME:fp32+int32")
    return {name: kinds.split("+") for name, kinds in pairs.items()}


def _precision(*, fp16: bool, int8: bool, best: bool) -> str:
    if best or (fp16 and int8):
        return "best"
    return "fp16" if fp16 else "int8" if int8 else "typed"


_Checked = TypeVar("_Checked", bound=BaseModel)


def _checked(kind: type[_Checked], **values: Any) -> _Checked:
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}: {message}" if where else message, "see --help") from None


def _profile(least: str | None, best: str | None, largest: str | None, timed: str | None) -> Profile | None:
    """Fill missing shapes as trtexec does: from the given ones; --shapes alone sets all three."""
    given = {"--minShapes": least, "--optShapes": best, "--maxShapes": largest}
    read: dict[str, dict[str, Shape]] = {name: parse_shapes(text, name) for name, text in given.items() if text}
    if timed and not read:
        read["--optShapes"] = parse_shapes(timed, "--shapes")
    if not read:
        return None
    for name, shapes in read.items():
        read[name] = {tensor: shape for tensor, shape in shapes.items() if shape}  # scalars have no sizes to choose
    middle = read.get("--optShapes") or read.get("--maxShapes") or read["--minShapes"]
    return _checked(
        Profile, least=read.get("--minShapes", middle), best=middle, largest=read.get("--maxShapes", middle)
    )


def _percentiles(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--percentile cannot be {text!r}", "write numbers: --percentile 90,95,99") from None


def _compare(profiles: tuple[Path, Path], information: tuple[Path, Path] | None, *, as_json: bool) -> None:
    first, second = (
        read_profile(path, information[side] if information else None) for side, path in enumerate(profiles)
    )
    differences = diff(first, second)
    if as_json:
        print_json([asdict(difference) | {"change": difference.change} for difference in differences])
    else:
        show_difference(differences, (profiles[0].name, profiles[1].name))
