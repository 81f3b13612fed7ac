"""Divide items among processes of this machine. A process that dies is replaced, and its item is tried once more."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import current_process, get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.files.stderr import for_children, silent_libraries
from edge_harmony.folder.items import Item, Outcome
from edge_harmony.folder.work import Work
from edge_harmony.pictures.parallel_rows import cores

log = logging.getLogger(__name__)

_WORTH_A_PROCESS = 16
"""Number of pictures that take about as long as the start of a process."""
_TRIES = 2
_END_SECONDS = 10


def run_in_processes(work: Work, items: Sequence[Item], workers: int, stop: threading.Event) -> Iterator[Outcome]:
    """Do the work and yield outcomes as they arrive; after ``stop`` no new item is begun.

    Args:
        work: what to do with an item.
        items: the items.
        workers: number of processes; 1: work in this process; 0: one for every core, but fewer for few items.
        stop: set it to end early.

    Raises:
        EdgeHarmonyError: the network cannot be loaded.
    """
    available = cores()
    count = min(workers or min(available, len(items) // _WORTH_A_PROCESS), len(items))
    if count > 1 and current_process().daemon:  # as in Celery and multiprocessing.Pool
        log.warning("this process may start no others: the files are done one after the other")
        count = 1
    if count <= 1:
        yield from _here(work, items, stop)
        return
    threads = work.request.threads or max(1, available // count)
    work = replace(work, request=replace(work.request, threads=threads))
    todo, tries = deque(items), dict.fromkeys(items, 0)
    processes: dict[Connection, SpawnProcess] = {}
    busy: dict[Connection, Item] = {}

    def start() -> None:
        ours, process = _start(work)
        processes[ours] = process
        hand_out(ours)

    def hand_out(connection: Connection) -> None:
        if not todo or stop.is_set():
            end(connection)
            return
        item = busy[connection] = todo.popleft()
        tries[item] += 1
        with contextlib.suppress(BrokenPipeError):  # the process has died; wait() will report it
            connection.send(item)

    def end(connection: Connection) -> SpawnProcess:
        connection.close()
        process = processes.pop(connection)
        process.join(_END_SECONDS)
        return process

    try:
        for _ in range(count):
            start()
        while busy:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                item = busy.pop(connection)
                try:
                    answer = connection.recv()
                except (EOFError, ConnectionResetError):
                    process = end(connection)
                    if tries[item] < _TRIES:
                        todo.appendleft(item)
                    else:
                        yield Outcome(item, f"its process died {_TRIES} times (exit status {process.exitcode})")
                    if todo and not stop.is_set():
                        start()
                    continue
                if isinstance(answer, EdgeHarmonyError):
                    raise answer
                yield answer
                hand_out(connection)
    finally:
        for process in processes.values():
            process.kill()
        for connection in list(processes):
            end(connection)


def _here(work: Work, items: Sequence[Item], stop: threading.Event) -> Iterator[Outcome]:
    if not items:
        return
    worker = work.start()
    try:
        for item in items:
            if stop.is_set():
                return
            yield worker.do(item)
    finally:
        worker.close()


def _start(work: Work) -> tuple[Connection, SpawnProcess]:
    context = get_context("spawn")  # a fork would copy the locks of threads in whatever state they are
    ours, its = context.Pipe()
    process = context.Process(target=_serve, args=(its, work), daemon=True)
    with for_children(), _ctrl_c_blocked():
        process.start()
    its.close()
    return ours, process


@contextlib.contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Have processes that are started meanwhile not hear Ctrl-C, which a terminal sends to them too: while they import
    they would each end in a traceback. This process hears it afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # whose own start would give Ctrl-C free again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, work: Work) -> None:
    """A process's life: items in, outcomes out, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be blocked from the start
    with silent_libraries():
        try:
            worker = work.start()
        except EdgeHarmonyError as error:
            connection.send(error)
            return
        while True:
            try:
                item = connection.recv()
            except (EOFError, ConnectionResetError):
                break
            try:
                connection.send(worker.do(item))
            except BrokenPipeError:
                break
        worker.close()
