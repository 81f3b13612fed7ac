"""What TensorRT says: its one logger, errors, and callbacks whose exceptions are forgotten."""

from __future__ import annotations

import enum
import threading
import weakref
from collections.abc import Callable
from typing import Any

from tests.fakes.tensorrt.world import World


class Severity(enum.IntEnum):
    """``ILogger.Severity``."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class Voice:
    """The logger that was given first, which TensorRT does not keep alive, and who speaks to it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loggers: list[weakref.ref[Any]] = []

    def register(self, logger: Any) -> None:
        """Take a logger, if it is the first one."""
        if not self._loggers:
            self._loggers.append(weakref.ref(logger))

    def logger(self) -> Any:
        """The first logger; None if it was freed."""
        return self._loggers[0]()

    def trampoline(self, callback: Callable[..., Any], *arguments: Any) -> Any:
        """Call Python as the bindings do."""
        try:
            return callback(*arguments)
        except BaseException as error:
            self._world.swallowed.append(error)
            return None

    def say(self, severity: Any, words: str) -> None:
        """Log, from another thread."""
        logger = self.logger()
        assert logger is not None, "TensorRT's logger was freed while TensorRT was in use"
        thread = threading.Thread(target=self.trampoline, args=(logger.log, severity, words))
        thread.start()
        thread.join()

    def complain(self, words: str) -> None:
        """Log an error, after those that do not count."""
        for each in (*self._world.murmurs, words):
            self.say(Severity.ERROR, each)

    def constructed(self, name: str) -> None:
        """Fail as the bindings do where TensorRT answers a constructor with null."""
        if name in self._world.fails:
            self.complain(self._world.fails[name])
            raise TypeError("pybind11::init(): factory function returned nullptr")
