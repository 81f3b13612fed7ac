"""The job of a worker: a contender and its files."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edge_harmony.backends.base import REFERENCE_BACKEND, LoadRequest
from edge_harmony.backends.discovery import get_backend
from edge_harmony.benchmark.suite import ContenderSpec, Suite


class ContenderJob(BaseModel):
    """A contender of a suite, with the files that were built for it.

    Attributes:
        entry: the contender.
        suite: the suite.
        artifact: the file to run; None for contenders that run weights or a shipped file.
        weights: the weights from which the file was built.
        untrained: whether the weights are random.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    entry: ContenderSpec
    suite: Suite
    artifact: Path | None = None
    weights: Path | None = None
    untrained: bool = False

    @property
    def is_reference(self) -> bool:
        """Whether others are compared with this contender."""
        return self.entry.backend == REFERENCE_BACKEND and self.entry.precision == "fp32" and self.entry.mode is None

    @property
    def device(self) -> str:
        """The device whose counters measure the costs: ``cpu`` or ``cuda...``."""
        if self.entry.device != "auto":
            return self.entry.device
        return "cpu" if self.entry.peer else get_backend(self.entry.backend).device

    def request(self) -> LoadRequest:
        """The request to the backend."""
        entry = self.entry
        return LoadRequest(
            entry.model or "",
            entry.precision,
            artifact=self.artifact,
            weights=self.weights if get_backend(entry.backend).takes_weights else None,
            threads=self.suite.threads,
            device=entry.device,
            mode=entry.mode,
        ).resolved()
