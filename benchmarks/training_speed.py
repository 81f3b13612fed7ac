"""Training speed on a CPU by threads, processes, memory layout, bfloat16 and size, and the share of composites.

    python benchmarks/training_speed.py --data pairs=ROOT --data photos=ROOT \\
        -o benchmarks/results/0.1.0/training-speed.json

The network is edge-s, whose encoder keeps its weights, as in its recipe. Every variant has its own process (or two) and
waits for its turn. A round gives each variant some steps of training, in a new order. Most train on noise, so that only
steps count; one makes the recipe's composites from pictures in memory for every step. Needs the extra [train].
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from measuring import quartiles
from provenance import provenance
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from edge_harmony.files.atomic import write_json
from edge_harmony.files.resources import find_resource
from edge_harmony.files.toml import read_toml
from edge_harmony.models.layers.colour_transform import apply_coarse
from edge_harmony.models.registry import build_model
from edge_harmony.training.batches import Batches
from edge_harmony.training.dataset import TrainingSample, split_samples
from edge_harmony.training.distributed import World
from edge_harmony.training.losses import foreground_mse
from edge_harmony.training.optimizer import in_encoder, make_optimizer
from edge_harmony.training.recipe import OptimizerConfig, Recipe

MODEL = "edge-s"
RECIPE = "edge-s-start"
BATCH = 32
REFERENCE = "1 thread"
STEPS = "2 processes, bfloat16"
WHOLE = "2 processes, bfloat16, composites made for every step"
PICTURES = 500


@dataclass(frozen=True)
class Way:
    """A variant of training: threads per process, processes, layout, autocast; composites or noise."""

    threads: int = 1
    processes: int = 1
    channels_last: bool = True
    bfloat16: bool = False
    composites: bool = False


WAYS = {
    REFERENCE: Way(),
    "1 thread, channels first": Way(channels_last=False),
    "1 thread, bfloat16": Way(bfloat16=True),
    "2 threads": Way(threads=2),
    "2 threads, bfloat16": Way(threads=2, bfloat16=True),
    "2 processes": Way(processes=2),
    STEPS: Way(processes=2, bfloat16=True),
    WHOLE: Way(processes=2, bfloat16=True, composites=True),
}

MakeBatch = Callable[[], tuple[Tensor, Tensor, Tensor]]


def noise(share: int, size: int, layout: torch.memory_format) -> MakeBatch:
    """One batch of noise, over and over."""
    real = torch.rand(share, 3, size, size).contiguous(memory_format=layout)
    composite = (0.8 * real).contiguous(memory_format=layout)
    mask = (torch.rand(share, 1, size, size) > 0.8).float()
    return lambda: (composite, real, mask)


def composites(recipe: Recipe, samples: list[list[TrainingSample]], size: int, world: World) -> MakeBatch:
    """A new batch of the recipe's composites for every call."""
    stage = recipe.stages[0].model_copy(update={"size": size, "batch": BATCH})
    batches, images = Batches(recipe.model_copy(update={"stages": (stage,)}), samples, world, 2**33), 0
    batches.open(stage)

    def make() -> tuple[Tensor, Tensor, Tensor]:
        nonlocal images
        batch = batches.take(0, images)
        images += BATCH
        return batch.composite, batch.real, batch.mask

    return make


def read_recipe(data: list[str]) -> tuple[Recipe, list[list[TrainingSample]]]:
    """The recipe, and the pictures that stand for its sources: they fit into memory at every size."""
    recipe = read_toml(find_resource("recipes", RECIPE), Recipe)
    recipe = recipe.model_copy(update={"data": recipe.data.with_roots(data)})
    return recipe, [samples[:PICTURES] for samples in split_samples(recipe.data)[0]]


def work(way: Way, rank: int, port: int, data: list[str]) -> None:
    """The main function of a process: for every size on stdin, time some steps and print wall and CPU seconds."""
    torch.set_num_threads(way.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    model = build_model(MODEL).to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, OptimizerConfig(encoder_rate=0.0))
    for name, module in model.named_modules():
        if in_encoder(name) and isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    parallel: torch.nn.Module = model
    if way.processes > 1:
        dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=way.processes)
        parallel = DistributedDataParallel(model)
    share = BATCH // way.processes
    recipe, samples = read_recipe(data) if way.composites else (None, [])
    world = World(rank, way.processes, torch.device("cpu"))
    batches: dict[int, MakeBatch] = {}
    print("ready", flush=True)
    for line in sys.stdin:
        size, steps = map(int, line.split())
        if size not in batches:
            batches[size] = composites(recipe, samples, size, world) if recipe else noise(share, size, layout)
        for step in range(steps + 1):
            if step == 1:  # the first one warms up
                start, used = time.perf_counter(), time.process_time()
            composite, real, mask = batches[size]()
            composite, real = (x.contiguous(memory_format=layout) for x in (composite, real))
            with torch.autocast("cpu", torch.bfloat16, enabled=way.bfloat16):
                output = parallel(composite, mask)
            result = apply_coarse(composite, mask, output.float(), str(model.output))
            loss = foreground_mse(result, real, mask, 0.0)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        print(time.perf_counter() - start, time.process_time() - used, flush=True)


def start(name: str, port: int, data: list[str]) -> list[subprocess.Popen[str]]:
    """The processes of a variant, ready for their turns."""
    command = [
        sys.executable,
        __file__,
        "--way",
        name,
        "--port",
        str(port),
        *(f"--data={root}" for root in data),
        "--rank",
    ]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*command, str(rank)], **pipes) for rank in range(WAYS[name].processes)]
    for worker in workers:
        answer(worker)
    return workers


def answer(worker: subprocess.Popen[str]) -> str:
    """The next line that a worker prints."""
    assert worker.stdout is not None
    line = worker.stdout.readline().strip()
    if not line:
        sys.exit("a worker died; its message is above")
    return line


def turn(workers: list[subprocess.Popen[str]], size: int, steps: int) -> tuple[float, float]:
    """Images of one turn per second of wall time, and per second of core time."""
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{size} {steps}\n")
        worker.stdin.flush()
    walls, used = zip(*(map(float, answer(worker).split()) for worker in workers), strict=True)
    return steps * BATCH / max(walls), steps * BATCH / sum(used)


def measure(
    ways: list[str], sizes: list[int], rounds: int, steps: int, data: list[str]
) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield after every round the rates of every variant at every size, and the ratios to the reference's turn."""
    groups = {name: start(name, 29600 + number, data) for number, name in enumerate(ways)}
    rates: dict[tuple[int, str], list[tuple[float, float]]] = {(size, name): [] for size in sizes for name in ways}
    shuffler = random.Random(0)
    for _ in range(rounds):
        for size in sizes:
            count = max(1, steps * 64 * 64 // (size * size))  # about equal time
            for name in shuffler.sample(ways, len(ways)):
                rates[size, name].append(turn(groups[name], size, count))
        found = {str(size): {n: summarize(rates[size, n], rates[size, REFERENCE]) for n in ways} for size in sizes}
        yield {"sizes": found, "share_of_composites": {str(size): of_a_step(rates, size) for size in sizes}}
    for workers in groups.values():
        for worker in workers:
            worker.communicate()


def summarize(rates: list[tuple[float, float]], reference: list[tuple[float, float]]) -> dict[str, float]:
    """Medians, the fastest turn, and ratios to the reference's turn of that round.

    Core time is the steadier measure if other programs share the machine, but it includes the time that threads wait
    for each other. The fastest turn is the least disturbed one.
    """
    wall, core = zip(*rates, strict=True)
    reference_wall, reference_core = zip(*reference, strict=True)
    return {
        "images_a_second": round(float(np.median(wall)), 1),
        "fastest": round(max(wall), 1),
        "images_a_core_second": round(float(np.median(core)), 1),
        **quartiles("of_reference", list(wall), list(reference_wall)),
        **quartiles("of_reference_a_core_second", list(core), list(reference_core)),
    }


def of_a_step(rates: dict[tuple[int, str], list[tuple[float, float]]], size: int) -> dict[str, float] | None:
    """The share of a step's core time that its composites take: one minus the ratio of both rates in a round."""
    if not all((size, name) in rates for name in (STEPS, WHOLE)):
        return None
    alone, whole = ([core for _, core in rates[size, name]] for name in (STEPS, WHOLE))
    shares = [1 - with_them / without for with_them, without in zip(whole, alone, strict=True)]
    low, middle, high = np.percentile(shares, (25, 50, 75))
    return {"median": round(middle, 3), "q25": round(low, 3), "q75": round(high, 3)}


def main() -> None:
    """Measure and write; or be one of the workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help=f"with {REFERENCE!r} among them")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="steps per turn at 64 pixels; fewer at larger sizes")
    parser.add_argument(
        "--data", action="append", default=[], metavar="NAME=ROOT", help="roots of the recipe's sources"
    )
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        work(WAYS[arguments.way], arguments.rank, arguments.port, arguments.data)
        return
    if not arguments.data and WHOLE in arguments.ways:
        parser.error(
            f"composites need pictures: pass --data pairs=ROOT --data photos=ROOT, or --ways without {WHOLE!r}"
        )
    facts = {**provenance("torch"), "model": MODEL, "batch": BATCH, "reference": REFERENCE}
    rounds = measure(arguments.ways, arguments.sizes, arguments.rounds, arguments.steps, arguments.data)
    for number, found in enumerate(rounds, 1):
        if arguments.output:  # a stopped measurement keeps its whole rounds
            write_json(arguments.output, facts | {"rounds": number} | found)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
