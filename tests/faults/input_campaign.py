"""The campaign of inputs: numbers are handed to warm worker processes, and what they find is written down."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from edge_harmony.files.lock import alone
from tests.faults.inputs import Verdict, make_input
from tests.faults.journal import Journal
from tests.faults.seeds import ROOT, make_seeds

BLOCKED = 600
"""Seconds after which a worker that does not use the processor is ended: no limit of the processor's time ends it."""


class Worker:
    """A process of :mod:`tests.faults.input_worker`, and the number that it works on."""

    def __init__(self, seeds: Path, campaign: int, home: Path) -> None:
        self._command = [sys.executable, "-m", "tests.faults.input_worker", str(seeds), str(campaign), str(home)]
        self._home = home
        self.number: int | None = None
        self._used = self._since = 0.0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        self._home.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self._command, cwd=ROOT, env=environment, text=True, **pipes)  # type: ignore[call-overload]

    def hand(self, number: int) -> None:
        """Give it an input; a process that has died is replaced first."""
        if self.process.poll() is not None:
            self.process = self._start()
        assert self.process.stdin is not None
        self.number, self._used, self._since = number, 0.0, time.monotonic()
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def answer(self) -> Verdict | None:
        """Its verdict; None if it has died instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.endswith("\n"):
            self.process.wait()
            return None
        return Verdict(**json.loads(line))

    def is_blocked(self) -> bool:
        """Whether it waits for something; a machine that is busy with other things only makes it slow."""
        used = sum(psutil.Process(self.process.pid).cpu_times()[:2])
        if used > self._used:
            self._used, self._since = used, time.monotonic()
        return time.monotonic() - self._since > BLOCKED

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def run_inputs(out: Path, campaign: int, numbers: Iterable[int], workers: int) -> Journal:
    """Read inputs that are not in the journal yet; failing ones are written to ``out/failed``.

    Args:
        out: folder of the campaign: journal, seeds, failing inputs.
        campaign: seed of the campaign.
        numbers: of the inputs.
        workers: number of processes.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with alone(out):  # the workers' folders have fixed names
        make_seeds(out / "seeds")
        journal = Journal.at(out / f"inputs-{campaign}.jsonl")
        pool = [Worker(out / "seeds", campaign, out / f"worker-{k}") for k in range(workers)]
        try:
            _share_out(out, campaign, [number for number in numbers if number not in journal.verdicts], pool, journal)
        finally:
            for worker in pool:
                worker.end()
        return journal


def _share_out(out: Path, campaign: int, numbers: list[int], pool: list[Worker], journal: Journal) -> None:
    left = iter(numbers)
    while True:
        for worker in pool:
            if worker.number is None and (number := next(left, None)) is not None:
                worker.hand(number)
        busy = [worker for worker in pool if worker.number is not None]
        if not busy:
            return
        for worker in answered(busy):
            verdict = worker.answer() or died(worker, out / "seeds", campaign)
            worker.number = None
            journal.add(verdict)
            if verdict.fault:
                write_failing(out, campaign, verdict)


def answered(busy: list[Worker]) -> list[Worker]:
    """The workers that have an answer, or have died; those that wait for ever are ended."""
    with selectors.DefaultSelector() as selector:
        for worker in busy:
            assert worker.process.stdout is not None
            selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        found = [key.data for key, _ in selector.select(10)]
    for worker in busy:
        if worker not in found and worker.is_blocked():
            worker.process.send_signal(signal.SIGALRM)
    return found


def died(worker: Worker, seeds: Path, campaign: int) -> Verdict:
    """The verdict on an input whose reader has died."""
    assert worker.number is not None
    made = make_input(seeds, campaign, worker.number, worker._home / "input")
    status = worker.process.returncode
    ends = {-signal.SIGXCPU: "hang: its time on the processor is up", -signal.SIGALRM: "hang: it waits for ever"}
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return Verdict(made.number, made.reader.kind, made.name, "fault", ends.get(status, f"crash: {name}"))


def write_failing(out: Path, campaign: int, verdict: Verdict) -> None:
    """Write a failing input as files, with what is wrong beside it."""
    folder = out / "failed" / f"{verdict.kind}-{campaign}-{verdict.number}"
    make_input(out / "seeds", campaign, verdict.number, folder)
    (folder / "verdict.txt").write_text(f"{verdict.fault}\n\n{verdict.detail}\n")
