"""The trainer: runs a recipe's stages in one process or several, and can be stopped at any moment.

The schedule is a function of the images seen, and so are the draws of a batch. So a run that was killed and resumed
gives the result of an uninterrupted run.
"""

from __future__ import annotations

import contextlib
import copy
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from edge_harmony.errors import TrainingError, UsageError, first_line
from edge_harmony.files.atomic import make_folder, write_json
from edge_harmony.files.identity import check_outputs
from edge_harmony.files.lock import alone
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import save_weights
from edge_harmony.pictures.images import Picture
from edge_harmony.quantization.prepare import learn_scales, observe_with, prepare_qat
from edge_harmony.training.average import AveragedWeights
from edge_harmony.training.batches import Batches
from edge_harmony.training.changes import Changes
from edge_harmony.training.checkpoint import Position, checkpoint_path, read_checkpoint, save_checkpoint
from edge_harmony.training.dataset import TrainingSample, split_samples
from edge_harmony.training.distributed import World
from edge_harmony.training.objective import Objective
from edge_harmony.training.optimizer import make_optimizer
from edge_harmony.training.progress import Progress, Reports
from edge_harmony.training.recipe import Recipe, StageConfig
from edge_harmony.training.record import CURVES, LOG, SAMPLES, Record, RecordOptions
from edge_harmony.training.start import start_from
from edge_harmony.training.step import TrainingStep
from edge_harmony.training.validation import show, validate

DEFAULT_MEMORY = 8 << 30

SUMMARY = "summary.json"


class Trainer:
    """Train one recipe.

    Args:
        recipe: the recipe.
        output: folder for ``checkpoint.safetensors``, ``summary.json``, the weights and the record of the run.
        world: rank and device of this process; see :func:`edge_harmony.training.distributed.join_world`.
        memory: limit in bytes for decoded pictures; larger sets are decoded batch by batch.
        compiled: run float stages through ``torch.compile``: about twice as fast for networks of many small steps
            (HDNet's RAIN), not for the edge family; results differ in rounding.
        until: the run stops, with a checkpoint, after the first step that ends after this time (of ``time.time()``).
        initial: weights or a checkpoint to start from, see :func:`edge_harmony.training.start.start_from`.
        changes: what ``recipe`` changes, by name, of the one that was given or of the run to resume; see
            :mod:`edge_harmony.training.changes`.
        stop: set it to stop after the step that is being done, with a checkpoint.
        source: file of the recipe, which the run must not write over.
        record: what is written besides ``log.csv`` after every validation.
        report: called about once a second in the main process with a :class:`Progress`.
    """

    def __init__(
        self,
        recipe: Recipe,
        output: Path,
        world: World,
        report: Callable[[Progress], None] | None = None,
        memory: int = DEFAULT_MEMORY,
        *,
        compiled: bool = False,
        until: float = math.inf,
        initial: Path | None = None,
        changes: Changes = MappingProxyType({}),
        stop: threading.Event | None = None,
        source: Path | None = None,
        record: RecordOptions = RecordOptions(),  # noqa: B008  (it is frozen)
    ) -> None:
        self.recipe = recipe
        self.output = make_folder(output)
        self.world = world
        self.report = report
        self.compiled = compiled
        self.until = until
        self.changes = changes
        self.stop = stop or threading.Event()
        self.record = Record(self.output, record)
        self.recipe_sha256 = recipe.sha256()
        teacher = recipe.distillation.weights if recipe.distillation else None
        check_outputs(self.results, [source, initial, teacher])
        for stage in recipe.stages:
            if stage.batch % world.size:
                raise TrainingError(
                    f"stage {stage.name}: batch {stage.batch} does not divide among {world.size} processes",
                    "change the batch or the number of processes",
                )
        self.train_samples, self.held_samples = split_samples(recipe.data)
        self.batches = Batches(recipe, self.train_samples, world, memory)
        torch.manual_seed(recipe.seed)
        self.model = build_model(recipe.model.name, **recipe.model.options)
        self.position = Position()
        self._saved = 0
        self.model.to(world.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for stage in recipe.stages:
            if stage.batch == world.size and not stage.quantize:
                self._refuse_single(stage)
        if initial is not None and self._keeps_ranges:
            self.model = prepare_qat(fold_norms(self.model)).to(world.device)
        if initial is not None:
            self.position.past = start_from(initial, self.model, lambda: self.batches.calibration(0))
        self.objective = Objective(recipe, self.model, world.device)
        self.average: AveragedWeights  # of the stage under way

    def _refuse_single(self, stage: StageConfig) -> None:
        """Refuse a stage of single pictures so small that a norm would see one value of each channel."""
        shape = (1, 3, stage.size, stage.size)
        picture = torch.zeros(shape, device=self.world.device)
        try:
            with torch.no_grad():
                copy.deepcopy(self.model).train()(picture, picture[:, :1])
        except ValueError as error:
            raise TrainingError(
                f"stage {stage.name}: a batch of 1 at {stage.size} pixels cannot be normalized ({first_line(error)})",
                "use a larger batch or a larger size",
            ) from None

    @property
    def _keeps_ranges(self) -> bool:
        """Whether the run begins with quantized training in the ranges of the weights that it starts from."""
        return self.recipe.stages[0].quantize and self.recipe.stages[0].scales == "kept"

    @property
    def checkpoint(self) -> Path:
        """Path of the run's checkpoint."""
        return checkpoint_path(self.output)

    @property
    def weights(self) -> Path:
        """Path of the finished weights."""
        return self.output / f"{self.recipe.model.name}.safetensors"

    @property
    def float_weights(self) -> Path:
        """Path of the weights before the first quantized stage."""
        return self.output / f"{self.recipe.model.name}-float.safetensors"

    @property
    def results(self) -> list[Path]:
        """The files that a run writes, besides the copy of its recipe."""
        named = [self.output / name for name in (LOG, CURVES, SAMPLES, SUMMARY)]
        return [self.checkpoint, self.weights, self.float_weights, *named]

    def run(self, *, resume: bool = False) -> dict[str, Any] | None:
        """Train to the end and return the contents of ``summary.json``, or stop before and return None.

        A checkpoint is written before the first step and then again and again, only of finite numbers: the last one can
        always be resumed from.

        Raises:
            UsageError: another run is writing to the folder, or the folder holds a run already and ``resume`` is not
                set.
            TrainingError: the loss is not finite, or the checkpoint belongs to another recipe.
        """
        with alone(self.output) if self.world.is_main else contextlib.nullcontext():
            if not resume and self.checkpoint.exists():
                raise UsageError(
                    f"{self.output} already holds a run", "pass --resume to continue it, or another --output"
                )
            with contextlib.closing(self.record):
                return self._run(resume=resume)

    def _run(self, *, resume: bool) -> dict[str, Any] | None:
        if self.recipe.optimizer.encoder_rate == 0 and not (resume or self.position.past):
            raise TrainingError(
                "the recipe keeps the weights of the encoder (optimizer.encoder_rate = 0), and there are none",
                "start from weights with --init FILE; `edge-harmony import` makes them from a public checkpoint",
            )
        if self._keeps_ranges and not (resume or self.position.past):
            raise TrainingError(
                'the recipe keeps the activation ranges of given weights (scales = "kept"), and there are none',
                "start from weights that edge-harmony calibrate wrote, with --init FILE",
            )
        if self.changes and not resume:
            given = {"recipe_sha256": self.recipe_sha256, "images": 0, "sha256": None}
            self.position.past.append(given | {"changes": dict(self.changes)})
            self.position.changes |= self.changes
        restored = read_checkpoint(self.checkpoint, self.recipe, self.changes) if resume else None
        if restored is not None:
            self.position = restored.position
            if restored.folded:
                fold_norms(self.model)
        for number in range(self.position.stage, len(self.recipe.stages)):
            stage = self.recipe.stages[number]
            if restored is None:
                self.position.stage, self.position.images = number, 0
            if stage.quantize:
                self._prepare_quantization(number, calibrate=restored is None)
            optimizer = make_optimizer(self.model, self.recipe.optimizer)
            if restored is not None:
                self.average = AveragedWeights(restored.restore(self.model, optimizer), self.recipe.ema)
                restored = None
            else:
                self.average = AveragedWeights.of(self.model, self.recipe.ema)
            if self.position.total == 0:
                self._save(optimizer)
            self._saved = self.position.total
            if self._run_stage(number, optimizer):
                return None
            self.model.load_state_dict(self.average.tensors)
        return self._finish()

    def _prepare_quantization(self, number: int, *, calibrate: bool) -> None:
        """Save the float weights, fold norms and insert fake quantization, with ranges from calibration batches.

        Ranges that a stage keeps are there: in the weights that the run started from, or from the stage before.
        """
        stage = self.recipe.stages[number]
        first = next(stage for stage in self.recipe.stages if stage.quantize)
        kept = stage.scales == "kept"
        if calibrate and self.world.is_main and stage is first and not kept:
            self._save_weights(self.float_weights)
        self.model = prepare_qat(fold_norms(self.model)).to(self.world.device)
        if calibrate and not kept:
            self.model.eval()
            observe_with(self.model, self.batches.calibration(number))
        if stage.scales == "learned":
            learn_scales(self.model)

    def _run_stage(self, number: int, optimizer: torch.optim.Optimizer) -> bool:
        """Train to the end of a stage; return True if the time was up first."""
        recipe, position = self.recipe, self.position
        stage = recipe.stages[number]
        step = TrainingStep(self.model, optimizer, self.objective, recipe, stage, self.world, compiled=self.compiled)
        self.batches.open(stage)  # decoding is none of the time that is reported
        reports = Reports(self.report, stage, position.images) if self.report and self.world.is_main else None
        while position.images < stage.images:
            loss = step(self.batches.take(number, position.images), position.images)
            if loss is None:
                raise self._diverged()
            before = position.images
            position.advance(stage.batch, loss)
            self.average.update(self.model, position.images // stage.batch)
            if reports:
                reports.show(position.images, position.loss or 0.0)
            last = position.images >= stage.images
            if last or before // recipe.validate_every != position.images // recipe.validate_every:
                self._validate(stage)
            up = self._time_is_up()
            if up or last or before // recipe.checkpoint_every != position.images // recipe.checkpoint_every:
                self._save(optimizer)
            if up and not (last and stage is recipe.stages[-1]):
                return True
        return False

    def _time_is_up(self) -> bool:
        return self.world.agree(self.stop.is_set() or time.time() >= self.until)

    def _diverged(self) -> TrainingError:
        stage, number = self.recipe.stages[self.position.stage], self.position.stage
        return TrainingError(
            f"training diverged after {self.position.total:,} images: its numbers are not finite",
            f"go on from the checkpoint at {self._saved:,} images with a lower learning rate: "
            f"--resume --set stages.{number}.learning_rate={stage.learning_rate / 10:g}",
        )

    def _validate(self, stage: StageConfig) -> None:
        """Score the averaged weights on the held-out pictures, in the main process."""
        if self.world.is_main:
            row: dict[str, Any] = {
                "stage": stage.name,
                "images": self.position.total,
                "loss": round(self.position.loss or 0.0, 5),
            }
            sheet = None
            if self.held_samples:
                scores, sheet = self._judge(self.held_samples)
                row |= scores
            self.position.history.append(row)
            self.record.write(self.position.history, sheet)
        self.world.barrier()

    def _judge(self, samples: list[TrainingSample]) -> tuple[dict[str, float], Picture | None]:
        """Scores of the averaged weights, and a sheet of pictures if the record has them."""
        given = self.model, samples, self.recipe, self.world.device
        with self.average.within(self.model):
            self.model.eval()
            return validate(*given), show(*given) if self.record.options.pictures else None

    def _save(self, optimizer: torch.optim.Optimizer) -> None:
        if self.world.is_main:
            if not all(bool(torch.isfinite(value).all()) for value in self.model.state_dict().values()):
                raise self._diverged()
            save_checkpoint(self.checkpoint, self.recipe, self.position, self.model, self.average.tensors, optimizer)
        self._saved = self.position.total
        self.world.barrier()

    def _finish(self) -> dict[str, Any]:
        last = self.position.history[-1] if self.position.history else {}
        summary = {
            "model": self.recipe.model.name,
            "recipe_sha256": self.recipe_sha256,
            "images": self.position.total,
            "history": self.position.past,
            "training_samples": sum(map(len, self.train_samples)),
            "validation_samples": len(self.held_samples),
            "validation": {k: v for k, v in last.items() if k not in ("stage", "images", "loss")},
            "weights": str(self.weights),
        }
        if self.world.is_main:
            self._save_weights(self.weights)
            write_json(self.output / SUMMARY, summary)
        self.world.barrier()
        return summary

    def _save_weights(self, path: Path) -> None:
        save_weights(
            path,
            self.model.eval(),
            name=self.recipe.model.name,
            options=self.recipe.model.options,
            recipe_sha256=self.recipe_sha256,
            images=self.position.total,
            history=self.position.past,
        )
