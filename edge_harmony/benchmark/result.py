"""The result of a benchmark, in one versioned schema; ``docs/benchmark-result.schema.json`` publishes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edge_harmony.benchmark.statistics import Interval, Verdict
from edge_harmony.errors import InputError, UsageError, parsing
from edge_harmony.files.atomic import atomic_write
from edge_harmony.files.regular import read_regular
from edge_harmony.machine.counters import Reading

Scenario = Literal["single-stream", "multi-stream", "offline", "sustained", "end-to-end"]
ContenderKind = Literal["pipeline", "network", "peer"]
SCHEMA_VERSION = 1
_STRICT = ConfigDict(extra="forbid", frozen=True)

# Results come from other machines and from strangers: reports and comparisons rely on these limits.
_SHORTEST_MS, _LONGEST_MS = 1e-9, 1e12
Count = Annotated[int, Field(ge=1)]
Milliseconds = Annotated[float, Field(ge=_SHORTEST_MS, le=_LONGEST_MS, allow_inf_nan=False)]
Part = Annotated[float, Field(ge=0, le=_LONGEST_MS, allow_inf_nan=False)]
Decibels = Annotated[float, Field(ge=-200, le=200, allow_inf_nan=False)]


def _time(interval: Interval) -> Interval:
    if not all(_SHORTEST_MS <= value <= _LONGEST_MS for value in (interval.estimate, interval.low, interval.high)):
        raise ValueError(f"times are from {_SHORTEST_MS:g} to {_LONGEST_MS:g} ms")
    return interval


TimeInterval = Annotated[Interval, AfterValidator(_time)]


class Contender(BaseModel):
    """A contender: timing and accuracy are those of one file."""

    model_config = _STRICT

    name: str
    kind: ContenderKind
    model: str | None = None
    backend: str | None = None
    precision: str | None = None
    mode: str | None = Field(None, description="mode of backends that have several")
    artifact: str | None = Field(None, description="name of the file that runs")
    sha256: str | None = Field(None, description="hash of the file that runs")
    untrained: bool = Field(False, description="random weights: the times are valid, the pictures are meaningless")

    @property
    def folder(self) -> str:
        """Name of the folder with its worst pictures."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


class Environment(BaseModel):
    """The machine and its load."""

    model_config = _STRICT

    system: str
    cpu: str
    cpu_features: list[str]
    cpus: int | None
    memory_bytes: int | None
    gpu: str | None
    board: str | None = Field(description="board of a Jetson")
    power_mode: str | None = Field(description="power mode of a Jetson")
    container: str | None
    governor: str | None = Field(description="governor of the CPU's clock")
    clock: Reading
    load: float | None = Field(description="load average of the minute before the run")
    versions: dict[str, str]


class MeasuringConditions(BaseModel):
    """How a contender was measured."""

    model_config = _STRICT

    scenario: Scenario
    height: Count = Field(description="height of the pictures")
    width: Count = Field(description="width of the pictures")
    foreground: float = Field(description="mean share of the pictures that the mask covers")
    pictures: Count = Field(1, description="pictures per query")
    streams: Count = Field(1, description="threads that share a query, each with its own network")
    threads: int = Field(description="CPU threads of a network; 0: the backend's choice")
    warm_up: int = Field(description="queries before the measurement, not counted")
    burst: Count = Field(1, description="counted queries per turn; one uncounted query goes first")
    interleaved: bool = Field(True, description="contenders took turns, in a new order every round")


class Summary(BaseModel):
    """Statistics of the milliseconds per query."""

    model_config = _STRICT

    count: int
    mean: float
    p50: TimeInterval
    p90: TimeInterval
    p95: float
    p99: float
    minimum: float
    maximum: float
    throughput: float = Field(description="pictures a second")


class Sustained(BaseModel):
    """The effect of an uninterrupted load."""

    model_config = _STRICT

    seconds: float
    window_seconds: float = Field(description="a minute, or a third of the time if that is less")
    first: TimeInterval = Field(description="median of the first window, ms")
    last: TimeInterval = Field(description="median of the last window, ms")
    seconds_to_throttle: Reading


class MeanScores(BaseModel):
    """Means over pictures."""

    model_config = _STRICT

    psnr: Decibels | None
    mse: float | None
    fmse: float | None
    fpsnr: float | None
    ssim: float | None


class MeanHarm(BaseModel):
    """Measures of harm, as ``docs/evaluation.md`` defines them; null if no picture has a foreground."""

    model_config = _STRICT

    gain: float | None = Field(description="dB")
    worse: float | None = Field(description="share of the pictures")
    much_worse: float | None = Field(description="share of the pictures")
    no_change: float | None = Field(description="fMSE")
    no_change_median: float | None = Field(description="fMSE")
    chroma: float | None
    lightness: float | None
    vivid_chroma: float | None
    vivid_lightness: float | None
    clipped: float | None = Field(description="share of the foreground")
    hue_turned: float | None = Field(description="share of the foreground")
    composite_hue_turned: float | None = Field(description="share of the foreground")
    score: float | None = Field(description="dB")


class Case(BaseModel):
    """A picture with a bad result."""

    model_config = _STRICT

    name: str
    value: float


class Parity(BaseModel):
    """Agreement with the PyTorch reference with the same weights, in float."""

    model_config = _STRICT

    set: str
    images: int
    psnr: Decibels = Field(description="dB of the foreground, mean over pictures; 99 for identical ones")
    least: float
    largest_level: int = Field(description="largest difference of a pixel, in levels of 255")
    largest_output_error: float = Field(description="largest difference of the network's raw output")
    worst: list[Case] = Field(description="PSNR in dB, lowest first")


class Truth(BaseModel):
    """Scores against the real pictures."""

    model_config = _STRICT

    set: str
    images: int
    result: MeanScores
    composite: MeanScores
    harm: MeanHarm | None = Field(None, description="on the unchanged set")
    sealed: MeanHarm | None = Field(
        None, description="on pictures sealed by 2 pixels, which are like users' composites"
    )
    worst: list[Case] = Field(description="fMSE, largest first")


class Cost(BaseModel):
    """Costs of a query besides time."""

    model_config = _STRICT

    peak_memory: Reading = Field(description="main memory of the process, including pictures and runtime")
    device_memory: Reading
    energy: Reading = Field(description="J per query")
    temperature: Reading = Field(description="highest temperature")
    throttled: Reading = Field(description="slow-downs for heat during the measurement")


class Check(BaseModel):
    """A limit, the measured value and the verdict."""

    model_config = _STRICT

    of: Literal["accuracy", "cost"]
    name: str
    limit: float
    found: Interval | float | None
    verdict: Verdict
    reason: str = ""


class Measurement(BaseModel):
    """One contender in one scenario."""

    model_config = _STRICT

    contender: Contender
    protocol: MeasuringConditions
    samples_ms: list[Milliseconds] = Field(min_length=2, description="raw samples, in order of time")
    stages_ms: dict[str, list[Part]] = Field(
        description="times of the parts of every query, if known: decode, preprocess, copy, infer, apply, encode, "
        "harmonize"
    )
    summary: Summary
    ratio: Interval | None = Field(description="ratio of its times to the baseline's, median over common rounds")
    sustained: Sustained | None = None
    cost: Cost
    parity: Parity | None = None
    truth: Truth | None = None
    unscored: str = Field("", description="why parity or truth are missing")
    checks: list[Check] = []
    verdict: Verdict | None = Field(None, description="the worst verdict of the checks; null without checks")

    def turns(self) -> list[float]:
        """Medians of the turns in ms, from which ratios are computed."""
        size = self.protocol.burst
        return [float(np.median(self.samples_ms[k : k + size])) for k in range(0, len(self.samples_ms), size)]


class Failure(BaseModel):
    """A contender that did not run to the end."""

    model_config = _STRICT

    contender: str
    error: str
    optional: bool = Field(False, description="the suite lets it be missing: the run does not fail")
    exit_code: int = Field(1, description="exit status of its error: 3 if this machine lacks something")


class Result(BaseModel):
    """The result of a suite."""

    model_config = _STRICT

    schema_version: Literal[1] = 1
    suite: str
    created: str = Field(description="UTC, ISO 8601")
    baseline: str = Field(description="name of the contender whose median is 1")
    seconds: float = Field(description="duration of the run")
    environment: Environment
    measurements: list[Measurement] = Field(min_length=1)
    failures: list[Failure] = []


def schema() -> dict[str, Any]:
    """The JSON Schema of a result."""
    return Result.model_json_schema()


def read_result(path: Path) -> Result:
    """Read a result.

    Raises:
        UsageError: there is no such file.
        InputError: the file is not a result, or has another version of the schema.
    """
    try:
        return Result.model_validate_json(read_regular(path))
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f"there is no result {path}", "edge-harmony benchmark SUITE -o FILE writes one") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})", "check the file") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path} is not a benchmark result of schema version {SCHEMA_VERSION} ({where or 'file'}: {first['msg']})",
            "measure again with this version",
        ) from None


def is_of_suite(path: Path) -> bool:
    """Whether a JSON file is a suite's result; results of scripts are in the same folders."""
    try:
        with parsing(f"{path} is no JSON", ""):
            content = json.loads(path.read_bytes())
    except InputError:
        return False
    return isinstance(content, dict) and "suite" in content


def write_result(path: Path, result: Result) -> None:
    """Write a result as indented JSON, with every list of numbers on one line."""
    atomic_write(path, (_compact(result.model_dump_json(indent=1)) + "\n").encode())


def _compact(text: str) -> str:
    """Join the numbers of every list into one line, because results are committed and read in diffs."""
    lines: list[str] = []
    numbers: list[str] = []
    for line in text.splitlines():
        bare = line.strip()
        if bare.rstrip(",").replace(".", "", 1).replace("e-", "", 1).isdigit():
            numbers.append(bare)
            continue
        if numbers:
            lines[-1] += " ".join(numbers) + bare
            numbers = []
        else:
            lines.append(line)
    return "\n".join(lines)
