"""From an ONNX file to a serialized engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_harmony.backends.tensorrt.configure import configure, set_calibrator
from edge_harmony.backends.tensorrt.logger import Log, made, refusal
from edge_harmony.backends.tensorrt.network import check_inputs, creation_flags, is_strong, parse
from edge_harmony.backends.tensorrt.progress import Phases, make_monitor
from edge_harmony.errors import CapabilityError
from edge_harmony.files.atomic import atomic_write

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.options import BuildOptions


@dataclass(frozen=True)
class Built:
    """A serialized engine, and how it was built.

    Attributes:
        plan: its bytes.
        seconds: duration of the build.
        strong: whether the types in the file set the precision.
        warnings: the first of TensorRT's warnings.
        monitored: whether this version reports progress.
    """

    plan: bytes
    seconds: float
    strong: bool
    warnings: tuple[str, ...]
    monitored: bool


def build_plan(
    tensorrt: TensorRT,
    onnx: Path,
    options: BuildOptions,
    *,
    timing_cache: Path | None = None,
    calibrator: Any = None,
    log: Log | None = None,
    report: Callable[[float, str], None] | None = None,
) -> Built:
    """Build the bytes of an engine.

    Args:
        tensorrt: the TensorRT that builds.
        onnx: the file.
        options: how to build.
        timing_cache: file of kernel timings from earlier builds; read if it is there, written afterwards.
        calibrator: of weak mode's implicit INT8, see :mod:`~edge_harmony.backends.tensorrt.calibrator`.
        log: collects TensorRT's messages and what its callbacks raise.
        report: called with the share that is done and the phase, if this version reports progress.

    Raises:
        UsageError: the file is not there, or shapes do not fit its inputs.
        ArtifactError: TensorRT does not take the file, or finds no engine for it.
        CapabilityError: this TensorRT or machine lacks what the options ask for, or memory.
        BaseException: what a callback raised (``report``, the calibrator), Ctrl-C included. TensorRT 10 and newer
            stop at the next step; older ones finish the build first.
    """
    if timing_cache is not None and tensorrt.is_rtx:
        raise CapabilityError(
            f"{tensorrt} keeps no kernel timings",
            "leave --timingCacheFile out: it times kernels when the engine is loaded",
        )
    log = log or Log(tensorrt)
    started = time.monotonic()
    with log.operation() as since:
        builder: trt.Builder = made(tensorrt, "a builder", log, lambda: tensorrt.get("Builder")(log.logger))
        flags = creation_flags(tensorrt, options)
        network: trt.INetworkDefinition = made(tensorrt, "a network", log, lambda: builder.create_network(flags))
        parse(tensorrt, network, onnx, log)
        check_inputs(network, options)
        config: trt.IBuilderConfig = made(tensorrt, "a configuration", log, builder.create_builder_config)
        configure(tensorrt, builder, network, config, options)
        if calibrator is not None:
            set_calibrator(tensorrt, builder, config, options, calibrator)
        cache = _load_timings(config, timing_cache)
        monitor = make_monitor(tensorrt, Phases(report or _tell_nobody), log)
        if monitor is not None:
            tensorrt.assign(config, "IBuilderConfig.progress_monitor", monitor)
        plan: trt.IHostMemory | None = builder.build_serialized_network(network, config)
        if plan is None:
            hint = f"edge-harmony check {onnx} --target tensorrt; --logFile FILE keeps all that it says"
            raise refusal(f"{tensorrt} finds no engine for {onnx}", log, since, hint)
    if timing_cache is not None and cache is not None:
        _save_timings(config, timing_cache)
    return Built(
        bytes(plan),
        time.monotonic() - started,
        is_strong(tensorrt, options),
        tuple(log.warnings),
        monitor is not None,
    )


def _tell_nobody(share: float, phase: str) -> None:
    """The monitor is there without a listener too: through it a build can be stopped."""


def _load_timings(config: trt.IBuilderConfig, path: Path | None) -> Any:
    """The timing cache of an earlier build, or an empty one. One of another version or GPU is left aside."""
    if path is None:
        return None
    for content in (path.read_bytes() if path.is_file() else b"", b""):
        cache: trt.ITimingCache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def _save_timings(config: trt.IBuilderConfig, path: Path) -> None:
    """Write the timings, together with those that another process wrote meanwhile."""
    cache: trt.ITimingCache = config.get_timing_cache()
    if path.is_file():
        other = config.create_timing_cache(path.read_bytes())
        if other is not None:
            cache.combine(other, False)
    atomic_write(path, bytes(cache.serialize()))
