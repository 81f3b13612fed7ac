"""TensorRT's progress, as a number between 0 and 1, and the way to stop a build."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.logger import Log


class Phases:
    """The share of a build that is done, from nested phases with a known number of steps each.

    A phase that starts within another one fills the current step of that one.

    Args:
        report: called with the share done and the name of the innermost phase.
    """

    def __init__(self, report: Callable[[float, str], None]) -> None:
        self.report = report
        self._phases: dict[str, tuple[int, int]] = {}
        self._done = 0.0

    def start(self, name: str, steps: int) -> None:
        """A phase begins."""
        self._phases[name] = (0, max(steps, 1))
        self._tell()

    def step(self, name: str, step: int) -> None:
        """A phase has done ``step``."""
        if name in self._phases:
            self._phases[name] = (min(step + 1, self._phases[name][1]), self._phases[name][1])
        self._tell()

    def finish(self, name: str) -> None:
        """A phase ends."""
        self._phases.pop(name, None)
        if not self._phases:
            self._done = 1.0
        self._tell(name)

    def _tell(self, name: str = "") -> None:
        share, width = 0.0, 1.0
        for done, steps in self._phases.values():
            share += width * done / steps
            width /= steps
        self._done = max(self._done, min(share, 1.0))  # phases overlap in threads: never backwards
        self.report(self._done, next(reversed(self._phases), name))


def make_monitor(tensorrt: TensorRT, phases: Phases, log: Log) -> Any:
    """TensorRT's monitor object; None where this version has none (before 10).

    As soon as any callback of the build has raised something, it asks TensorRT to stop.

    Args:
        tensorrt: the TensorRT that builds.
        phases: told of every phase and step.
        log: of the build; keeps what the callbacks raise.
    """
    if not tensorrt.has("IProgressMonitor"):
        return None
    base: Any = tensorrt.get("IProgressMonitor")

    class Monitor(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with log.guard():
                phases.start(phase_name, num_steps)

        def phase_finish(self, phase_name: str) -> None:
            with log.guard():
                phases.finish(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            with log.guard():
                phases.step(phase_name, step)
            return log.failure is None  # False ends the build

    return Monitor()
