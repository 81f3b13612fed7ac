"""A one-minute test on a device: build, load, run, compare, time; with a report for people who have no such device."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from edge_harmony.backends.base import DEFAULT_BACKEND, REFERENCE_BACKEND, Backend, ExportRequest, LoadRequest, Runner
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.backends.targets import Target
from edge_harmony.errors import AccuracyError, CapabilityError, CostError, EdgeHarmonyError, ExitCode
from edge_harmony.files.atomic import size_of
from edge_harmony.machine.doctor import examine
from edge_harmony.models.registry import bundled_weights, find_model
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.quality.parity import compare
from edge_harmony.samples import sample_pictures

LEAST_PARITY = 35.0
"""Least agreement with the reference in dB of the foreground, if no target sets one; 8-bit results differ by a level or
two."""

_QUERIES = 50
_WARM_UP = 5


def run_selftest(
    backend_name: str,
    model: str,
    precision: str,
    folder: Path,
    *,
    onnx: Path | None = None,
    target: Target | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Build a network for a backend, run it on the shipped pictures, compare and time it.

    Args:
        backend_name: the backend.
        model: network with shipped weights.
        precision: ``fp32``, ``fp16`` or ``int8``.
        folder: folder for the built files.
        onnx: an exported file to build from, for devices without torch; then the reference is ONNX Runtime on that
            file, otherwise PyTorch (fake-quantized for ``int8``, float for a target).
        target: a target; its options are used to build, and its limits of accuracy and latency must be kept.
        tell: called with a line per step.

    Returns:
        ``passed``, ``exit_code``; ``steps``, each with ``name``, ``ok``, ``seconds`` and its findings or its error;
        ``backend``, ``model``, ``precision``; ``machine`` and ``capabilities`` as ``doctor`` reports them.
    """
    find_model(model)
    steps: list[dict[str, Any]] = []
    status = ExitCode.OK
    with ExitStack() as held:
        try:
            backend = get_backend(backend_name)
            _step(steps, tell, "probe", lambda: _probe(backend))
            source = onnx or bundled_weights(model)
            wanted = target.request(model) if target else ExportRequest(model, precision)
            built = _step(steps, tell, "build", lambda: _build(backend, wanted, source, folder))
            request = LoadRequest(model, precision, artifact=Path(built["artifact"]))
            runner = _step(steps, tell, "load", lambda: {"runner": backend.load(request)})["runner"]
            held.callback(runner.close)
            reference = _reference(source, onnx, model, "fp32" if target else precision)
            held.callback(reference.close)
            _step(steps, tell, "parity", lambda: _parity(runner, reference, target))
            _step(steps, tell, "timing", lambda: _time(runner, target))
        except EdgeHarmonyError as error:
            status = error.exit_code
            if not steps or steps[-1]["ok"]:
                steps.append({"name": "reference", "ok": False, "error": str(error)})
    for step in steps:
        step.pop("runner", None)
    facts = examine()
    return {
        "passed": status is ExitCode.OK,
        "exit_code": int(status),
        "backend": backend_name,
        "model": model,
        "precision": precision,
        "steps": steps,
        **{key: facts[key] for key in ("version", "machine", "capabilities")},
    }


def _step(
    steps: list[dict[str, Any]], tell: Callable[[str], None], name: str, work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    started = time.monotonic()
    try:
        found, failure = work(), None
    except EdgeHarmonyError as error:
        found, failure = {"error": str(error)}, error
    seconds = round(time.monotonic() - started, 3)
    steps.append({"name": name, "ok": failure is None, "seconds": seconds, **found})
    tell(f"{name}: {'ok' if failure is None else 'failed'} ({seconds:.1f} s)")
    if failure is not None:
        raise failure
    return found


def _probe(backend: Backend) -> dict[str, Any]:
    probe = backend.probe()
    if not probe.available:
        raise CapabilityError(f"{backend.name} does not run here: {probe.detail}", probe.fix)
    return {"detail": probe.detail}


def _build(backend: Backend, request: ExportRequest, source: Path, folder: Path) -> dict[str, Any]:
    path = backend.build(request, source, folder)
    if left := backend.remaining(request, path):
        raise CapabilityError(f"cannot {left.does} here: {left.missing}", "see edge-harmony doctor")
    return {"artifact": str(path), "bytes": size_of(path)}


def _reference(source: Path, onnx: Path | None, model: str, precision: str) -> Runner:
    if onnx is not None:
        return load_runner(model, backend=DEFAULT_BACKEND, precision=precision, artifact=onnx)
    same = "int8" if precision == "int8" else "fp32"
    return load_runner(model, backend=REFERENCE_BACKEND, precision=same, weights=source)


def _parity(runner: Runner, reference: Runner, target: Target | None) -> dict[str, Any]:
    result = compare(runner, reference, sample_pictures())
    least = target.accuracy.min_psnr if target else LEAST_PARITY
    if result["psnr"] is None or result["psnr"] < least:
        raise AccuracyError(
            f"the results agree with the reference by only {result['psnr']:.1f} dB, less than {least:g} dB",
            "send us this report",
        )
    return {key: round(result[key], 2) for key in ("images", "psnr", "psnr_min", "max_level_difference")}


def _time(runner: Runner, target: Target | None) -> dict[str, Any]:
    _, picture, mask = next(iter(sample_pictures()))
    spec = runner.io_spec
    planes, small_mask = to_working_size(picture, mask, (spec.height, spec.width))
    samples = []
    for _ in range(_WARM_UP + _QUERIES):
        started = time.perf_counter()
        runner.infer(planes, small_mask)
        runner.synchronize()
        samples.append(1e3 * (time.perf_counter() - started))
    kept = samples[_WARM_UP:]
    p90 = float(np.percentile(kept, 90))
    if target and p90 > target.latency.max_p90_ms:
        raise CostError(
            f"a picture takes {p90:.1f} ms (90th percentile), more than {target.latency.max_p90_ms:g} ms",
            "choose a smaller network or precision, or set the device to its full clocks",
        )
    return {
        "queries": _QUERIES,
        "median_ms": round(float(np.median(kept)), 3),
        "p90_ms": round(p90, 3),
    }
