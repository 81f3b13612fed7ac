"""The harness's side of a worker: start it, send requests, end it, and report how it died."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from typing import Any

from edge_harmony.errors import CapabilityError, EdgeHarmonyError, ExitCode

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
"""Settings that make the GNU allocator keep freed memory, as it does in a long-running program. Without them, chance
decides whether PyTorch requests its tensors' memory from the system in every query, which takes half as long again."""


class ContenderProcess:
    """A worker (:mod:`edge_harmony.benchmark.worker`).

    Args:
        threads: number of threads for libraries that read it from the environment; 0 lets them choose.
    """

    def __init__(self, threads: int) -> None:
        environment = os.environ | _MEMORY | ({name: str(threads) for name in _THREAD_VARIABLES} if threads else {})
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge_harmony.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._answers.put(line)
        self._answers.put("")

    def ask(self, verb: str, *, timeout: float, **details: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            EdgeHarmonyError: the worker reports an error, has died, or does not answer within ``timeout`` seconds.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": verb, **details}) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=timeout)
        except OSError:
            line = ""
        except queue.Empty:
            self.close(kill=True)
            raise EdgeHarmonyError(f"no answer within {timeout:g} s", "it hangs; run it alone to see why") from None
        if not line:
            raise EdgeHarmonyError(self._death(), "run it alone to see why")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            kind = CapabilityError if answer["exit_code"] == ExitCode.CAPABILITY else EdgeHarmonyError
            raise kind(answer["error"])
        return answer

    def _death(self) -> str:
        status = self._process.wait(timeout=10)
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"its process ended ({how}{': ' + said[-1] if said else ''})"

    def close(self, *, kill: bool = False) -> None:
        """End the process by closing its input; if it does not stop, kill it."""
        if kill:
            self._process.kill()
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):  # unsent requests do not matter
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
