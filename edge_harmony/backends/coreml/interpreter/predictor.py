"""Evaluating packages with the interpreter, on any system."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge_harmony.backends.coreml.interpreter.evaluate import Interpreter, Rounding
from edge_harmony.backends.coreml.package import PackageFiles
from edge_harmony.backends.coreml.runner import Predictor


class ReferencePredictor(Predictor):
    """A package, read once; each of its functions is prepared when it is first called.

    Args:
        package: the folder.
        rounding: how results are rounded, see :data:`~.evaluate.Rounding`.

    Raises:
        ArtifactError: it is no package, or damaged.
    """

    def __init__(self, package: Path, rounding: Rounding = "typed") -> None:
        self._package = PackageFiles(package)
        self._rounding = rounding
        self._functions: dict[str | None, Interpreter] = {}
        self._one_at_a_time = threading.Lock()  # an interpreter has one list of problems

    def predict(self, function: str | None, prepared: Mapping[str, Any]) -> NDArray[Any]:
        """See :class:`Predictor`."""
        with self._one_at_a_time:
            if function not in self._functions:
                self._functions[function] = Interpreter(self._package, function, self._rounding)
            (result,) = self._functions[function].predict(prepared).values()
        return result

    def close(self) -> None:
        """See :class:`Predictor`."""
        self._functions.clear()
