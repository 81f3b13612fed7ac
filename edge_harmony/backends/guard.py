"""Backends and runners as the verbs use them: their failures are errors of one line, and their answers are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import Backend, CheckRequest, ExportRequest, LoadRequest, Probe, Runner, Step
from edge_harmony.backends.conformance import misfit
from edge_harmony.errors import CapabilityError, EdgeHarmonyError, InputError, first_line, is_out_of_memory
from edge_harmony.files.manifest import IOSpec
from edge_harmony.inspection.findings import Inspection

_CONTRACT = "see docs/adding-a-backend.md"
_CHANNELS = {"rgb": 3, "difference": 3, "gain": 6, "affine": 12}
"""Channels of a network's output, see :data:`edge_harmony.files.manifest.Output`."""


class GuardedBackend(Backend):
    """A backend behind the same contract, whose mistakes are a :class:`CapabilityError` that names it.

    Errors of this package, a lack of memory and an interrupt pass through as they are. A file that cannot be used, for
    its name or its rights, is the caller's: an :class:`InputError`.

    Args:
        backend: the backend.
        label: its name in errors, such as ``the backend mine (my_backend:MyBackend of my-backend)``.
    """

    def __init__(self, backend: Backend, label: str) -> None:
        self._backend = backend
        self._label = label
        vars(self).update({attribute: getattr(backend, attribute) for attribute in get_type_hints(Backend)})

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return self._checked("probe", self._backend.probe)

    def shipped(self, model: str, precision: str) -> Path | None:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return self._checked("shipped", self._backend.shipped, model, precision)

    def steps(self, request: ExportRequest) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return self._checked("steps", self._backend.steps, request)

    def build(self, request: ExportRequest, source: Path, folder: Path) -> Path:
        """See :class:`edge_harmony.backends.base.Backend`."""
        path: Path = self._checked("build", self._backend.build, request, source, folder)
        if not path.exists():
            raise CapabilityError(f"{self._label} gives build() = {path}, and there is no such file", _CONTRACT)
        return path

    def remaining(self, request: ExportRequest, made: Path) -> Step | None:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return self._checked("remaining", self._backend.remaining, request, made)

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return GuardedRunner(self._checked("load", self._backend.load, request), self._label)

    def inspect(self, request: CheckRequest) -> Inspection:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return self._checked("inspect", self._backend.inspect, request)

    def placement(self, file: Path) -> dict[str, int]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return self._checked("placement", self._backend.placement, file)

    def failing_in(self, place: str) -> AbstractContextManager[None]:
        """A context whose unexpected errors are the backend's: for its code that is no method, such as its options."""
        return _failing_in(self._label, place)

    def _checked(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        return _answer(self._label, f"{name}()", get_type_hints(getattr(Backend, name))["return"], method, *arguments)


class GuardedRunner(Runner):
    """A runner behind the same contract; its failures name the backend, and its arrays fit its :attr:`io_spec`.

    Args:
        runner: the runner.
        label: the backend's name in errors.

    Raises:
        CapabilityError: its ``io_spec`` or ``sha256`` cannot be read, or is of another type.
    """

    def __init__(self, runner: Runner, label: str) -> None:
        self._runner = runner
        self._label = label
        self._is_closed = False
        self._io_spec: IOSpec = _answer(label, "io_spec", IOSpec, lambda: runner.io_spec)
        self._sha256: str = _answer(label, "sha256", str, lambda: runner.sha256)

    @property
    def io_spec(self) -> IOSpec:
        """See :class:`edge_harmony.backends.base.Runner`."""
        return self._io_spec

    @property
    def sha256(self) -> str:
        """See :class:`edge_harmony.backends.base.Runner`."""
        return self._sha256

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        with self._running("infer()"):
            output = self._runner.infer(composite, mask)
        return self._fitting("infer()", output, composite)

    def submit(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        if type(self._runner).submit is Runner.submit:
            return super().submit(composite, mask)  # so that errors name infer(), which the plug-in has
        with self._running("submit()"):
            wait = self._runner.submit(composite, mask)
        if not callable(wait):
            raise self._wrong("submit()", f" = {type(wait).__name__}, which cannot be called")

        def result() -> NDArray[np.float32]:
            with self._running("submit()()"):
                output = wait()
            return self._fitting("submit()()", output, composite)

        return result

    def infer_parts(
        self, composite: NDArray[np.float32], mask: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        if type(self._runner).infer_parts is Runner.infer_parts:
            return super().infer_parts(composite, mask)
        with self._running("infer_parts()"):
            answer = self._runner.infer_parts(composite, mask)
        if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
            raise self._wrong("infer_parts()", f" = {type(answer).__name__}, which is no pair of array and dict")
        output, parts = answer
        for name in ("copy", "infer"):
            if not isinstance(parts.get(name), float | int):
                raise self._wrong("infer_parts()", f" without the milliseconds of {name!r}")
        return self._fitting("infer_parts()", output, composite), parts

    def harmonize(self, picture: NDArray[np.uint8], mask: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        with self._running("harmonize()"):
            output: Any = self._runner.harmonize(picture, mask, strength)
        if not isinstance(output, np.ndarray):
            raise self._wrong("harmonize()", f" = {type(output).__name__}, which is no array")
        if output.dtype != np.uint8 or output.shape != picture.shape:
            wanted = f"a picture is uint8 of shape {picture.shape}"
            raise self._wrong("harmonize()", f" as {output.dtype} of shape {output.shape}; {wanted}")
        return output

    def synchronize(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        with self._running("synchronize()"):
            self._runner.synchronize()

    def close(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._is_closed = True
        with _failing_in(self._label, "close()"):
            self._runner.close()

    @contextmanager
    def _running(self, place: str) -> Iterator[None]:
        if self._is_closed:
            raise RuntimeError("the runner is closed")  # a mistake of the caller, not of the backend
        with _failing_in(self._label, place):
            yield

    def _fitting(self, place: str, output: Any, composite: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output if it is what ``io_spec`` says; a wrong one would end as a wrong picture or far from its cause."""
        if not isinstance(output, np.ndarray):
            raise self._wrong(place, f" = {type(output).__name__}, which is no array")
        kind = self._io_spec.output
        batch, channels, shape = len(composite), _CHANNELS.get(kind), output.shape
        cells = composite.shape[2:] if kind == "rgb" else tuple(max(side, 1) for side in shape[2:])
        if output.dtype != np.float32 or len(shape) != 4 or shape != (batch, channels, *cells):
            wanted = f"({batch}, {channels}, {', '.join(map(str, cells)) if kind == 'rgb' else 'h, w'})"
            raise self._wrong(place, f" as {output.dtype} of shape {shape}; {kind} is float32 of shape {wanted}")
        return output

    def _wrong(self, place: str, problem: str) -> CapabilityError:
        return CapabilityError(f"{self._label} gives {place}{problem}", _CONTRACT)


def _answer(label: str, place: str, wanted: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    with _failing_in(label, place):
        answer = ask(*arguments)
    problem = misfit(answer, wanted, place)
    if problem:
        raise CapabilityError(f"{label} gives {problem}", _CONTRACT)
    return answer


@contextmanager
def _failing_in(label: str, place: str) -> Iterator[None]:
    try:
        yield
    except EdgeHarmonyError:
        raise
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise
        if isinstance(error, OSError) and error.filename is not None and not isinstance(error, FileNotFoundError):
            raise InputError(
                f"{error.filename} cannot be used ({error.strerror})", "check its name, and whether it may be read"
            ) from error
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise CapabilityError(f"{label} fails in {place} ({reason})", "--verbose shows where") from error
