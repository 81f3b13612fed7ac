"""Accidents: a scenario, a point in it, and what happens there; what is left is judged, and the scenario run again."""

from __future__ import annotations

import bisect
import contextlib
import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_harmony.files.lock import alone
from tests.faults.inputs import Verdict
from tests.faults.journal import Journal
from tests.faults.scenarios import SCENARIOS, Scenario, _is_sound
from tests.faults.seeds import ROOT

NOTHING, FAIL, FAIL_FROM_NOW_ON, SIGNAL, SHORT, JUMP = range(6)
"""Actions of ``file_faults.c``."""
OLDER = b"an older result"


@dataclass(frozen=True)
class Accident:
    """What happens at an operation on the scenario's files.

    Attributes:
        name: of the kind.
        share: of the accidents, relative to the others.
        action: of the preload library.
        number: signal, error or seconds.
        among: whether it happens to one of the processes that the command starts, and not to the command's own.
        closed: folder that another user runs the scenario without the right to write to: ``out`` or ``home``.
    """

    name: str
    share: int
    action: int
    number: int
    among: bool = False
    closed: str = ""


ACCIDENTS = (
    Accident("killed", 20, SIGNAL, signal.SIGKILL),
    Accident("disk full", 6, FAIL_FROM_NOW_ON, errno.ENOSPC),
    Accident("disk full in the middle of a write", 2, SHORT, errno.ENOSPC),
    Accident("a write fails", 4, FAIL, errno.EIO),
    Accident("quota", 1, FAIL_FROM_NOW_ON, errno.EDQUOT),
    Accident("no file descriptor left", 2, FAIL, errno.EMFILE),
    Accident("too many open files on the system", 1, FAIL, errno.ENFILE),
    Accident("read-only from now on", 1, FAIL_FROM_NOW_ON, errno.EROFS),
    Accident("interrupted call", 2, FAIL, errno.EINTR),
    Accident("Ctrl-C", 3, SIGNAL, signal.SIGINT),
    Accident("SIGTERM", 3, SIGNAL, signal.SIGTERM),
    Accident("clock a day ahead", 1, JUMP, 86_400),
    Accident("clock ten years back", 1, JUMP, -315_360_000),
    Accident("a folder that cannot be written", 1, NOTHING, 0, closed="out"),
    Accident("a home that cannot be written", 1, NOTHING, 0, closed="home"),
)
WORKER_KILLED = Accident("a worker is killed", 0, SIGNAL, signal.SIGKILL, among=True)
"""For scenarios that start processes, in half of their accidents."""
NOBODY = 65_534


def library(out: Path) -> Path:
    """The preload library, compiled if it is not there.

    Raises:
        OSError, subprocess.CalledProcessError: there is no C compiler.
    """
    made = out / "file_faults.so"
    if not made.exists():
        out.mkdir(parents=True, exist_ok=True)
        source = Path(__file__).with_name("file_faults.c")
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"], check=True)
    return made


class Server:
    """The process of :mod:`tests.faults.fork_server`, started under the preload library."""

    def __init__(self, out: Path) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(library(out))}
        self._log = (out / "server.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.fork_server"],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Have a request done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self._log.close()


@dataclass
class Reference:
    """A scenario's inputs, and what it gives if nothing happens.

    Attributes:
        inputs: folder to copy.
        results: a value of every result, by its name below ``out``.
        operations: number of operations on files below ``out``.
    """

    inputs: Path
    results: dict[str, str]
    operations: int


@dataclass
class Stage:
    """The place of accidents: a server, references, and a folder for the accident at hand."""

    out: Path
    server: Server
    references: dict[str, Reference] = field(default_factory=dict)

    def reference(self, scenario: Scenario) -> Reference:
        """The reference of a scenario, made at its first use."""
        if scenario.name not in self.references:
            inputs = self.out / "inputs" / scenario.name
            shutil.rmtree(inputs, ignore_errors=True)
            self.server.ask(prepare=str(inputs), scenario=scenario.name)
            folder = self.out / "reference" / scenario.name
            lay(inputs, folder)
            done = self.run(scenario, folder, scenario.arguments)
            if done["status"]:
                said = (folder / "stderr").read_text()
                raise RuntimeError(f"{scenario.name} fails without an accident ({done['status']}): {said}")
            self.references[scenario.name] = Reference(inputs, results_of(scenario, folder), max(1, done["seen"]))
        return self.references[scenario.name]

    def run(
        self, scenario: Scenario, folder: Path, arguments: Iterable[str], accident: Accident | None = None, nth: int = 0
    ) -> dict[str, Any]:
        """Run a scenario in a folder, with an accident at its n-th operation."""
        action, number = (accident.action, accident.number) if accident else (NOTHING, 0)
        user = 0
        if accident is not None and accident.closed:
            user = NOBODY if os.geteuid() == 0 else 0
            for name in ("work", "work/out", "tmp"):
                (folder / name).mkdir(exist_ok=True)
                (folder / name).chmod(0o555 if name == "work" or name.endswith(accident.closed) else 0o777)
            for file in (folder, folder / "stdout", folder / "stderr"):
                file.touch()
                file.chmod(0o777)
        try:
            return self.server.ask(
                scenario=scenario.name,
                folder=str(folder),
                arguments=[*arguments],
                action=int(action),
                number=int(number),
                nth=nth,
                token=str(folder / "token") if accident is not None and accident.among else "",
                user=user,
            )
        finally:
            for name in ("work", "work/out"):
                (folder / name).chmod(0o755)


def lay(inputs: Path, folder: Path) -> None:
    """A new folder with a scenario's inputs."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(inputs, folder / "work")
    (folder / "work" / "out").mkdir()


def results_of(scenario: Scenario, folder: Path) -> dict[str, str]:
    """A value of every result that does not grow."""
    out = folder / "work" / "out"
    return {name: scenario.value(out / name) for name in visible(out) if name not in scenario.growing}


def visible(out: Path) -> list[str]:
    """Names of files below a folder that are not hidden."""
    names = (str(path.relative_to(out)) for path in sorted(out.rglob("*")) if path.is_file())
    return [name for name in names if ".part" not in name]


def leftovers(folder: Path) -> list[str]:
    """Names of temporary files and folders."""
    out = folder / "work" / "out"
    return [str(path.relative_to(out)) for path in out.rglob("*") if ".part" in path.name]


def passes(scenario: Scenario, name: str) -> bool:
    """Whether a result may be of an earlier moment."""
    return name.split("/")[0] in scenario.passing


def choose(campaign: int, number: int) -> tuple[Scenario, Accident, np.random.Generator]:
    """The scenario and the accident of a number."""
    rng = np.random.default_rng((campaign, number, 1))
    ends = list(itertools.accumulate(scenario.share for scenario in SCENARIOS))
    scenario = SCENARIOS[bisect.bisect(ends, int(rng.integers(0, ends[-1])))]
    ends = list(itertools.accumulate(accident.share for accident in ACCIDENTS))
    return scenario, ACCIDENTS[bisect.bisect(ends, int(rng.integers(0, ends[-1])))], rng


def have(stage: Stage, campaign: int, number: int) -> Verdict:
    """Let an accident happen, judge what is left, run the scenario again, and judge its results."""
    scenario, accident, rng = choose(campaign, number)
    reference = stage.reference(scenario)
    folder = stage.out / "accident"
    lay(reference.inputs, folder)
    older = rng.random() < 0.5
    if older:
        for name in scenario.older:
            (folder / "work" / "out" / name).write_bytes(OLDER)
    operations = reference.operations
    if scenario.workers and rng.random() < 0.5:
        accident, operations = WORKER_KILLED, scenario.workers
    nth = int(rng.integers(1, operations + 1))
    done = stage.run(scenario, folder, scenario.arguments, accident, nth)
    fault = after(scenario, accident, reference, folder, done["status"])
    said = (folder / "stderr").read_text(errors="replace")
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(done["group"], signal.SIGKILL)
    if not fault:
        (folder / "stderr").unlink()
        begun = any(visible(folder / "work" / "out"))
        fault = afterwards(stage, scenario, reference, folder, begun=begun)
        said += (folder / "stderr").read_text(errors="replace") if (folder / "stderr").exists() else ""
    name = f"{scenario.name}, at {nth} of {operations}"
    outcome = "fault" if fault else "read" if done["status"] == 0 else "refused"
    return Verdict(number, accident.name, name, outcome, f"{scenario.name}: {fault}" if fault else "", said)


def after(scenario: Scenario, accident: Accident, reference: Reference, folder: Path, status: int) -> str:
    """What is wrong right after an accident; empty if nothing is."""
    said = (folder / "stderr").read_text(errors="replace")
    out = folder / "work" / "out"
    if status == -signal.SIGALRM:
        return "hangs"
    for name in visible(out):
        path = out / name
        if path.read_bytes() == OLDER or scenario.value(path) == reference.results.get(name):
            continue
        if passes(scenario, name) and is_whole(path):
            continue
        if name == "edge-harmony-failed.json" and is_whole(path):  # it says what failed
            continue
        return f"{name} is neither the older file nor the new one"
    if accident.among:
        wrong = differences(results_of(scenario, folder), reference)
        return f"exit status {status} after a worker was killed" if status else wrong
    if accident.number == signal.SIGKILL and accident.action == SIGNAL:
        return "" if status in (-signal.SIGKILL, 0) else f"exit status {status} after a kill"
    if "Traceback (most recent call last)" in said:
        return f"a traceback: {said.strip().splitlines()[-1][:120]}"
    left = leftovers(folder) if accident.number not in (errno.EIO, errno.EROFS) else []  # removing failed as well
    if left:
        return f"left {left[0]} behind" if status >= 0 else f"ended by signal {-status}, and left a file behind"
    if accident.action == SIGNAL:
        ends = (0, 1, 130) if accident.number == signal.SIGINT else (0, 1, 130, 143)
        return "" if status in ends else f"exit status {status}"
    if status == 0:
        wrong = differences(results_of(scenario, folder), reference)
        return f"exit 0, and {wrong}" if wrong else ""
    if status not in (1, 2, 3):
        return f"exit status {status}"
    return "" if "error: " in said else f"exit status {status} without a line"


def afterwards(stage: Stage, scenario: Scenario, reference: Reference, folder: Path, *, begun: bool) -> str:
    """What is wrong with the next run, and with its results; empty if nothing is."""
    again = scenario.again if scenario.again is not None and begun else scenario.arguments
    if scenario.name == "train" and not (folder / "work" / "out" / "checkpoint.safetensors").exists():
        again = scenario.arguments
    done = stage.run(scenario, folder, again)
    if done["status"]:
        said = (folder / "stderr").read_text(errors="replace").strip().splitlines()
        return f"the next run ends with {done['status']}: {said[-1][:160] if said else ''}"
    if wrong := differences(results_of(scenario, folder), reference):
        return f"the next run: {wrong}"
    if scenario.cleans and (left := leftovers(folder)):
        return f"the next run leaves {left[0]}"
    return ""


def differences(found: dict[str, str], reference: Reference) -> str:
    """What results lack, or have instead."""
    for name, value in reference.results.items():
        if name not in found:
            return f"{name} is missing"
        if found[name] != value:
            return f"{name} differs"
    return ""


def is_whole(path: Path) -> bool:
    """Whether a file can be read to its end."""
    try:
        return _is_sound(path)
    except (ValueError, KeyError, IndexError, UnicodeDecodeError):
        return False


def run_accidents(out: Path, campaign: int, numbers: Iterable[int]) -> Journal:
    """Let accidents happen that are not in the journal yet; what failing ones leave is kept in ``out/failed``."""
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    journal = Journal.at(out / f"accidents-{campaign}.jsonl")
    left = [number for number in numbers if number not in journal.verdicts]
    if not left:
        return journal
    with alone(out):  # the accident at hand has a folder of a fixed name
        stage = Stage(out, Server(out))
        try:
            for number in left:
                verdict = have(stage, campaign, number)
                journal.add(verdict)
                if verdict.fault:
                    _keep(out, campaign, verdict)
        finally:
            stage.server.end()
    return journal


def _keep(out: Path, campaign: int, verdict: Verdict) -> None:
    kept = out / "failed" / f"accident-{campaign}-{verdict.number}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(out / "accident", kept, symlinks=True)
    (kept / "verdict.txt").write_text(f"{verdict.kind}, {verdict.name}\n{verdict.fault}\n\n{verdict.detail}\n")
