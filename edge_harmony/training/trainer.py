"""The trainer: runs a recipe's stages in one process or several, and can be stopped at any moment.

Every optimizer step seeds its own generators from (seed, stage, images, rank), and the schedule is a function of the
images seen. So a run that was killed and resumed gives the result of an uninterrupted run.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edge_harmony.errors import TrainingError, UsageError, first_line
from edge_harmony.files.atomic import make_folder, write_json
from edge_harmony.files.identity import refuse_overwriting
from edge_harmony.files.lock import alone
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import save_weights
from edge_harmony.pictures.images import Picture
from edge_harmony.quantization.fake_quant import ActivationQuantizer
from edge_harmony.quantization.prepare import learn_scales, observe_with, prepare_qat
from edge_harmony.training.changes import Changes
from edge_harmony.training.checkpoint import Position, checkpoint_path, read_checkpoint, save_checkpoint
from edge_harmony.training.composites.synthesis import Batch, join, synthesize
from edge_harmony.training.dataset import PictureStore, TrainingSample, draw_alike, open_store, split_samples
from edge_harmony.training.distributed import World
from edge_harmony.training.objective import Objective
from edge_harmony.training.optimizer import in_encoder, make_optimizer
from edge_harmony.training.recipe import Recipe, StageConfig
from edge_harmony.training.record import Record, RecordOptions
from edge_harmony.training.start import start_from
from edge_harmony.training.validation import show, validate

STORE_MARGIN = 9 / 8
"""Stored pictures are larger than the training size by this factor, so that crops keep their sharpness."""

DEFAULT_MEMORY = 8 << 30

_CALIBRATION_BATCHES = 8


@dataclass(frozen=True)
class Progress:
    """The progress of a stage, for a progress bar.

    Attributes:
        stage: name of the stage.
        images: training images seen in it.
        total: its number of images.
        rate: images a second.
        remaining: seconds left.
        loss: smoothed training loss; a network that changes nothing has 1.
    """

    stage: str
    images: int
    total: int
    rate: float
    remaining: float
    loss: float


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
        record: RecordOptions = RecordOptions(),  # noqa: B008  (it is frozen)
    ) -> None:
        self.recipe = recipe
        self.output = make_folder(output)
        self.world = world
        self.report = report
        self.memory = memory
        self.compiled = compiled
        self.until = until
        self.changes = changes
        self.stop = stop or threading.Event()
        self.record = Record(self.output, record)
        self.recipe_sha256 = recipe.sha256()
        teacher = recipe.distillation.weights if recipe.distillation else None
        refuse_overwriting([self.checkpoint, self.weights, self.float_weights], [initial, teacher])
        for stage in recipe.stages:
            if stage.batch % world.size:
                raise TrainingError(
                    f"stage {stage.name}: batch {stage.batch} does not divide among {world.size} processes",
                    "change the batch or the number of processes",
                )
        self.sources = recipe.data.all_sources()
        self.train_samples, self.held_samples = split_samples(recipe.data)
        torch.manual_seed(recipe.seed)
        self.model = build_model(recipe.model.name, **recipe.model.options)
        self.position = Position()
        self._saved = 0
        self._stores: dict[int, list[PictureStore]] = {}
        self.model.to(world.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for stage in recipe.stages:
            if stage.batch == world.size and not stage.quantize:
                self._refuse_single(stage)
        if initial is not None:
            self.position.past = start_from(initial, self.model, lambda: self._calibration(recipe.stages[0]))
        self.objective = Objective(recipe, self.model, world.device)
        self.average: dict[str, Tensor] = {}

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
                self._prepare_quantization(stage, calibrate=restored is None)
            optimizer = make_optimizer(self.model, self.recipe.optimizer)
            if restored is not None:
                self.average = restored.restore(self.model, optimizer)
                restored = None
            else:
                self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
            if self.position.total == 0:
                self._save(optimizer)
            self._saved = self.position.total
            if self._run_stage(stage, optimizer):
                return None
            self.model.load_state_dict(self.average)
        return self._finish()

    def _prepare_quantization(self, stage: StageConfig, *, calibrate: bool) -> None:
        """Save the float weights, fold norms and insert fake quantization, with ranges from calibration batches."""
        first = next(stage for stage in self.recipe.stages if stage.quantize)
        if calibrate and self.world.is_main and stage is first:
            self._save_weights(self.float_weights)
        self.model = prepare_qat(fold_norms(self.model)).to(self.world.device)
        if calibrate:
            self.model.eval()
            observe_with(self.model, self._calibration(stage))
        if stage.scales == "learned":
            learn_scales(self.model)

    def _calibration(self, stage: StageConfig) -> list[tuple[Tensor, Tensor]]:
        """Composites and masks of a stage's first batches, to measure norms or ranges with."""
        batches = [self._batch(stage, k * stage.batch) for k in range(_CALIBRATION_BATCHES)]
        return [(batch.composite, batch.mask) for batch in batches]

    def _stores_of(self, stage: StageConfig) -> list[PictureStore]:
        """The store of every source; they share the memory."""
        side = math.ceil(stage.size * STORE_MARGIN)
        if side not in self._stores:
            share = self.memory // len(self.train_samples)
            self._stores = {side: [open_store(samples, side, share) for samples in self.train_samples]}
        return self._stores[side]

    def _batch(self, stage: StageConfig, images: int) -> Batch:
        """This process's share of the batch that starts at ``images``; each source has its own synthesis settings."""
        stores, share, device = self._stores_of(stage), stage.batch // self.world.size, self.world.device
        picker = torch.Generator().manual_seed(self._seed(images))
        own = slice(self.world.rank * share, (self.world.rank + 1) * share)
        origin = torch.zeros(stage.batch, dtype=torch.long)
        if len(stores) > 1:
            weights = torch.tensor([source.weight for source in self.sources])
            origin = torch.multinomial(weights, stage.batch, replacement=True, generator=picker)
        parts = []
        for number, (source, store) in enumerate(zip(self.sources, stores, strict=True)):
            index = torch.randint(len(store), (stage.batch,), generator=picker)[own][origin[own] == number]
            if not len(index):
                continue
            synthesis = source.synthesis or self.recipe.synthesis
            partners = None
            if synthesis.near:
                index, partners = draw_alike(store.object_colours(), index, synthesis.alike, picker)
            real, mask, given = store.gather(index, device)
            seed = self._seed(images, self.world.rank + 1 + number * self.world.size)
            dice = torch.Generator(device).manual_seed(seed)
            parts.append(synthesize(real, mask, given, stage.size, synthesis, dice, partners))
        return parts[0] if len(parts) == 1 else join(parts)

    def _seed(self, images: int, stream: int = 0) -> int:
        key = f"{self.recipe.seed}/{self.position.stage}/{images}/{stream}"
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")

    def _run_stage(self, stage: StageConfig, optimizer: torch.optim.Optimizer) -> bool:
        """Train to the end of a stage; return True if the time was up first."""
        model: nn.Module = self.model
        parallel = model
        if self.world.size > 1:
            ids = [self.world.device.index] if self.world.device.type == "cuda" else None
            parallel = DistributedDataParallel(model, device_ids=ids)
        step: Callable[[Tensor, Tensor], Tensor] = parallel
        if self.compiled and not stage.quantize:
            step = torch.compile(parallel, dynamic=False)  # stages differ in size: one program each
        position, recipe = self.position, self.recipe
        self._stores_of(stage)
        started, start_images, shown = time.monotonic(), position.images, 0.0
        while position.images < stage.images:
            self._set_mode(model, stage)
            for group in optimizer.param_groups:
                group["lr"] = group["share"] * learning_rate(stage, position.images)
            batch = self._batch(stage, position.images)
            with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self._autocasts(stage)):
                output = step(batch.composite, batch.mask)
            loss, identity, terms = self.objective(model, output.float(), batch, stage)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss + terms)
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.optimizer.clip_norm)
            if not bool(torch.isfinite(norm)):
                raise self._diverged()
            optimizer.step()
            previous, position.images = position.images, position.images + stage.batch
            position.total += stage.batch
            self._update_average(model, position.images // stage.batch)
            relative = float(loss.detach() / identity.clamp_min(1e-9))
            position.loss = relative if position.loss is None else 0.99 * position.loss + 0.01 * relative
            now = time.monotonic()
            if self.report and self.world.is_main and now - shown > 1:
                rate = (position.images - start_images) / (now - started)
                left = (stage.images - position.images) / rate
                self.report(Progress(stage.name, position.images, stage.images, rate, left, position.loss))
                shown = now
            last = position.images >= stage.images
            if last or previous // recipe.validate_every != position.images // recipe.validate_every:
                self._validate(stage)
            up = self._time_is_up()
            if up or last or previous // recipe.checkpoint_every != position.images // recipe.checkpoint_every:
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

    def _autocasts(self, stage: StageConfig) -> bool:
        amp = self.recipe.amp
        return not stage.quantize and (amp == "everywhere" or (amp is True and self.world.device.type == "cuda"))

    def _set_mode(self, model: nn.Module, stage: StageConfig) -> None:
        model.train()
        late = self.position.images >= stage.freeze * stage.images
        kept = self.recipe.optimizer.encoder_rate == 0
        for name, module in model.named_modules():
            norm = isinstance(module, nn.BatchNorm2d)
            if (late and (norm or isinstance(module, ActivationQuantizer))) or (kept and norm and in_encoder(name)):
                module.eval()

    @torch.no_grad()
    def _update_average(self, model: nn.Module, steps: int) -> None:
        decay = min(self.recipe.ema, (1 + steps) / (10 + steps)) if self.recipe.ema else 0.0
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

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
        kept = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        self.model.eval()
        given = self.model, samples, self.recipe, self.world.device
        try:
            return validate(*given), show(*given) if self.record.options.pictures else None
        finally:
            self.model.load_state_dict(kept)

    def _save(self, optimizer: torch.optim.Optimizer) -> None:
        if self.world.is_main:
            if not all(bool(torch.isfinite(value).all()) for value in self.model.state_dict().values()):
                raise self._diverged()
            save_checkpoint(self.checkpoint, self.recipe, self.position, self.model, self.average, optimizer)
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
            write_json(self.output / "summary.json", summary)
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


def learning_rate(stage: StageConfig, images: int) -> float:
    """The learning rate of the step at ``images``: linear warm-up, then cosine, linear to 0, steps or constant."""
    share = images / stage.images
    rate = stage.learning_rate
    if stage.schedule == "cosine":
        rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
    elif stage.schedule == "linear":
        rate *= 1 - share
    elif stage.schedule == "step":
        rate *= stage.decay ** sum(share >= milestone for milestone in stage.milestones)
    if images < stage.warmup:
        rate *= (images + stage.batch) / (stage.warmup + stage.batch)
    return rate
