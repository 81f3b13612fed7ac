"""A Ray cluster that loses a worker and a node in the middle of a folder: every picture is done once."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from edge_harmony.folder.items import Outcome
from edge_harmony.folder.run import harmonize_folder

CORES = 2
"""Of each node."""
_TRIES = 5


@dataclass(frozen=True)
class Losses:
    """What a folder run told while its cluster lost parts.

    Attributes:
        outcomes: how often each composite had an outcome.
        errors: what failed, by composite.
        results: names of the files in the folder of results.
        lost: what was taken away.
    """

    outcomes: Counter[str]
    errors: dict[str, str]
    results: set[str]
    lost: list[str]


def lose(composites: str, masks: str, output: str, *, node: bool) -> Losses:
    """Harmonize a folder on a cluster of two nodes, one of which is lost, or one of whose workers is, in the middle.

    Args:
        composites: folder of pictures.
        masks: folder of their masks.
        output: folder for the results.
        node: lose a node, not a worker only.
    """
    import ray
    from ray.cluster_utils import Cluster

    cluster, second = started(Cluster)
    outcomes: Counter[str] = Counter()
    errors: dict[str, str] = {}
    lost: list[str] = []
    count = len(list(Path(composites).iterdir()))
    enough = threading.Event()

    def take_away() -> None:
        enough.wait()
        if node:
            cluster.remove_node(second, allow_graceful=False)
            lost.append("a node")
        else:
            lost.append(f"worker {kill_a_worker()}")

    def heard(outcome: Outcome) -> None:
        outcomes[outcome.item.composite] += 1
        if outcome.error:
            errors[outcome.item.composite] = outcome.error

    watching = threading.Thread(target=watch, args=(Path(output), count // 4, enough), daemon=True)
    taking = threading.Thread(target=take_away, daemon=True)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        for thread in (watching, taking):
            thread.start()
        harmonize_folder(
            composites, masks, output, model="edge-n", engine="ray", workers=2 * CORES, advance=heard, threads=1
        )
    finally:
        enough.set()
        taking.join()
        ray.shutdown()
        cluster.shutdown()
    names = {path.name for path in Path(output).iterdir() if path.suffix == ".png"}
    return Losses(outcomes, errors, names, lost)


def started(kind: Any) -> tuple[Any, Any]:
    """A cluster and its second node. Ray gives a node 30 s to start, which a busy machine may need several times."""
    for left in reversed(range(_TRIES)):
        cluster = kind()
        try:
            cluster.add_node(num_cpus=CORES, include_dashboard=False)
            return cluster, cluster.add_node(num_cpus=CORES)
        except Exception:  # Ray's own is of no other kind
            cluster.shutdown()
            if not left:
                raise
    raise AssertionError


def watch(output: Path, wanted: int, enough: threading.Event) -> None:
    """Set an event when so many results are there."""
    while not enough.wait(0.02):
        if output.is_dir() and len(list(output.glob("*.png"))) >= wanted:
            enough.set()


def kill_a_worker() -> int:
    """Kill a process of the actors' pool in this process's cluster; returns its number, 0 if there is none."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            words = " ".join(process.cmdline())
            if words.startswith("ray::") and "MapBatches" in words:
                process.kill()
                return process.pid
    return 0
