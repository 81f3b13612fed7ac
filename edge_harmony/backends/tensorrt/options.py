"""What an engine is built with."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge_harmony.backends.tensorrt.notation import write_shapes

Shape = tuple[int, ...]
LayerType = Literal["fp32", "fp16", "bf16", "int32", "int8"]
TacticSource = Literal["CUBLAS", "CUBLAS_LT", "CUDNN", "EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"]
Pool = Literal["workspace", "dlaSRAM", "dlaLocalDRAM", "dlaGlobalDRAM", "tacticSharedMem"]
POOLS: dict[Pool, str] = {
    "workspace": "MemoryPoolType.WORKSPACE",
    "dlaSRAM": "MemoryPoolType.DLA_MANAGED_SRAM",
    "dlaLocalDRAM": "MemoryPoolType.DLA_LOCAL_DRAM",
    "dlaGlobalDRAM": "MemoryPoolType.DLA_GLOBAL_DRAM",
    "tacticSharedMem": "MemoryPoolType.TACTIC_SHARED_MEMORY",
}
TACTICS: dict[TacticSource, str] = {
    "CUBLAS": "TacticSource.CUBLAS",
    "CUBLAS_LT": "TacticSource.CUBLAS_LT",
    "CUDNN": "TacticSource.CUDNN",
    "EDGE_MASK_CONVOLUTIONS": "TacticSource.EDGE_MASK_CONVOLUTIONS",
    "JIT_CONVOLUTIONS": "TacticSource.JIT_CONVOLUTIONS",
}


class Profile(BaseModel):
    """Least, best and largest shape of every input with open sizes (an optimization profile)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least: dict[str, Shape]
    best: dict[str, Shape]
    largest: dict[str, Shape]

    @model_validator(mode="after")
    def _check(self) -> Profile:
        if not self.least.keys() == self.best.keys() == self.largest.keys():
            raise ValueError("--minShapes, --optShapes and --maxShapes must name the same inputs")
        for name in self.best:
            shapes = (self.least[name], self.best[name], self.largest[name])
            if len({len(shape) for shape in shapes}) != 1:
                raise ValueError(f"the three shapes of {name} have different ranks")
            if any(not low <= best <= high for low, best, high in zip(*shapes, strict=True)):
                raise ValueError(f"the shapes of {name} must increase from --minShapes to --maxShapes")
        return self


class BuildOptions(BaseModel):
    """How an engine is built; everything here decides the engine, so everything is part of its cache key.

    ``precision`` is what flags allow in weak mode (TensorRT 8.6 to 10): ``typed`` leaves it to the file's types,
    which is all that strong mode knows.

    Attributes:
        precision: what may be used besides FP32, in weak mode.
        bf16: BF16 may be used too, in weak mode.
        fp8: FP8 may be used too, in weak mode.
        precision_constraints: whether ``layer_precisions`` and ``layer_output_types`` are kept to (``obey``), are kept
            to where a kernel is found (``prefer``), or are not looked at; in weak mode.
        layer_precisions: the precision of layers, by name; a name may hold one ``*``. The last match counts.
        layer_output_types: the types of the outputs of layers, by name as in ``layer_precisions``; one for all outputs
            or one for each.
        input_formats: ``type:format`` of each input, or one for all, in trtexec's words: ``fp16:chw``, ``int8:chw32``;
            several formats of a type are joined by ``+``.
        output_formats: as ``input_formats``, of each output.
        direct_io: no reformatting at the network's inputs and outputs.
        strongly_typed: the file's types rule; None: where this TensorRT can.
        tf32: TF32 in FP32 layers; None: unless the file is typed FP16 or INT8.
        profile: smallest, best and largest shapes of the inputs; None: those of the file.
        pools: bytes of memory by the pool's name, as ``workspace``.
        optimization_level: 0 builds fast, 5 runs fast; None: TensorRT's choice.
        timing_iterations: runs for each kernel that is timed; None: TensorRT's choice.
        auxiliary_streams: further streams that may be used, at most; None: TensorRT's choice.
        tactic_sources: libraries of kernels to add (True) or to leave out (False); others stay as TensorRT has them.
        builder_cache: keep timings of kernels within the build.
        dla_core: run on this DLA core.
        gpu_fallback: what DLA cannot do, the GPU does.
        version_compatible: the engine loads in newer TensorRTs too.
        exclude_lean_runtime: leave the lean runtime out of a version-compatible engine.
        hardware_compatibility: which other GPUs it runs on.
        strip_weights: an engine without weights, to be refitted.
        refit: weights can be exchanged.
        sparsity: use 2:4 sparse weights.
        verbosity: what the engine remembers of its layers.
        architectures: SM names of the GPUs to build for, without such a GPU here (TensorRT for RTX only).

    Raises:
        pydantic.ValidationError: options contradict each other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    precision: Literal["typed", "fp16", "int8", "best"] = "typed"
    bf16: bool = False
    fp8: bool = False
    precision_constraints: Literal["none", "obey", "prefer"] = "none"
    layer_precisions: dict[str, LayerType] = {}
    layer_output_types: dict[str, tuple[LayerType, ...]] = {}
    input_formats: tuple[str, ...] = ()
    output_formats: tuple[str, ...] = ()
    direct_io: bool = False
    strongly_typed: bool | None = Field(None, description="None: where this TensorRT can")
    tf32: bool | None = Field(None, description="None: unless the file is typed fp16 or int8")
    profile: Profile | None = None
    pools: dict[Pool, int] = Field({}, description="bytes")
    optimization_level: int | None = Field(None, ge=0, le=5)
    timing_iterations: int | None = Field(None, ge=1)
    auxiliary_streams: int | None = Field(None, ge=0)
    tactic_sources: dict[TacticSource, bool] = {}
    builder_cache: bool = True
    dla_core: int | None = Field(None, ge=0)
    gpu_fallback: bool = False
    version_compatible: bool = False
    exclude_lean_runtime: bool = False
    hardware_compatibility: Literal["none", "ampere+", "sameComputeCapability"] = "none"
    strip_weights: bool = False
    refit: bool = False
    sparsity: bool = False
    verbosity: Literal["layer_names_only", "detailed", "none"] = "layer_names_only"
    architectures: tuple[str, ...] = Field((), description="SM names; TensorRT for RTX only")

    @field_validator("architectures", mode="before")
    @classmethod
    def _spell(cls, names: Any) -> Any:
        """``sm89``, ``89`` and `` SM89`` are SM89."""
        if not isinstance(names, list | tuple):
            return names
        return tuple(re.sub(r"^(SM)?(?=\d)", "SM", str(name).strip().upper()) for name in names)

    @property
    def is_weak(self) -> bool:
        """Whether an option asks for weak mode, in which flags choose precisions."""
        return self.precision != "typed" or self.bf16 or self.fp8 or self.precision_constraints != "none"

    @property
    def weak_flag(self) -> str:
        """The first flag that asks for weak mode, for errors; empty if none does."""
        asked = {
            f"--{self.precision}": self.precision != "typed",
            "--bf16": self.bf16,
            "--fp8": self.fp8,
            "--precisionConstraints": self.precision_constraints != "none",
        }
        return next((flag for flag, on in asked.items() if on), "")

    @model_validator(mode="after")
    def _check(self) -> BuildOptions:
        if self.strongly_typed and self.is_weak:
            raise ValueError(f"{self.weak_flag} contradicts --stronglyTyped, by which the file's types rule")
        if (self.precision_constraints == "none") != (not self.layer_precisions and not self.layer_output_types):
            raise ValueError(
                "--layerPrecisions and --layerOutputTypes go with --precisionConstraints=obey (or prefer), and back"
            )
        if self.gpu_fallback and self.dla_core is None:
            raise ValueError("--allowGPUFallback goes with --useDLACore")
        if self.exclude_lean_runtime and not self.version_compatible:
            raise ValueError("--excludeLeanRuntime goes with --versionCompatible")
        if self.dla_core is not None and self.hardware_compatibility != "none":
            raise ValueError("hardware-compatible engines cannot use a DLA core")
        return self

    def flags(self) -> list[str]:
        """The options as ``edge-harmony build`` takes them."""
        switches = {
            "--stronglyTyped": self.strongly_typed,
            "--tf32": self.tf32 is True,
            "--noTF32": self.tf32 is False,
            "--allowGPUFallback": self.gpu_fallback,
            "--versionCompatible": self.version_compatible,
            "--excludeLeanRuntime": self.exclude_lean_runtime,
            "--bf16": self.bf16,
            "--fp8": self.fp8,
            "--directIO": self.direct_io,
            "--noBuilderCache": not self.builder_cache,
            "--stripWeights": self.strip_weights,
            "--refit": self.refit,
        }
        values: dict[str, str | int | None] = {
            "--memPoolSize": ",".join(f"{pool}:{size}B" for pool, size in self.pools.items()),
            "--precisionConstraints": _unless(self.precision_constraints, "none"),
            "--layerPrecisions": ",".join(f"{name}:{kind}" for name, kind in self.layer_precisions.items()),
            "--layerOutputTypes": ",".join(f"{name}:{'+'.join(k)}" for name, k in self.layer_output_types.items()),
            "--inputIOFormats": ",".join(self.input_formats),
            "--outputIOFormats": ",".join(self.output_formats),
            "--maxAuxStreams": self.auxiliary_streams,
            "--tacticSources": ",".join(f"{'+' if on else '-'}{name}" for name, on in self.tactic_sources.items()),
            "--builderOptimizationLevel": self.optimization_level,
            "--avgTiming": self.timing_iterations,
            "--useDLACore": self.dla_core,
            "--hardwareCompatibilityLevel": _unless(self.hardware_compatibility, "none"),
            "--sparsity": "enable" if self.sparsity else None,
            "--profilingVerbosity": _unless(self.verbosity, "layer_names_only"),
            "--computeCapabilities": ",".join(self.architectures),
        }
        if self.profile is not None:
            shapes = {"min": self.profile.least, "opt": self.profile.best, "max": self.profile.largest}
            values |= {f"--{name}Shapes": write_shapes(each) for name, each in shapes.items()}
        said = [f"--{self.precision}"] if self.precision != "typed" else []
        said += [switch for switch, on in switches.items() if on]
        return said + [f"{name}={value}" for name, value in values.items() if value not in ("", None)]


def _unless(value: str, default: str) -> str | None:
    return None if value == default else value
