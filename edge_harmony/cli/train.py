"""``edge-harmony train``: run a recipe."""

from __future__ import annotations

import math
import os
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn

from edge_harmony.cli.console import JsonOption, notes, out, print_json, shows_progress, stopping
from edge_harmony.cli.plain_progress import EVERY_SECONDS, duration
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.extras import require_torch
from edge_harmony.files.atomic import atomic_write
from edge_harmony.files.resources import find_resource
from edge_harmony.files.toml import parse_toml, read_text
from edge_harmony.training.until import parse_until

if TYPE_CHECKING:
    from edge_harmony.training.progress import Progress as State


def train(
    recipe: Annotated[str, typer.Argument(help="Recipe: a .toml file, or the name of a shipped one.")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="Root of the data set, replaces the recipe's; NAME=PATH for a source."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; default: runs/<recipe>.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the folder's checkpoint.")] = False,
    initial: Annotated[Path | None, typer.Option("--init", help="Weights or a checkpoint to start from.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the recipe, as stages.0.learning_rate=1e-3; with --resume on the way.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", help="Stop with a checkpoint at HH:MM, at a date with time, or after +90m, +8h, +2d."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of this process; 0: torch's choice.")] = 0,
    compiled: Annotated[bool, typer.Option("--compile", help="torch.compile: HDNet trains faster.")] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures", help="Draw learning curves and held-out samples after every validation."
        ),
    ] = True,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write events for TensorBoard, too; extra: tensorboard.")
    ] = False,
    memory: Annotated[float, typer.Option(min=0, help="GiB for decoded pictures; others are read when needed.")] = 8.0,
    json: JsonOption = False,
) -> None:
    """Train a network. A run can be stopped at any moment; --resume continues it, and the result does not change.

    Several GPUs or machines: torchrun --nproc-per-node N -m edge_harmony train RECIPE.
    """
    require_torch()
    import torch

    from edge_harmony.training.changes import change_recipe, parse_changes
    from edge_harmony.training.checkpoint import checkpoint_path, read_changes
    from edge_harmony.training.distributed import join_world
    from edge_harmony.training.recipe import Recipe
    from edge_harmony.training.record import RecordOptions
    from edge_harmony.training.trainer import Trainer

    end = parse_until(until, datetime.now().astimezone()) if until else None
    path = find_resource("recipes", recipe)
    text = read_text(path)
    parsed = parse_toml(text, Recipe, str(path))
    rooted = parsed.data.with_roots(data or ())
    for source in parsed.data.sources:
        if source.name not in {kept.name for kept in rooted.sources}:
            notes.print(f"source {source.name} is left out: pass --data {source.name}=ROOT to use it", soft_wrap=True)
    parsed = parsed.model_copy(update={"data": rooted})
    folder = output or Path("runs") / path.stem
    named = parse_changes(changes or ())
    if resume and initial is not None:
        raise UsageError("--init starts a run, --resume continues one", "pass one of them")
    before = read_changes(checkpoint_path(folder)) if resume else {}
    parsed = change_recipe(parsed, before | named)
    if resume:
        for key in before.keys() - named.keys():
            notes.print(f"changed before, and kept: {key} = {before[key]}", soft_wrap=True, markup=False)
    if compiled and not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++", "cl")))):
        raise CapabilityError("--compile needs a C++ compiler", "install g++ or clang++, or train without it")
    if threads:
        torch.set_num_threads(threads)
    with (
        join_world(device) as world,
        stopping("stopping after this step, with a checkpoint (again: at once)") as stop,
        Bar(enabled=world.is_main) as bar,
    ):
        trainer = Trainer(
            parsed,
            folder,
            world,
            bar.show,
            int(memory * 2**30),
            compiled=compiled,
            until=end.timestamp() if end else math.inf,
            initial=initial,
            changes=named,
            stop=stop,
            source=path,
            record=RecordOptions(pictures=pictures, tensorboard=tensorboard),
        )
        summary = trainer.run(resume=resume)
    if not world.is_main:
        return
    atomic_write(folder / "recipe.toml", text.encode())
    if summary is None:
        state = {"stage": parsed.stages[trainer.position.stage].name, "images": trainer.position.total}
        state["checkpoint"] = str(trainer.checkpoint)
        if json:
            print_json(state)
        else:
            out.print(
                f"stopped after {trainer.position.total:,} images, in stage {state['stage']}: go on with --resume",
                soft_wrap=True,
            )
        if stop.is_set():
            raise typer.Exit(stop.exit_status)
        return
    if json:
        print_json(summary)
    else:
        scores = ", ".join(f"{key} {value}" for key, value in summary["validation"].items())
        out.print(f"trained {summary['model']} on {summary['images']:,} images: {summary['weights']}", soft_wrap=True)
        out.print(f"validation: {scores or 'none held out'}", soft_wrap=True)
        out.print(
            f"next: edge-harmony export {summary['model']} --weights {summary['weights']} "
            "--target cpu-onnxruntime-int8 -o out",
            soft_wrap=True,
        )


class Bar:
    """A progress bar with rate and remaining time on a terminal; a line every 10 seconds on anything else."""

    def __init__(self, *, enabled: bool) -> None:
        text = "{task.description} {task.fields[note]}"
        shown = enabled and shows_progress()
        self._progress = Progress(TextColumn("train"), BarColumn(), TextColumn(text), console=notes, disable=not shown)
        self._plain = enabled and not shown
        self._next = 0.0

    def __enter__(self) -> Bar:
        self._task = self._progress.add_task("", total=1, note="")
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, state: State) -> None:
        """Show the trainer's report."""
        note = (
            f"{state.images:,}/{state.total:,} images, {state.rate:.0f}/s, {duration(state.remaining)} left, "
            f"loss {state.loss:.3f} of the composite's"
        )
        self._progress.update(self._task, completed=state.images, total=state.total, description=state.stage, note=note)
        if self._plain and time.monotonic() >= self._next:
            notes.print(f"{state.stage}: {note}", soft_wrap=True)
            self._next = time.monotonic() + EVERY_SECONDS
