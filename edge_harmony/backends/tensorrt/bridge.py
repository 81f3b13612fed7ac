"""TensorRT as it is installed here: which distribution, which version, and what that version has.

From 8.6 (JetPack 6.0) to 11 the Python bindings gained and lost names. All of the module's are asked for through
:meth:`TensorRT.get` and its like; those that not every version has stand in :data:`VERSIONS`. A test holds both, and
what is called on TensorRT's objects, against the real binding surfaces.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from edge_harmony.errors import CapabilityError, first_line
from edge_harmony.extras import install_hint, is_installed

Distribution = Literal["tensorrt", "tensorrt-rtx", "tensorrt-lean"]
Version = tuple[int, ...]

MODULES: dict[Distribution, str] = {
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt_rtx",
    "tensorrt-lean": "tensorrt_lean",
}
INSTALL: dict[Distribution, str] = {
    "tensorrt": f"{install_hint('tensorrt')}, or JetPack's own package on a Jetson",
    "tensorrt-rtx": install_hint("tensorrt_rtx"),
    "tensorrt-lean": install_hint("tensorrt_lean"),
}
OLDEST: Version = (8, 6)


@dataclass(frozen=True)
class Span:
    """The versions that have a name.

    Attributes:
        since: the first one of TensorRT; None if only TensorRT for RTX has it.
        until: the first one that no longer has it; None if all newer ones do.
        rtx: whether TensorRT for RTX has it.
    """

    since: Version | None
    until: Version | None = None
    rtx: bool = False

    def __str__(self) -> str:
        """Such as ``TensorRT 8.6 to 10``; for errors."""
        if self.since is None:
            return "TensorRT for RTX"
        first = ".".join(map(str, self.since))
        last = f" to {self.until[0] - 1}" if self.until else " or newer"
        return f"TensorRT {first}{last}" + (" and TensorRT for RTX" if self.rtx else "")


_WEAK = Span(OLDEST, (11,))
_SINCE_10 = Span((10, 0), None, rtx=True)
_RTX = Span(None, None, rtx=True)

VERSIONS: dict[str, Span] = {
    "BuilderFlag.BF16": Span((10, 0), (11,)),
    "BuilderFlag.FP16": _WEAK,
    "BuilderFlag.FP8": _WEAK,
    "BuilderFlag.INT8": _WEAK,
    "BuilderFlag.OBEY_PRECISION_CONSTRAINTS": _WEAK,
    "BuilderFlag.PREFER_PRECISION_CONSTRAINTS": _WEAK,
    "BuilderFlag.STRIP_PLAN": _SINCE_10,
    "ComputeCapability": _RTX,
    "CudaGraphStrategy.WHOLE_GRAPH_CAPTURE": _RTX,
    "DataType.BF16": _SINCE_10,
    "ExecutionContextAllocationStrategy.USER_MANAGED": _SINCE_10,
    "HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY": Span((10, 8), None, rtx=True),
    "IBuilderConfig.int8_calibrator": _WEAK,
    "IBuilderConfig.num_compute_capabilities": _RTX,
    "IBuilderConfig.progress_monitor": _SINCE_10,
    "IBuilderConfig.set_calibration_profile": _WEAK,
    "IBuilderConfig.set_compute_capability": _RTX,
    "ICudaEngine.create_runtime_config": Span((10, 13), None, rtx=True),
    "ICudaEngine.device_memory_size": _WEAK,
    "ICudaEngine.device_memory_size_v2": _SINCE_10,
    "IExecutionContext.set_device_memory": _SINCE_10,
    "IExecutionContext.update_device_memory_size_for_shapes": _SINCE_10,
    "ILayer.precision": _WEAK,
    "ILayer.set_output_type": _WEAK,
    "IInt8EntropyCalibrator2": _WEAK,
    "IInt8MinMaxCalibrator": _WEAK,
    "IProgressMonitor": _SINCE_10,
    "IRuntimeCache.deserialize": _RTX,
    "IRuntimeCache.serialize": _RTX,
    "IRuntimeConfig.create_runtime_cache": _RTX,
    "IRuntimeConfig.cuda_graph_strategy": _RTX,
    "IRuntimeConfig.set_execution_context_allocation_strategy": Span((10, 13), None, rtx=True),
    "IRuntimeConfig.set_runtime_cache": _RTX,
    "MemoryPoolType.TACTIC_SHARED_MEMORY": _SINCE_10,
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": _WEAK,
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": _SINCE_10,
    "OnnxParserRefitter": _SINCE_10,
    "OnnxParserRefitter.refit_from_file": _SINCE_10,
    "ParserError.node_name": _SINCE_10,
    "ParserError.node_operator": _SINCE_10,
    "PreviewFeature.PROFILE_SHARING_0806": _WEAK,
    "PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10": Span((10, 10), None, rtx=True),
    "TacticSource.CUBLAS": _WEAK,
    "TacticSource.CUBLAS_LT": _WEAK,
    "TacticSource.CUDNN": _WEAK,
}
"""Names that not every supported version has."""

_MISSING = object()


@dataclass(frozen=True)
class TensorRT:
    """An imported TensorRT.

    Attributes:
        module: ``tensorrt``, ``tensorrt_rtx`` or ``tensorrt_lean``.
        distribution: TensorRT, TensorRT for RTX, or TensorRT's lean runtime, which loads engines and builds none.
        version: such as ``(10, 3, 0)``, with the build number where the module has it: ``(8, 6, 1, 6)``. An engine
            loads only in the build that wrote it.
    """

    module: Any
    distribution: Distribution
    version: Version

    def __str__(self) -> str:
        """Name and version for people."""
        return f"{self.distribution} {'.'.join(map(str, self.version))}"

    @property
    def is_rtx(self) -> bool:
        """Whether this is TensorRT for RTX."""
        return self.distribution == "tensorrt-rtx"

    @property
    def is_lean(self) -> bool:
        """Whether this is TensorRT's lean runtime."""
        return self.distribution == "tensorrt-lean"

    @property
    def builder(self) -> Distribution:
        """The distribution that builds the engines which this one loads."""
        return "tensorrt" if self.is_lean else self.distribution

    @property
    def weak(self) -> bool:
        """Whether precision may be chosen by flags; otherwise the types of the ONNX file rule."""
        return self.has("BuilderFlag.FP16")

    @property
    def opset_ceiling(self) -> int:
        """The newest ai.onnx opset that its parser documents."""
        return 17 if self.version < (10,) and not self.is_rtx else 20

    def has(self, name: str) -> bool:
        """Whether this version has ``Class.member`` or ``Class``."""
        return self._find(name) is not _MISSING

    def get(self, name: str, wanted_by: str = "") -> Any:
        """``Class.member`` or ``Class`` of the module.

        Args:
            name: ``Class.member`` or ``Class``.
            wanted_by: the option that needs it, for the error.

        Raises:
            CapabilityError: this version lacks it; the hint names those that have it.
        """
        found = self._find(name)
        if found is _MISSING:
            needed = "TensorRT itself" if self.is_lean else VERSIONS[name]
            raise CapabilityError(f"{wanted_by or name} is not in {self}", f"it needs {needed}")
        return found

    def member(self, thing: Any, name: str) -> Any:
        """What ``thing``, of the class in ``name``, has under the member in ``name``; raises as :meth:`get`."""
        self.get(name)
        return getattr(thing, name.rpartition(".")[2])

    def assign(self, thing: Any, name: str, value: Any, wanted_by: str = "") -> None:
        """Set an attribute of ``thing`` that not every version has; raises as :meth:`get`."""
        self.get(name, wanted_by)
        setattr(thing, name.rpartition(".")[2], value)

    def _find(self, name: str) -> Any:
        found: Any = self.module
        for part in name.split("."):
            found = getattr(found, part, _MISSING)
            if found is _MISSING:
                break
        return found


def find_tensorrt(distribution: Distribution | None = None) -> TensorRT:
    """Import TensorRT: the distribution asked for, else TensorRT, else TensorRT for RTX.

    Raises:
        CapabilityError: it is not installed, cannot be imported, or is older than 8.6.
    """
    wanted: tuple[Distribution, ...] = (distribution,) if distribution else ("tensorrt", "tensorrt-rtx")
    for name in wanted:
        if is_installed(MODULES[name]):
            return _imported(name)
    raise CapabilityError(f"{distribution or 'TensorRT'} is not installed", INSTALL[wanted[0]])


def find_runtime(distribution: Distribution | None = None) -> TensorRT:
    """Import what loads engines: as :func:`find_tensorrt`, and TensorRT's lean runtime where TensorRT is not installed.

    Raises:
        CapabilityError: as :func:`find_tensorrt`.
    """
    others: dict[Distribution | None, tuple[Distribution, ...]] = {
        None: ("tensorrt", "tensorrt-rtx", "tensorrt-lean"),
        "tensorrt": ("tensorrt", "tensorrt-lean"),
    }
    for name in others.get(distribution, ()):
        if is_installed(MODULES[name]):
            return _imported(name)
    return find_tensorrt(distribution)


def _imported(name: Distribution) -> TensorRT:
    try:
        module: ModuleType = importlib.import_module(MODULES[name])
    except Exception as error:  # loading the libraries fails in many ways: ImportError, OSError, RuntimeError
        raise CapabilityError(
            f"{name} is installed and cannot be imported ({first_line(error)})", INSTALL[name]
        ) from None
    number = re.match(r"\d+(\.\d+)*", str(module.__version__))
    version = tuple(int(part) for part in number[0].split(".")) if number else ()
    if name != "tensorrt-rtx" and version[:2] < OLDEST:
        raise CapabilityError(f"TensorRT {module.__version__} is too old", "install 8.6 or newer (JetPack 6.0)")
    return TensorRT(module, name, version)
