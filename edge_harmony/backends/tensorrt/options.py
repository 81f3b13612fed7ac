"""What an engine is built with, and the notation that trtexec users know for it."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_harmony.errors import UsageError

Shape = tuple[int, ...]
Pool = Literal["workspace", "dlaSRAM", "dlaLocalDRAM", "dlaGlobalDRAM", "tacticSharedMem"]
POOLS: dict[Pool, str] = {
    "workspace": "MemoryPoolType.WORKSPACE",
    "dlaSRAM": "MemoryPoolType.DLA_MANAGED_SRAM",
    "dlaLocalDRAM": "MemoryPoolType.DLA_LOCAL_DRAM",
    "dlaGlobalDRAM": "MemoryPoolType.DLA_GLOBAL_DRAM",
    "tacticSharedMem": "MemoryPoolType.TACTIC_SHARED_MEMORY",
}
_UNITS = {"": 1 << 20, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


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
        strongly_typed: the file's types rule; None: where this TensorRT can.
        tf32: TF32 in FP32 layers; None: unless the file is typed FP16 or INT8.
        profile: smallest, best and largest shapes of the inputs; None: those of the file.
        pools: bytes of memory by the pool's name, as ``workspace``.
        optimization_level: 0 builds fast, 5 runs fast; None: TensorRT's choice.
        timing_iterations: runs for each kernel that is timed; None: TensorRT's choice.
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
    strongly_typed: bool | None = Field(None, description="None: where this TensorRT can")
    tf32: bool | None = Field(None, description="None: unless the file is typed fp16 or int8")
    profile: Profile | None = None
    pools: dict[Pool, int] = Field({}, description="bytes")
    optimization_level: int | None = Field(None, ge=0, le=5)
    timing_iterations: int | None = Field(None, ge=1)
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

    @model_validator(mode="after")
    def _check(self) -> BuildOptions:
        if self.strongly_typed and self.precision != "typed":
            raise ValueError(f"--{self.precision} contradicts --stronglyTyped, by which the file's types rule")
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
            "--stripWeights": self.strip_weights,
            "--refit": self.refit,
        }
        values: dict[str, str | int | None] = {
            "--memPoolSize": ",".join(f"{pool}:{size}B" for pool, size in self.pools.items()),
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
            values |= {f"--{name}Shapes": _write_shapes(each) for name, each in shapes.items()}
        said = [f"--{self.precision}"] if self.precision != "typed" else []
        said += [switch for switch, on in switches.items() if on]
        return said + [f"{name}={value}" for name, value in values.items() if value not in ("", None)]


def parse_shapes(text: str, option: str) -> dict[str, Shape]:
    """``composite:1x3x256x256,mask:1x1x256x256`` as trtexec writes it.

    Raises:
        UsageError: it is not of this form.
    """
    shapes: dict[str, Shape] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*'?(.+?)'?:(\d+(?:x\d+)*)\s*", part)
        if found is None:
            raise UsageError(f"{option} cannot be read at {part!r}", "write name:1x3x256x256,name:1x1x256x256")
        shape = tuple(int(size) for size in found[2].split("x"))
        if found[1] in shapes or 0 in shape:
            problem = "twice" if found[1] in shapes else "with a size of 0"
            raise UsageError(f"{option} names {found[1]} {problem}", "write every input once, sizes from 1")
        shapes[found[1]] = shape
    return shapes


def _unless(value: str, default: str) -> str | None:
    return None if value == default else value


def _write_shapes(shapes: dict[str, Shape]) -> str:
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())


def parse_pools(text: str) -> dict[Pool, int]:
    """``workspace:1024,dlaSRAM:0.5`` in MiB, or with a unit: ``workspace:1G``.

    Raises:
        UsageError: an unknown pool, or no size.
    """
    pools: dict[Pool, int] = {}
    for part in text.split(","):
        name, _, size = part.strip().partition(":")
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([BKMG]?)", size)
        if name not in POOLS or found is None:
            raise UsageError(f"--memPoolSize cannot be read at {part!r}", f"write POOL:MiB, with {', '.join(POOLS)}")
        pools[name] = int(float(found[1]) * _UNITS[found[2]])  # type: ignore[index]
    return pools
