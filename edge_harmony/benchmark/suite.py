"""Suites of measurements, as TOML: contenders, a scenario, pictures, and the effort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from edge_harmony.backends.base import DEFAULT_BACKEND, DEFAULT_PRECISION, backend_of
from edge_harmony.backends.discovery import get_backend
from edge_harmony.benchmark.peers import PEERS
from edge_harmony.benchmark.result import ContenderKind, Scenario
from edge_harmony.errors import ArtifactError
from edge_harmony.files.manifest import Precision, files_of, read_manifest
from edge_harmony.files.resources import find_resource
from edge_harmony.files.toml import read_toml

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Effort(BaseModel):
    """When to stop: after ``least_*``, once the interval of the median is ``tight``; at the latest at ``most_seconds``.

    Only the contender's own time counts as seconds.
    """

    model_config = _STRICT

    warm_up: int = Field(5, ge=0, description="queries before the first turn, not counted")
    least_count: int = Field(50, ge=2, description="queries")
    least_seconds: float = Field(2.0, ge=0)
    most_seconds: float = Field(30.0, gt=0)
    tight: float = Field(0.02, gt=0, lt=1, description="width of the median's interval as a share of the median")


class ContenderSpec(BaseModel):
    """A contender: a network on a backend, or a peer (:mod:`edge_harmony.benchmark.peers`)."""

    model_config = _STRICT

    label: str | None = Field(None, description="name in reports, instead of a generated one")
    optional: bool = Field(
        False, description="it may be missing here: the report says that it did not run, and the run does not fail"
    )
    kind: Literal["pipeline", "network"] = Field(
        "pipeline", description="pictures in and out, or tensors of the working size"
    )
    model: str | None = None
    backend: str = DEFAULT_BACKEND
    precision: Precision = DEFAULT_PRECISION
    mode: str | None = Field(None, description="mode of backends that have several; null for the usual one")
    device: str = "auto"
    artifact: Path | None = Field(None, description="file instead of the shipped or built one")
    weights: Path | None = Field(None, description="weights instead of the shipped ones")
    peer: str | None = None
    checkout: Path | None = Field(None, description="folder or file of a peer's own code")
    checkpoint: Path | None = Field(None, description="checkpoint of a peer that has weights")

    @field_validator("mode")
    @classmethod
    def _of_the_backend(cls, mode: str | None, found: ValidationInfo) -> str | None:
        if mode is None or "backend" not in found.data:
            return None
        name = found.data["backend"]
        modes = get_backend(name).modes
        if mode not in modes:
            raise ValueError(f"the backend {name} has no mode {mode!r}: {', '.join(modes) or 'it has none'}")
        return None if mode == modes[0] else mode

    @model_validator(mode="after")
    def _one_of_both(self) -> ContenderSpec:
        if (self.model is None and self.artifact is None) == (self.peer is None):
            raise ValueError("name a model (or an artifact) or a peer, and not both")
        if self.peer is not None:
            if self.peer not in PEERS:
                raise ValueError(f"there is no peer {self.peer!r}: choose from {', '.join(PEERS)}")
            if PEERS[self.peer].needs_checkout and self.checkout is None:
                raise ValueError(f"the peer {self.peer} needs a checkout: {PEERS[self.peer].needs_checkout}")
        return self

    @property
    def name(self) -> str:
        """Name in reports."""
        if self.label:
            return self.label
        if self.peer:
            return self.peer
        parts = [self.model or str(self.artifact), self.precision if self.model else "", self.backend]
        parts += [self.mode or "", self.kind if self.kind != "pipeline" else ""]
        return " ".join(part for part in parts if part)

    @property
    def what(self) -> ContenderKind:
        """The kind of contender."""
        return "peer" if self.peer else self.kind


class Suite(BaseModel):
    """A suite; all contenders run the same scenario on the same pictures."""

    model_config = _STRICT

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    scenario: Scenario = "single-stream"
    height: int = Field(256, ge=16, description="height of the pictures")
    width: int = Field(256, ge=16, description="width of the pictures")
    threads: int = Field(1, ge=0, description="CPU threads of a network; 0: the backend's choice")
    streams: int = Field(1, ge=1, description="threads of multi-stream and offline, each with its own network")
    pictures: int = Field(16, ge=1, description="pictures per query in offline")
    seconds: float = Field(180.0, gt=0, description="seconds of load in sustained")
    settle: float = Field(0.0, ge=0, description="seconds of rest before a turn: idle thread pools spin for a while")
    baseline: str = Field(description="name of the contender whose median is 1")
    tolerance: float | None = Field(
        None,
        gt=0,
        description="how much slower than the baseline every other contender may be, as a share",
    )
    effort: Effort = Effort()
    limit: int = Field(100, ge=0, description="pictures of a data set to score, evenly spread; 0: all")
    contenders: Annotated[tuple[ContenderSpec, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        names = [contender.name for contender in self.contenders]
        if self.baseline not in names:
            raise ValueError(f"baseline {self.baseline!r} is none of the contenders ({', '.join(names)})")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"contenders share the name {twice[0]!r}: give one a label")
        if any(entry.optional and entry.name == self.baseline for entry in self.contenders):
            raise ValueError(f"the baseline {self.baseline!r} cannot be optional: the others are compared with it")
        if self.scenario == "end-to-end" and any(entry.what == "network" for entry in self.contenders):
            raise ValueError("end-to-end starts from files: kind network has none")
        return self

    def files(self) -> list[Path]:
        """The files that its contenders are read from."""
        given = [path for entry in self.contenders for path in (entry.weights, entry.checkpoint) if path is not None]
        return given + [path for entry in self.contenders for path in files_of(entry.artifact)]


def read_suite(name: str) -> Suite:
    """Read a suite of measurements.

    Args:
        name: name of a shipped suite, or path of a TOML file; relative paths in it start from its folder.

    Raises:
        UsageError: there is no suite of this name.
        InputError: the file does not fit the schema.
    """
    path = find_resource("suites", name)
    suite = read_toml(path, Suite)
    return suite.model_copy(update={"contenders": tuple(_beside(entry, path.parent) for entry in suite.contenders)})


def _beside(entry: ContenderSpec, folder: Path) -> ContenderSpec:
    """A copy of the entry with absolute paths and its old name."""
    places = ("artifact", "weights", "checkout", "checkpoint")
    found = {key: folder / value for key in places if (value := getattr(entry, key)) is not None}
    return entry.model_copy(update={"label": entry.name, **found}) if found else entry


def suite_of(artifacts: list[Path], backend: str | None, tolerance: float, *, threads: int) -> Suite:
    """A suite that compares files: the first is the baseline, and the others must not be slower.

    Args:
        artifacts: exported files, each once.
        backend: what runs them; None for the backend that each was made for.
        tolerance: how much slower than the first the others may be, as a share.
        threads: CPU threads; 0: the backend's choice.

    Raises:
        UsageError: a file does not exist.
    """
    entries = [
        ContenderSpec(artifact=path, backend=backend or _backend_for(path), label=str(path), kind="network")
        for path in artifacts
    ]
    return Suite(
        name="artifacts",
        baseline=str(artifacts[0]),
        tolerance=tolerance,
        threads=threads,
        contenders=tuple(entries),
        effort=Effort(least_count=100, most_seconds=20),
    )


def _backend_for(artifact: Path) -> str:
    """The backend of an artifact's manifest; the default for one that cannot be read, which its contender says."""
    try:
        return backend_of(read_manifest(artifact))
    except ArtifactError:
        return DEFAULT_BACKEND
