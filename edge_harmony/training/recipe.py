"""Training recipes: all settings that determine a result, as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_harmony.errors import UsageError
from edge_harmony.training.composites.synthesis_config import SynthesisConfig

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelConfig(BaseModel):
    """The network, and the options of its factory."""

    model_config = _STRICT

    name: str
    options: dict[str, Any] = {}


Layout = Literal["iharmony4", "photos"]


class SourceConfig(BaseModel):
    """One of several roots; ``--data NAME=PATH`` on the command line replaces its ``root``."""

    model_config = _STRICT

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    root: Path | None = None
    layout: Layout = "iharmony4"
    weight: float = Field(1.0, gt=0, description="share of the images drawn from this source, relative to the others")
    synthesis: SynthesisConfig | None = Field(None, description="by default the recipe's")


class DataConfig(BaseModel):
    """The pictures: one root, or several sources; ``--data`` on the command line replaces ``root``."""

    model_config = _STRICT

    root: Path | None = None
    layout: Layout = "iharmony4"
    sources: tuple[SourceConfig, ...] = ()
    validation: float = Field(0.08, ge=0, lt=0.5, description="share of the real pictures held out of training")

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError("sources need different names")
        if self.sources and "root" in self.model_fields_set:
            raise ValueError("give a root or sources, not both")
        return self

    def with_roots(self, given: Sequence[str]) -> DataConfig:
        """A copy with roots from the command line: ``PATH`` for the only root, ``NAME=PATH`` for a source.

        Sources that are still without a root are left out, if others have one.

        Raises:
            UsageError: no source has this name, or there are several sources and none is named.
        """
        if not self.sources:
            if len(given) > 1:
                raise UsageError("--data is given more than once", "the recipe has one root; name sources in it")
            return self.model_copy(update={"root": Path(given[0])}) if given else self
        roots: dict[str, Path] = {}
        names = ", ".join(source.name for source in self.sources)
        for item in given:
            name, separator, path = item.partition("=")
            if not separator or name not in {source.name for source in self.sources}:
                raise UsageError(f"--data {item} names no source of the recipe", f"pass NAME=PATH; it has {names}")
            roots[name] = Path(path)
        sources = [source.model_copy(update={"root": roots.get(source.name, source.root)}) for source in self.sources]
        rooted = [source for source in sources if source.root is not None]
        return self.model_copy(update={"sources": tuple(rooted or sources)})

    def all_sources(self) -> tuple[SourceConfig, ...]:
        """The sources; a single root counts as one source."""
        return self.sources or (SourceConfig(name="data", root=self.root, layout=self.layout),)


class StageConfig(BaseModel):
    """One stage of training; the stages train one set of weights, one after the other.

    ``images`` are training images seen (not optimizer steps), so that recipes of different batch sizes can be compared.
    """

    model_config = _STRICT

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    images: int = Field(gt=0)
    size: int = Field(256, ge=32, le=1024, multiple_of=32)
    batch: int = Field(32, ge=1, description="global batch, over all processes")
    learning_rate: float = Field(2e-3, gt=0)
    schedule: Literal["cosine", "linear", "step", "constant"] = Field(
        "cosine", description="linear ends at 0, cosine at a hundredth; constant stages can be prolonged"
    )
    milestones: tuple[float, ...] = Field(
        (100 / 120, 110 / 120), description="for the schedule step, as shares of the stage"
    )
    decay: float = Field(0.1, gt=0, le=1, description="for the schedule step; cosine ends at a share of 0.01")
    warmup: int = Field(0, ge=0, description="images over which the rate rises linearly")
    freeze: float = Field(
        1.0, ge=0, le=1, description="share of the stage after which norms and ranges keep their statistics"
    )
    loss_stride: Literal[1, 2, 4] = Field(1, description="the loss is computed at 1/stride of the input's size")
    quantize: bool = Field(False, description="fold norms and train with fake quantization")
    scales: Literal["observed", "learned", "kept"] = Field(
        "observed",
        description="activation scales follow the largest magnitude, are trained (LSQ), or stay those of the weights "
        "that the run starts from (--init, calibrated) or of the stage before",
    )

    @model_validator(mode="after")
    def _check(self) -> StageConfig:
        if list(self.milestones) != sorted(self.milestones) or not all(0 < m < 1 for m in self.milestones):
            raise ValueError("milestones must increase within 0 and 1")
        return self


class OptimizerConfig(BaseModel):
    """The optimizer and its limits."""

    model_config = _STRICT

    kind: Literal["adamw", "adam"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(1e-4, ge=0)
    clip_norm: float = Field(1.0, gt=0, description="largest global gradient norm")
    encoder_rate: float = Field(
        1.0,
        ge=0,
        le=1,
        description="learning rate of the encoder, as a share of the rate, for trained encoders; 0 keeps its weights",
    )


LossRegion = Literal["output_foreground", "composite_foreground", "real_foreground", "real_background"]


class ContrastiveConfig(BaseModel):
    """The region-wise contrastive loss of RCL, see :func:`~edge_harmony.training.losses.region_contrast`."""

    model_config = _STRICT

    weight: float = Field(0.0, ge=0, description="weight of this loss; 0 turns it off")
    temperature: float = Field(0.07, gt=0)
    features: Literal["encoder", "colour"] = Field("encoder", description="source of the style features")
    anchor: LossRegion = "output_foreground"
    positive: LossRegion = "real_background"
    negatives: tuple[LossRegion | Literal["other_foregrounds", "other_backgrounds"], ...] = Field(
        ("composite_foreground", "other_foregrounds", "other_backgrounds"),
        min_length=1,
        description="others are the other real pictures of the batch",
    )


class DistillationConfig(BaseModel):
    """Learning from a trained network in addition to the real pictures (Hinton et al., 2015, for regression)."""

    model_config = _STRICT

    teacher: str = Field(description="name of a network in the registry")
    weights: Path | None = Field(None, description="weights of the teacher; by default the shipped ones")
    share: float = Field(0.5, gt=0, le=1, description="share of the loss that is computed against the teacher's result")


class Recipe(BaseModel):
    """A whole training run."""

    model_config = _STRICT

    seed: int = 0
    model: ModelConfig
    data: DataConfig = DataConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights; 0 turns averaging off")
    loss: Literal["foreground_mse", "foreground_rmse", "foreground_log"] = "foreground_mse"
    paleness: float = Field(0.0, ge=0, description="weight of the chroma that the foreground lacks, beside the loss")
    contrastive: ContrastiveConfig = ContrastiveConfig()
    distillation: DistillationConfig | None = None
    foreground_floor: float = Field(
        100 / 256**2, ge=0, description="smallest foreground share the loss divides by (HDNet: 100 pixels of 256x256)"
    )
    amp: bool | Literal["everywhere"] = Field(
        True,
        description='bfloat16 autocast on CUDA devices, "everywhere" on CPUs too (which pays with avx512_bf16 or AMX)',
    )
    validate_every: int = Field(50_000, gt=0, description="images between validations")
    checkpoint_every: int = Field(20_000, gt=0, description="images between checkpoints")
    stages: tuple[StageConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError("stages need different names")
        quantized = [stage.quantize for stage in self.stages]
        if quantized != sorted(quantized):
            raise ValueError("a stage without quantization cannot follow one with it")
        if any(stage.scales == "kept" and not before.quantize for before, stage in pairwise(self.stages)):
            raise ValueError('scales = "kept" needs ranges: it can be of the first stage, or after a quantized one')
        return self

    def sha256(self) -> str:
        """Identity of the recipe: a hash of its settings, without the data's roots.

        Default values are left out, so that a new field does not change the hash of older recipes. In return, the
        default of a released field never changes.
        """
        return hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()

    def content(self) -> dict[str, Any]:
        """The settings of the recipe as JSON data, without the data's roots."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        data = content.get("data", {})
        for part in (data, *data.get("sources", ())):
            part.pop("root", None)
        return content
