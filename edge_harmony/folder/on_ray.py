"""Divide items among the actors of a Ray cluster (Ray Data). Every actor loads the network once."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edge_harmony.errors import EdgeHarmonyError, first_line
from edge_harmony.extras import require
from edge_harmony.folder.items import Item, Outcome
from edge_harmony.folder.work import Work

_BATCH = 16
_TRIES = 2
_ANSWER_SECONDS = 60


def run_on_ray(work: Work, items: Sequence[Item], workers: int, stop: threading.Event) -> Iterator[Outcome]:
    """Do the work and yield outcomes as they arrive; after ``stop`` no more are awaited.

    This joins the cluster that the process is connected to, or the one that ``RAY_ADDRESS`` names. Without one it
    starts a cluster on this machine and ends it afterwards. If an actor dies, another one repeats its items.

    Args:
        work: what to do with an item. The actors read and write the files: a name must lead to one file on all nodes.
        items: the items.
        workers: number of actors; 0: one for every CPU of the cluster.
        stop: set it to end early.

    Raises:
        CapabilityError: Ray is not installed.
        EdgeHarmonyError: the network cannot be loaded, or the cluster fails.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = require("ray", "--engine ray needs Ray")
    require("ray.data", "--engine ray needs Ray Data")
    if not items:
        return
    own = not ray.is_initialized()
    if own:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    ledger = _ledger(ray)
    try:
        for row in _rows(ray, work, items, workers, ledger):
            item = Item(row["composite"], row["mask"] or None, row["output"])
            yield Outcome(item, row["error"] or None)
            if stop.is_set():
                return
    except ray.exceptions.RayError as error:
        raise _reason(ray, ledger) or EdgeHarmonyError(
            f"Ray failed ({first_line(error)})", "see its logs; resume=True goes on with what is left"
        ) from None
    finally:
        if own:
            ray.shutdown()


def _ledger(ray: Any) -> Any:
    """The ledger's actor, on the node of this process: where another node is lost, the ledger is not.

    If its own process dies, it begins anew, and the worst is that items are done twice.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    settings = {"num_cpus": 0, "scheduling_strategy": here, "max_restarts": -1, "max_task_retries": -1}
    return ray.remote(**settings)(Ledger).remote()


def _reason(ray: Any, ledger: Any) -> EdgeHarmonyError | None:
    """Why no item can be done, if an actor has said so; None if the ledger does not answer."""
    try:
        reason: EdgeHarmonyError | None = ray.get(ledger.reason.remote(), timeout=_ANSWER_SECONDS)
    except ray.exceptions.RayError:
        return None
    return reason


def _rows(ray: Any, work: Work, items: Sequence[Item], workers: int, ledger: Any) -> Iterator[dict[str, Any]]:
    count = min(workers or max(1, int(ray.cluster_resources().get("CPU", 1))), len(items))
    threads = work.request.threads or 1
    work = replace(work, request=replace(work.request, threads=threads))
    numbered = [
        {"number": number, "composite": item.composite, "mask": item.mask or "", "output": item.output}
        for number, item in enumerate(items)
    ]
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are reported by the outcomes
    results = ray.data.from_items(numbered, override_num_blocks=-(-len(items) // _BATCH)).map_batches(
        Actor,
        fn_constructor_args=(work, ledger),
        batch_size=_BATCH,
        compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=threads,
    )
    results.context.enable_progress_bars = False
    return results.iter_rows()


class Ledger:
    """A record of started and finished items.

    Ray repeats the whole batch of an actor that died. With this record it does not repeat finished items, and does not
    try for ever an item that kills its process.
    """

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}
        self._finished: dict[int, str] = {}
        self._reason: EdgeHarmonyError | None = None

    def begin(self, number: int) -> str | None:
        """Start an item. Returns None if the item is still to be done, else its error (empty if there was none)."""
        self._begun[number] = self._begun.get(number, 0) + 1
        if self._begun[number] > _TRIES:
            self._finished.setdefault(number, f"its process died {_TRIES} times")
        return self._finished.get(number)

    def finish(self, number: int, error: str) -> None:
        """Record that an item is finished, with its error (empty if there was none)."""
        self._finished[number] = error

    def fail(self, reason: EdgeHarmonyError) -> None:
        """Record why no item can be done; Ray would lose this error."""
        self._reason = reason

    def reason(self) -> EdgeHarmonyError | None:
        """The error of :meth:`fail`; None if it was not called."""
        return self._reason


class Actor:
    """A worker that Ray Data calls with one batch after the other."""

    def __init__(self, work: Work, ledger: Any) -> None:
        import ray

        self._ledger = ledger
        try:
            self._worker = work.start()
        except EdgeHarmonyError as error:
            ray.get(ledger.fail.remote(error))
            raise

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Harmonize a batch of numbered items and add the column ``error`` (empty if there was none)."""
        columns = (batch[name] for name in ("number", "composite", "mask", "output"))
        errors = [
            self._do(int(number), Item(str(composite), str(mask) or None, str(output)))
            for number, composite, mask, output in zip(*columns, strict=True)
        ]
        return batch | {"error": np.array(errors, dtype=object)}

    def _do(self, number: int, item: Item) -> str:
        import ray

        known: str | None = ray.get(self._ledger.begin.remote(number))
        if known is not None:
            return known
        error = self._worker.do(item).error or ""
        ray.get(self._ledger.finish.remote(number, error))
        return error
