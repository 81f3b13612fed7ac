"""Artificial results for tests, with known times and scores."""

from __future__ import annotations

import numpy as np

from edge_harmony.benchmark.measurement import summarize
from edge_harmony.benchmark.result import (
    Case,
    Contender,
    Cost,
    Environment,
    MeanHarm,
    MeanScores,
    Measurement,
    MeasuringConditions,
    Parity,
    Result,
    Truth,
)
from edge_harmony.benchmark.statistics import ratio
from edge_harmony.machine.counters import Reading

COMPOSITE = MeanScores(psnr=28.0, mse=100.0, fmse=1000.0, fpsnr=20.0, ssim=0.97)


def times(median: float, seed: int = 0, count: int = 60) -> list[float]:
    """Samples about a median, with a spread of 2 %."""
    return [round(median * v, 4) for v in np.random.default_rng(seed).lognormal(0, 0.02, count)]


def harm(gain: float, worse: float) -> MeanHarm:
    """Harm of a network with the given gain and share made worse."""
    return MeanHarm(
        gain=gain,
        worse=worse,
        much_worse=worse / 2,
        no_change=100.0,
        no_change_median=80.0,
        chroma=0.9,
        lightness=1.0,
        vivid_chroma=0.8,
        vivid_lightness=1.0,
        clipped=0.01,
        hue_turned=0.02,
        composite_hue_turned=0.03,
        score=gain - 1,
    )


def measurement(name, median, *, psnr=None, parity=None, seed=0, energy=None, stages=None, kind="pipeline", **own):
    """One contender; ``name`` is ``model precision backend``, or one word for a peer."""
    words = name.split(" ")
    parts = dict(zip(("model", "precision", "backend"), words, strict=False)) if len(words) > 2 else {}
    samples = times(median, seed)
    absent = Reading(None, "J", "RAPL", "this system shows no RAPL")
    return Measurement(
        contender=Contender(name=name, kind=kind if parts else "peer", **parts, **own),
        protocol=MeasuringConditions(
            scenario="single-stream", height=256, width=256, foreground=0.2, threads=1, warm_up=5, burst=2
        ),
        samples_ms=samples,
        stages_ms=stages or {},
        summary=summarize(samples, 1),
        ratio=None,
        cost=Cost(
            peak_memory=Reading(100.0 * 2**20, "bytes", "VmHWM"),
            device_memory=Reading(None, "bytes", "NVML", "the contender runs on the CPU"),
            energy=absent if energy is None else Reading(energy, "J", "RAPL"),
            temperature=Reading(None, "degC", "thermal zones", "this system shows no thermal zone that answers"),
            throttled=Reading(0.0, "count", "thermal_throttle"),
        ),
        parity=None
        if parity is None
        else Parity(
            set="made",
            images=3,
            psnr=parity,
            least=parity - 3,
            largest_level=4,
            largest_output_error=0.01,
            worst=[Case(name="a.jpg", value=parity - 3)],
        ),
        truth=None
        if psnr is None
        else Truth(
            set="made",
            images=3,
            result=MeanScores(psnr=psnr, mse=50.0, fmse=600.0, fpsnr=22.0, ssim=0.98),
            composite=COMPOSITE,
            harm=harm(psnr - 28.0, 0.25),
            sealed=harm(psnr - 30.5, 0.5),
            worst=[Case(name="<b>a</b>.jpg", value=900.0)],
        ),
    )


def result(*measurements: Measurement, baseline: int = 0, failures=(), **environment) -> Result:
    """Several contenders, with their ratios."""
    base = measurements[baseline]
    compared = [
        m if m is base else m.model_copy(update={"ratio": ratio(m.turns(), base.turns())}) for m in measurements
    ]
    facts = {
        "system": "Linux x86_64",
        "cpu": "A CPU",
        "cpu_features": ["avx2"],
        "cpus": 2,
        "memory_bytes": 2**34,
        "gpu": None,
        "board": None,
        "power_mode": None,
        "container": None,
        "governor": "performance",
        "clock": Reading(2400.0, "MHz", "cpufreq"),
        "load": 0.1,
        "versions": {"python": "3.11", "onnxruntime": "1.31.1"},
    }
    return Result(
        suite="made",
        created="2026-11-22T00:00:00Z",
        baseline=base.contender.name,
        seconds=60.0,
        environment=Environment(**(facts | environment)),
        measurements=compared,
        failures=list(failures),
    )
