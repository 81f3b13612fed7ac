"""A one-minute test on a device: build, load, run, compare, time; with a report for people who have no such device.

Several runtimes are timed in turns, so that one run sets them side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import DEFAULT_BACKEND, REFERENCE_BACKEND, Backend, ExportRequest, LoadRequest, Runner
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.backends.targets import Target
from edge_harmony.errors import AccuracyError, CapabilityError, CostError, EdgeHarmonyError, ExitCode, UsageError
from edge_harmony.extras import is_installed
from edge_harmony.files.atomic import sha256_of, size_of
from edge_harmony.files.manifest import Manifest
from edge_harmony.machine.doctor import examine
from edge_harmony.models.registry import bundled_weights, find_model
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.quality.answers import recorded_answers
from edge_harmony.quality.parity import compare
from edge_harmony.samples import sample_pictures

LEAST_PARITY = 35.0
"""Least agreement with the reference in dB of the foreground, if no target sets one; 8-bit results differ by a level or
two."""

_QUERIES = 50
_WARM_UP = 5


@dataclass(frozen=True)
class Candidate:
    """What is tested: a network in a backend.

    Attributes:
        backend: its name.
        model: network with shipped weights.
        precision: ``fp32``, ``fp16`` or ``int8``.
        target: a target; its options are used to build, and its limits of accuracy and latency must be kept.
        onnx: an exported file to build from, for devices without torch.
        artifact: a finished file, which is run as it is.
        manifest: of the finished file, verified.
    """

    backend: str
    model: str
    precision: str
    target: Target | None = None
    onnx: Path | None = None
    artifact: Path | None = None
    manifest: Manifest | None = None

    @classmethod
    def of_artifact(cls, path: Path) -> Candidate:
        """A finished file, in the backend that it was made for.

        Raises:
            UsageError: there is no such file.
            ArtifactError: its manifest is missing, damaged, or of another file.
        """
        request = LoadRequest("", "", artifact=path).resolved()
        named = str(request.backend), request.model, request.precision
        return cls(*named, artifact=path, manifest=request.manifest)

    @property
    def is_held_to_float(self) -> bool:
        """Whether the reference is the float network, and not the fake-quantized one, which needs torch."""
        return self.target is not None or self.artifact is not None or not is_installed("torch")


@dataclass
class _Test:
    """A candidate on its way: the steps that are done, what is loaded, the exit status."""

    candidate: Candidate
    tell: Callable[[str], None]
    steps: list[dict[str, Any]] = field(default_factory=list)
    runner: Runner | None = None
    status: ExitCode = ExitCode.OK

    def step(self, name: str, work: Callable[[], dict[str, Any]]) -> None:
        """Do a step, unless an earlier one failed, and note its findings or its error."""
        if self.status is not ExitCode.OK:
            return
        started = time.monotonic()
        try:
            found = work()
        except EdgeHarmonyError as error:
            found, self.status = {"error": str(error)}, error.exit_code
        passed, seconds = self.status is ExitCode.OK, time.monotonic() - started
        self.steps.append({"name": name, "ok": passed, "seconds": round(seconds, 3), **found})
        self.tell(f"{self.candidate.backend}: {name}: {'ok' if passed else 'failed'} ({seconds:.1f} s)")

    def report(self) -> dict[str, Any]:
        """Its part of the report."""
        candidate = self.candidate
        return {
            "passed": self.status is ExitCode.OK,
            "exit_code": int(self.status),
            "backend": candidate.backend,
            "model": candidate.model,
            "precision": candidate.precision,
            "steps": self.steps,
        }


def run_selftest(
    candidates: Sequence[Candidate], folder: Path, *, threads: int = 0, tell: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Build networks, run them on the shipped pictures, compare them, and time them in turns.

    The reference is PyTorch in FP32 for targets and artifacts, from :mod:`edge_harmony.quality.answers` where its
    answers are recorded; where torch is missing, for all. Else it has the candidate's precision, fake-quantized for
    ``int8``. For files to build from it is ONNX Runtime on the file.

    Args:
        candidates: one or several.
        folder: folder for the built files.
        threads: CPU threads of each; 0 leaves the choice to the backends.
        tell: called with a line per step.

    Returns:
        ``passed``, ``exit_code`` (of the first that fails); ``machine`` and ``capabilities`` as ``doctor`` reports
        them. For one candidate ``backend``, ``model``, ``precision`` and ``steps``, each with ``name``, ``ok``,
        ``seconds`` and its findings or its error; for several ``threads`` and ``tests``, a list of reports of one.
    """
    tests = [_Test(candidate, tell) for candidate in candidates]
    for candidate in candidates:
        find_model(candidate.model)
    with ExitStack() as held:
        for test in tests:
            _prepare(test, folder, threads, held)
        _time([test for test in tests if test.status is ExitCode.OK])
    facts = examine()
    reports = [test.report() for test in tests]
    failed = [report for report in reports if not report["passed"]]
    about = {key: facts[key] for key in ("version", "machine", "capabilities")}
    if len(reports) == 1:
        return reports[0] | about
    return {
        "passed": not failed,
        "exit_code": failed[0]["exit_code"] if failed else 0,
        "threads": threads,
        "tests": reports,
    } | about


def _prepare(test: _Test, folder: Path, threads: int, held: ExitStack) -> None:
    """All steps but the last."""
    candidate = test.candidate
    made: list[Path] = []

    def build() -> dict[str, Any]:
        made.append(_build(candidate, folder))
        return {"artifact": str(made[0]), "bytes": size_of(made[0])}

    def load() -> dict[str, Any]:
        request = LoadRequest(
            candidate.model,
            candidate.precision,
            artifact=candidate.artifact or made[0],
            threads=threads,
            manifest=candidate.manifest,
        )
        test.runner = get_backend(candidate.backend).load(request)
        held.callback(test.runner.close)
        return {}

    test.step("probe", lambda: _probe(get_backend(candidate.backend)))
    if candidate.artifact is None:
        test.step("build", build)
    test.step("load", load)
    test.step("parity", lambda: _parity(test, held))


def _probe(backend: Backend) -> dict[str, Any]:
    probe = backend.probe()
    if not probe.available:
        raise CapabilityError(f"{backend.name} does not run here: {probe.detail}", probe.fix)
    return {"detail": probe.detail}


def _build(candidate: Candidate, folder: Path) -> Path:
    """The artifact; where torch is missing, the one that this package ships."""
    backend, target = get_backend(candidate.backend), candidate.target
    if (
        candidate.onnx is None
        and not is_installed("torch")
        and (shipped := backend.shipped(candidate.model, candidate.precision))
    ):
        return shipped
    request = target.request(candidate.model) if target else ExportRequest(candidate.model, candidate.precision)
    path = backend.build(request, candidate.onnx or bundled_weights(candidate.model), folder)
    if left := backend.remaining(request, path):
        raise CapabilityError(f"cannot {left.does} here: {left.missing}", "see edge-harmony doctor")
    return path


def _reference(
    candidate: Candidate, runner: Runner, held: ExitStack
) -> tuple[str, Runner | Mapping[str, NDArray[Any]]]:
    """What the results are compared with, and what the report calls it."""
    if candidate.onnx is not None:
        on_file = load_runner(
            candidate.model, backend=DEFAULT_BACKEND, precision=candidate.precision, artifact=candidate.onnx
        )
        return f"{DEFAULT_BACKEND}, on the file", held.enter_context(on_file)
    source = bundled_weights(candidate.model)
    if candidate.is_held_to_float:
        weights = sha256_of(source)
        if candidate.manifest is not None and candidate.manifest.weights_sha256 != weights:
            raise UsageError(
                f"{candidate.artifact} was not made from the shipped weights, which it is compared with",
                "compare it where its weights are, with edge-harmony compare",
            )
        spec = runner.io_spec
        answers = recorded_answers(candidate.model, weights)
        if answers is not None and (spec.height, spec.width) == find_model(candidate.model).size:
            return f"{REFERENCE_BACKEND} in fp32, recorded", answers
    precision = "int8" if candidate.precision == "int8" and not candidate.is_held_to_float else "fp32"
    reference = load_runner(candidate.model, backend=REFERENCE_BACKEND, precision=precision, weights=source)
    return f"{REFERENCE_BACKEND} in {precision}", held.enter_context(reference)


def _parity(test: _Test, held: ExitStack) -> dict[str, Any]:
    assert test.runner is not None
    name, reference = _reference(test.candidate, test.runner, held)
    result = compare(test.runner, reference, sample_pictures())
    target = test.candidate.target
    least = target.accuracy.min_psnr if target else LEAST_PARITY
    if result["psnr"] is None or result["psnr"] < least:
        raise AccuracyError(
            f"the results agree with the reference by only {result['psnr']:.1f} dB, less than {least:g} dB",
            "send us this report",
        )
    return {"reference": name} | {
        key: round(result[key], 2) for key in ("images", "psnr", "psnr_min", "max_level_difference")
    }


def _time(tests: list[_Test]) -> None:
    """The last step: every network in turn, so that what slows the machine meanwhile slows all of them."""
    _, picture, mask = next(iter(sample_pictures()))
    samples = np.empty((_WARM_UP + _QUERIES, len(tests)))
    inputs = []
    for test in tests:
        assert test.runner is not None
        spec = test.runner.io_spec
        inputs.append((test.runner, *to_working_size(picture, mask, (spec.height, spec.width))))
    for row in samples:
        for k, (runner, planes, small_mask) in enumerate(inputs):
            started = time.perf_counter()
            try:
                runner.infer(planes, small_mask)
                runner.synchronize()
            except EdgeHarmonyError as error:
                tests[k].step("timing", partial(_fail, error))
                return _time([*tests[:k], *tests[k + 1 :]])
            row[k] = 1e3 * (time.perf_counter() - started)
    kept = samples[_WARM_UP:]
    base = next((k for k, test in enumerate(tests) if test.candidate.backend == DEFAULT_BACKEND), 0)
    for k, test in enumerate(tests):
        beside = (tests[base].candidate.backend, kept[:, base]) if len(tests) > 1 else None
        test.step("timing", partial(_figures, kept[:, k], test.candidate.target, beside))
    return None


def _fail(error: EdgeHarmonyError) -> dict[str, Any]:
    raise error


def _figures(
    samples: NDArray[np.float64], target: Target | None, beside: tuple[str, NDArray[np.float64]] | None
) -> dict[str, Any]:
    """Times in ms, and as multiples of another backend's in the same turns: median and quartiles."""
    p90 = float(np.percentile(samples, 90))
    if target and p90 > target.latency.max_p90_ms:
        raise CostError(
            f"a picture takes {p90:.1f} ms (90th percentile), more than {target.latency.max_p90_ms:g} ms",
            "choose a smaller network or precision, or set the device to its full clocks",
        )
    found = {"queries": len(samples), "median_ms": round(float(np.median(samples)), 3), "p90_ms": round(p90, 3)}
    if beside is not None:
        other, its_samples = beside
        quartiles = np.percentile(samples / its_samples, (50, 25, 75)).round(3).tolist()
        found |= dict(zip((f"of_{other}", f"of_{other}_q25", f"of_{other}_q75"), quartiles, strict=True))
    return found
