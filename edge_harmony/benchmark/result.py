"""What a benchmark measured, as one versioned schema; ``docs/benchmark-result.schema.json`` publishes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_harmony.benchmark.statistics import Interval, Verdict
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.atomic import atomic_write
from edge_harmony.machine.counters import Reading

Scenario = Literal["single-stream", "multi-stream", "offline", "sustained", "end-to-end"]
ContenderKind = Literal["pipeline", "network", "peer"]
SCHEMA_VERSION = 1
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Contender(BaseModel):
    """What was timed: the file whose accuracy was measured too."""

    model_config = _STRICT

    name: str
    kind: ContenderKind
    model: str | None = None
    backend: str | None = None
    precision: str | None = None
    mode: str | None = Field(None, description="of backends that have several")
    artifact: str | None = Field(None, description="name of the file that runs")
    sha256: str | None = Field(None, description="of the file that runs")
    untrained: bool = Field(False, description="random weights: its time means something, its pictures nothing")

    @property
    def folder(self) -> str:
        """Its name as a folder's: where its worst pictures lie."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


class Environment(BaseModel):
    """Where and under what load."""

    model_config = _STRICT

    system: str
    cpu: str
    cpu_features: list[str]
    cpus: int | None
    memory_bytes: int | None
    gpu: str | None
    board: str | None = Field(description="a Jetson's")
    power_mode: str | None = Field(description="a Jetson's")
    container: str | None
    governor: str | None = Field(description="of the CPU's clock")
    clock: Reading
    load: float | None = Field(description="processes that wanted to run, mean of the minute before")
    versions: dict[str, str]


class MeasuringConditions(BaseModel):
    """How it was measured."""

    model_config = _STRICT

    scenario: Scenario
    height: int = Field(description="of the pictures")
    width: int = Field(description="of the pictures")
    foreground: float = Field(description="mean share of the pictures that the mask covers")
    pictures: int = Field(1, description="pictures of a query")
    streams: int = Field(1, description="threads that share a query, with a network each")
    threads: int = Field(description="CPU threads of a network; 0: the backend's choice")
    warm_up: int = Field(description="queries that are not counted")
    burst: int = Field(1, description="counted queries of a turn; an uncounted one goes before them")
    interleaved: bool = Field(True, description="contenders took turns, in a new order every round")


class Summary(BaseModel):
    """Milliseconds of a query, and what follows from them."""

    model_config = _STRICT

    count: int
    mean: float
    p50: Interval
    p90: Interval
    p95: float
    p99: float
    minimum: float
    maximum: float
    throughput: float = Field(description="pictures a second")


class Sustained(BaseModel):
    """What an uninterrupted load does."""

    model_config = _STRICT

    seconds: float
    window_seconds: float = Field(description="a minute, or a third of the time where that is less")
    first: Interval = Field(description="median of the first window, ms")
    last: Interval = Field(description="median of the last window, ms")
    seconds_to_throttle: Reading


class MeanScores(BaseModel):
    """Means over pictures."""

    model_config = _STRICT

    psnr: float | None
    mse: float | None
    fmse: float | None
    fpsnr: float | None
    ssim: float | None


class MeanHarm(BaseModel):
    """What ``docs/evaluation.md`` defines under these names; null without a picture that has a foreground."""

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
    """A picture that came out badly."""

    model_config = _STRICT

    name: str
    value: float


class Parity(BaseModel):
    """Against the PyTorch reference of the same weights, in float."""

    model_config = _STRICT

    set: str
    images: int
    psnr: float = Field(description="dB, of the foreground, mean over pictures; 99 for identical ones")
    least: float
    largest_level: int = Field(description="of 255")
    largest_output_error: float = Field(description="of the network's raw output")
    worst: list[Case] = Field(description="PSNR in dB, lowest first")


class Truth(BaseModel):
    """Against the real pictures."""

    model_config = _STRICT

    set: str
    images: int
    result: MeanScores
    composite: MeanScores
    harm: MeanHarm | None = Field(None, description="on the set as it is")
    sealed: MeanHarm | None = Field(None, description="with masks sealed by 2 pixels: what users get")
    worst: list[Case] = Field(description="fMSE, largest first")


class Cost(BaseModel):
    """What a query takes besides time."""

    model_config = _STRICT

    peak_memory: Reading = Field(description="of the process, pictures and runtime included")
    device_memory: Reading
    energy: Reading = Field(description="J a query")
    temperature: Reading = Field(description="highest")
    throttled: Reading = Field(description="slow-downs for heat meanwhile")


class Check(BaseModel):
    """A limit and what was found."""

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
    samples_ms: list[float] = Field(description="raw, in the order they were taken")
    stages_ms: dict[str, list[float]] = Field(
        description="parts of every query that has them: decode, preprocess, copy, infer, apply, encode, harmonize"
    )
    summary: Summary
    ratio: Interval | None = Field(description="of its times to the baseline's: median over the rounds of both")
    sustained: Sustained | None = None
    cost: Cost
    parity: Parity | None = None
    truth: Truth | None = None
    unscored: str = Field("", description="why parity or truth are missing")
    checks: list[Check] = []
    verdict: Verdict | None = Field(None, description="the worst of the checks; null without any")

    def turns(self) -> list[float]:
        """Medians of the turns, in ms: what ratios are taken of."""
        size = self.protocol.burst
        return [float(np.median(self.samples_ms[k : k + size])) for k in range(0, len(self.samples_ms), size)]


class Failure(BaseModel):
    """A contender that did not run, or not to the end."""

    model_config = _STRICT

    contender: str
    error: str


class Result(BaseModel):
    """A suite's run."""

    model_config = _STRICT

    schema_version: Literal[1] = 1
    suite: str
    created: str = Field(description="UTC, ISO 8601")
    baseline: str = Field(description="name of the contender whose median is 1")
    seconds: float = Field(description="that the run took")
    environment: Environment
    measurements: list[Measurement]
    failures: list[Failure] = []


def schema() -> dict[str, Any]:
    """The JSON Schema of a result."""
    return Result.model_json_schema()


def read_result(path: Path) -> Result:
    """Read a result.

    Raises:
        UsageError: there is no such file.
        InputError: it is no result, or of another version of the schema.
    """
    try:
        return Result.model_validate_json(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f"there is no result {path}", "edge-harmony benchmark SUITE -o FILE writes one") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})", "check the file") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path} is no benchmark result of schema version {SCHEMA_VERSION} ({where or 'file'}: {first['msg']})",
            "measure again with this version",
        ) from None


def is_of_suite(path: Path) -> bool:
    """Whether a JSON file says that it is a suite's result: beside them lie results of scripts."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "suite" in content


def write_result(path: Path, result: Result) -> None:
    """Write a result: indented, but a line of numbers is a line."""
    atomic_write(path, (_compact(result.model_dump_json(indent=1)) + "\n").encode())


def _compact(text: str) -> str:
    """Join the numbers of every list into one line: results are committed, and read in diffs."""
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
