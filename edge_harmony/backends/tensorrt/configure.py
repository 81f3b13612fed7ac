"""Build options to TensorRT's builder configuration. What this version or machine lacks is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_harmony.backends.tensorrt.islands import keep_islands_in_float
from edge_harmony.backends.tensorrt.layer_types import set_io_formats, set_layer_types
from edge_harmony.backends.tensorrt.network import is_strong, kinds_of
from edge_harmony.backends.tensorrt.options import POOLS, TACTICS
from edge_harmony.errors import CapabilityError, UsageError

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.options import BuildOptions

_HARDWARE = {
    "none": "HardwareCompatibilityLevel.NONE",
    "ampere+": "HardwareCompatibilityLevel.AMPERE_PLUS",
    "sameComputeCapability": "HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY",
}
_VERBOSITY = {
    "layer_names_only": "ProfilingVerbosity.LAYER_NAMES_ONLY",
    "detailed": "ProfilingVerbosity.DETAILED",
    "none": "ProfilingVerbosity.NONE",
}


def configure(
    tensorrt: TensorRT,
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    options: BuildOptions,
) -> None:
    """Apply all options; the builder adds the calibrator, the timing cache and the progress monitor.

    Raises:
        CapabilityError: this version lacks an option, or there is no such DLA core.
    """
    _set_precision(tensorrt, network, config, options)
    set_layer_types(tensorrt, network, config, options)
    set_io_formats(tensorrt, network, options)
    _set_kind_of_engine(tensorrt, config, options)
    _set_effort(tensorrt, config, options)
    if options.dla_core is not None:
        _set_dla(tensorrt, builder, network, config, options)
    if options.architectures:
        _set_architectures(tensorrt, config, options)
    if options.profile is not None:
        _add_profile(tensorrt, builder, config, options)


def set_calibrator(
    tensorrt: TensorRT, builder: trt.Builder, config: trt.IBuilderConfig, options: BuildOptions, calibrator: Any
) -> None:
    """Give the builder a calibrator whose batches hold one picture.

    With open sizes TensorRT takes its batches to be of the optimization profile's best shape and would read beyond
    those of one picture, so calibration has a profile of its own.

    Raises:
        CapabilityError: this version has no calibrators.
    """
    tensorrt.assign(config, "IBuilderConfig.int8_calibrator", calibrator, "calibration while building")
    if options.profile is None:
        return
    profile: trt.IOptimizationProfile = builder.create_optimization_profile()
    for name, shape in options.profile.best.items():
        single = (1, *shape[1:])
        profile.set_shape(name, single, single, single)
    tensorrt.member(config, "IBuilderConfig.set_calibration_profile")(profile)


def _set_precision(
    tensorrt: TensorRT, network: trt.INetworkDefinition, config: trt.IBuilderConfig, options: BuildOptions
) -> None:
    asked = f"--{options.precision}"
    allowed = {"fp16", "int8"} if options.precision == "best" else {options.precision}
    if options.precision == "typed" and not is_strong(tensorrt, options):
        allowed = kinds_of(tensorrt, network)  # without strong types even a typed file needs its flags
        if options.dla_core is not None:
            allowed |= {"fp16"}  # it computes in nothing wider
    if "fp16" in allowed:
        config.set_flag(tensorrt.get("BuilderFlag.FP16", asked))
        if options.dla_core is None or options.gpu_fallback:  # a DLA core alone has no FP32
            keep_islands_in_float(tensorrt, network, config, required=options.precision_constraints != "prefer")
    if "int8" in allowed:
        config.set_flag(tensorrt.get("BuilderFlag.INT8", asked))
    if options.bf16:
        config.set_flag(tensorrt.get("BuilderFlag.BF16", "--bf16"))
    if options.fp8:
        config.set_flag(tensorrt.get("BuilderFlag.FP8", "--fp8"))
    # TF32 has 10 bits of mantissa: in files of fewer bits the float parts are those that must stay exact
    if options.tf32 or (options.tf32 is None and not kinds_of(tensorrt, network)):
        config.set_flag(tensorrt.get("BuilderFlag.TF32"))
    else:
        config.clear_flag(tensorrt.get("BuilderFlag.TF32"))


def _set_kind_of_engine(tensorrt: TensorRT, config: trt.IBuilderConfig, options: BuildOptions) -> None:
    if tensorrt.is_rtx and (options.version_compatible or options.hardware_compatibility != "none"):
        option = "--versionCompatible" if options.version_compatible else "--hardwareCompatibilityLevel"
        raise CapabilityError(
            f"{option} is not for {tensorrt}",
            "leave it out: an engine loads in the version that built it, on the GPUs of --computeCapabilities",
        )
    if options.version_compatible:
        config.set_flag(tensorrt.get("BuilderFlag.VERSION_COMPATIBLE"))
    if options.exclude_lean_runtime:
        config.set_flag(tensorrt.get("BuilderFlag.EXCLUDE_LEAN_RUNTIME"))
    if options.hardware_compatibility != "none":
        level = _HARDWARE[options.hardware_compatibility]
        option = f"--hardwareCompatibilityLevel={options.hardware_compatibility}"
        config.hardware_compatibility_level = tensorrt.get(level, option)
    if options.strip_weights:
        config.set_flag(tensorrt.get("BuilderFlag.STRIP_PLAN", "--stripWeights"))
    if options.refit:
        config.set_flag(tensorrt.get("BuilderFlag.REFIT"))
    if options.direct_io:
        config.set_flag(tensorrt.get("BuilderFlag.DIRECT_IO"))
    if options.sparsity:
        config.set_flag(tensorrt.get("BuilderFlag.SPARSE_WEIGHTS"))
    config.profiling_verbosity = tensorrt.get(_VERBOSITY[options.verbosity])


def _set_effort(tensorrt: TensorRT, config: trt.IBuilderConfig, options: BuildOptions) -> None:
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.timing_iterations is not None:
        config.avg_timing_iterations = options.timing_iterations
    if options.auxiliary_streams is not None:
        config.max_aux_streams = options.auxiliary_streams
    if not options.builder_cache:
        config.set_flag(tensorrt.get("BuilderFlag.DISABLE_TIMING_CACHE"))
    if options.tactic_sources:
        chosen = config.get_tactic_sources()
        for source, on in options.tactic_sources.items():
            bit = 1 << int(tensorrt.get(TACTICS[source], f"--tacticSources={source}"))
            chosen = chosen | bit if on else chosen & ~bit
        config.set_tactic_sources(chosen)
    for pool, size in options.pools.items():
        config.set_memory_pool_limit(tensorrt.get(POOLS[pool], f"--memPoolSize={pool}"), size)


def _set_dla(
    tensorrt: TensorRT,
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    options: BuildOptions,
) -> None:
    """Run on a DLA core.

    https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/dla-runtime-configuration.html
    """
    core = options.dla_core
    if core is None or core >= builder.num_DLA_cores:
        found = builder.num_DLA_cores
        raise CapabilityError(
            f"there is no DLA core {core} here ({found} found)",
            "leave --useDLACore out; Orin NX and AGX have two, which TensorRT uses up to 10.7, and from 11.4.1 on (AGX "
            "Orin only)",
        )
    if tensorrt.weak and "int8" in kinds_of(tensorrt, network):
        raise CapabilityError(
            f"a DLA core takes no Q/DQ pairs in {tensorrt}",
            "export fp16, or fp32 and calibrate with --int8, or leave --useDLACore out",
        )
    config.default_device_type = tensorrt.get("DeviceType.DLA")
    config.DLA_core = core
    if options.gpu_fallback:
        config.set_flag(tensorrt.get("BuilderFlag.GPU_FALLBACK"))
    else:
        config.set_flag(
            tensorrt.get("BuilderFlag.DIRECT_IO")
        )  # nor reformats of inputs and outputs whose formats are set


def _set_architectures(tensorrt: TensorRT, config: trt.IBuilderConfig, options: BuildOptions) -> None:
    known = tensorrt.get("ComputeCapability", "--computeCapabilities")
    names = [name for name in dir(known) if name.startswith("SM")]
    unknown = [name for name in options.architectures if name not in names]
    if unknown:
        raise UsageError(f"{tensorrt} does not build for {unknown[0]}", f"choose from {', '.join(names)}")
    tensorrt.assign(config, "IBuilderConfig.num_compute_capabilities", len(options.architectures))
    choose = tensorrt.member(config, "IBuilderConfig.set_compute_capability")
    for index, name in enumerate(options.architectures):
        choose(getattr(known, name), index)


def _add_profile(tensorrt: TensorRT, builder: trt.Builder, config: trt.IBuilderConfig, options: BuildOptions) -> None:
    shapes = options.profile
    if shapes is None:
        return
    profile: trt.IOptimizationProfile = builder.create_optimization_profile()
    for name in shapes.best:
        profile.set_shape(name, shapes.least[name], shapes.best[name], shapes.largest[name])
    config.add_optimization_profile(profile)
    if tensorrt.version < (10,) and tensorrt.weak:  # from 10 on contexts share a profile unasked
        config.set_preview_feature(tensorrt.get("PreviewFeature.PROFILE_SHARING_0806"), True)
    if tensorrt.has("PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10"):  # scratch memory for the shapes in use
        config.set_preview_feature(tensorrt.get("PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10"), True)
