"""Run a suite: every contender has its own process, and all take turns."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edge_harmony.benchmark import result as schema
from edge_harmony.benchmark.budget import Budget, check_names, judge
from edge_harmony.benchmark.environment import environment
from edge_harmony.benchmark.job import ContenderJob
from edge_harmony.benchmark.measurement import measurement
from edge_harmony.benchmark.preparation import describe, prepare
from edge_harmony.benchmark.process import ContenderProcess
from edge_harmony.benchmark.session import LEAST_TURNS, OPENING, ContenderSession
from edge_harmony.benchmark.suite import ContenderSpec, Suite
from edge_harmony.errors import CapabilityError, EdgeHarmonyError, ExitCode, UsageError
from edge_harmony.pictures.parallel_rows import cores

_SCORING = 7200.0
_TURN_MS = 20.0
"""Fast contenders answer as many queries per turn as fit into this number of milliseconds."""
_MOST_IN_TURN = 10
_WORST = 4
_LINE_SECONDS = 10.0

Tell = Callable[[str], None]


def check_call(suite: Suite, data: Path | None, budget: Budget | None) -> None:
    """Refuse what :func:`run_suite` cannot measure, before anything runs; its exceptions but the baseline's."""
    if data is not None and not data.is_dir():
        raise UsageError(f"the data root {data} is not a folder", "give the folder that holds IHD_test.txt")
    if budget is not None:
        check_names(budget, [entry.name for entry in suite.contenders])


def run_suite(
    suite: Suite,
    *,
    data: Path | None = None,
    budget: Budget | None = None,
    pictures: Path | None = None,
    tell: Tell = lambda line: None,
) -> schema.Result:
    """Measure a suite.

    Args:
        suite: the suite.
        data: root of a data set; all contenders are scored on its test pictures. Without one, networks are compared
            with the PyTorch reference on the shipped samples.
        budget: limits to check; see :func:`edge_harmony.benchmark.budget.exit_code`.
        pictures: folder for the worst pictures of every contender, ``<name>/<number>-<panel>.webp``.
        tell: called with lines of progress.

    Raises:
        EdgeHarmonyError: the baseline does not run.
        UsageError: the data set does not exist.
        InputError: a limit of the budget matches no contender and so would never be checked.
    """
    check_call(suite, data, budget)
    began = time.monotonic()
    where = environment()
    failures: list[schema.Failure] = []
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        jobs = _prepared(suite, folder, failures, tell)
        sessions = _opened(suite, jobs, failures, held, tell)
        _need_baseline(suite, sessions, failures)
        if suite.scenario == "sustained":
            _sustain(suite, sessions, failures, tell)
        else:
            _interleave(suite, sessions, failures, tell)
        _each(sessions, sessions, failures, tell, ContenderSession.ask_cost)
        _need_baseline(suite, sessions, failures)
        scores = _scored(suite, sessions, data, pictures, tell)
    baseline = next(s for s in sessions if s.contender.name == suite.baseline)
    measurements = [measurement(suite, s, baseline, scores[s.contender.name]) for s in sessions]
    result = schema.Result(
        suite=suite.name,
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        baseline=suite.baseline,
        seconds=round(time.monotonic() - began, 1),
        environment=where,
        measurements=measurements,
        failures=failures,
    )
    return judge(result, budget, suite.tolerance)


def _prepared(suite: Suite, folder: Path, failures: list[schema.Failure], tell: Tell) -> list[ContenderJob]:
    jobs = []
    for entry in suite.contenders:
        try:
            jobs.append(prepare(entry, suite, folder))
        except EdgeHarmonyError as error:
            _failed(entry, error, failures, tell)
    return jobs


def _opened(
    suite: Suite, jobs: Sequence[ContenderJob], failures: list[schema.Failure], held: ExitStack, tell: Tell
) -> list[ContenderSession]:
    """Start a worker for every job, several at a time."""

    def start(job: ContenderJob) -> ContenderSession | EdgeHarmonyError:
        process = ContenderProcess(suite.threads)
        held.callback(process.close)
        try:
            answer = process.ask("open", job=job.model_dump(mode="json"), timeout=OPENING)
            return ContenderSession(job, process, describe(job, answer["sha256"]))
        except EdgeHarmonyError as error:
            return error

    sessions = []
    with ThreadPoolExecutor(cores()) as pool:
        for job, started in zip(jobs, pool.map(start, jobs), strict=True):
            if isinstance(started, EdgeHarmonyError):
                _failed(job.entry, started, failures, tell)
            else:
                sessions.append(started)
    tell(f"{len(sessions)} of {len(suite.contenders)} contenders are ready")
    return sessions


def _interleave(suite: Suite, sessions: list[ContenderSession], failures: list[schema.Failure], tell: Tell) -> None:
    """Run rounds in which every contender has a turn, in a new order, until each median is known well enough.

    The baseline goes on to the end, because the others are compared with its turns of their rounds.
    """
    shuffler = random.Random(0)
    _each(sessions, sessions, failures, tell, _find_burst)
    for session in sessions:
        session.rounds.clear()
        session.stages.clear()
        session.seconds = 0.0
    rounds, began = 0, time.monotonic()
    said = began
    while any(not session.done for session in sessions):
        order = [s for s in sessions if not s.done or s.contender.name == suite.baseline]
        shuffler.shuffle(order)
        _each(sessions, order, failures, tell, lambda session: session.turn(session.burst))
        for session in order:
            session.done = session.done or session.is_enough(suite)
        rounds += 1
        if time.monotonic() - said >= _LINE_SECONDS:
            said = time.monotonic()
            tell(_how_far(suite, sessions, rounds, said - began))


def _how_far(suite: Suite, sessions: Sequence[ContenderSession], rounds: int, elapsed: float) -> str:
    """A line: how many medians are known, and how long it takes at most if all queries go on as they did."""
    spent = sum(session.seconds for session in sessions)
    left = sum(max(0.0, suite.effort.most_seconds - session.seconds) for session in sessions if not session.done)
    most = f", at most {left * elapsed / spent:.0f} s left" if spent else ""
    return f"round {rounds}: {sum(s.done for s in sessions)} of {len(sessions)} are known well enough{most}"


def _find_burst(session: ContenderSession) -> None:
    session.turn(1)
    session.burst = int(np.clip(round(_TURN_MS / session.rounds[-1][0]), 1, _MOST_IN_TURN))


def _sustain(suite: Suite, sessions: list[ContenderSession], failures: list[schema.Failure], tell: Tell) -> None:
    """Load one contender after the other, without a pause."""

    def load(session: ContenderSession) -> None:
        session.turn(1)
        second = max(1, round(1e3 / session.rounds[-1][0]))
        while session.seconds < suite.seconds or len(session.rounds) < LEAST_TURNS:
            session.turn(second)
        tell(f"{session.contender.name}: {session.seconds:.0f} s of load")

    _each(sessions, sessions, failures, tell, load)


def _each(
    sessions: list[ContenderSession],
    order: Sequence[ContenderSession],
    failures: list[schema.Failure],
    tell: Tell,
    work: Callable[[ContenderSession], None],
) -> None:
    """Call ``work`` for the contenders in an order; contenders that fail are removed."""
    for session in list(order):
        try:
            work(session)
        except EdgeHarmonyError as error:
            session.process.close(kill=True)
            _failed(session.job.entry, error, failures, tell)
            sessions.remove(session)


def _failed(entry: ContenderSpec, error: EdgeHarmonyError, failures: list[schema.Failure], tell: Tell) -> None:
    failure = schema.Failure(
        contender=entry.name, error=str(error), optional=entry.optional, exit_code=int(error.exit_code)
    )
    failures.append(failure)
    tell(f"{entry.name}: {error}")


def _need_baseline(suite: Suite, sessions: Sequence[ContenderSession], failures: Sequence[schema.Failure]) -> None:
    if not any(session.contender.name == suite.baseline for session in sessions):
        failure = next((f for f in failures if f.contender == suite.baseline), None)
        missing = failure is not None and failure.exit_code == ExitCode.CAPABILITY
        kind = CapabilityError if missing else EdgeHarmonyError
        why = failure.error if failure else ""
        raise kind(f"the baseline {suite.baseline} does not run: {why}", "choose another baseline")


def _scored(
    suite: Suite, sessions: Sequence[ContenderSession], data: Path | None, pictures: Path | None, tell: Tell
) -> dict[str, dict[str, Any]]:
    """Score the contenders, one per core at a time, as timing is over."""

    def score(session: ContenderSession) -> dict[str, Any]:
        if session.job.untrained:
            return {"unscored": "its weights are random"}
        name = session.contender.name
        folder = pictures / session.contender.folder if pictures is not None and data is not None else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        try:
            answer = session.process.ask(
                "score",
                data=str(data.resolve()) if data else None,
                limit=suite.limit,
                worst=_WORST,
                folder=str(folder) if folder else None,
                timeout=_SCORING,
            )
        except EdgeHarmonyError as error:
            tell(f"{name} is not scored: {error}")
            return {"unscored": str(error)}
        tell(f"{name} is scored")
        return answer

    with ThreadPoolExecutor(max(1, cores() // max(1, suite.threads))) as pool:
        return dict(zip((s.contender.name for s in sessions), pool.map(score, sessions), strict=True))
