"""The objective of a training step: the foreground's error; on request a teacher's result, chroma, RCL's contrast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.errors import CapabilityError
from edge_harmony.models.layers.colour_transform import apply_coarse
from edge_harmony.models.weights_file import load_model
from edge_harmony.training.composites.synthesis import Batch
from edge_harmony.training.contrast import sampled_contrast
from edge_harmony.training.losses import (
    colour_pyramid,
    foreground_log,
    foreground_mse,
    foreground_paleness,
    foreground_rmse,
)
from edge_harmony.training.recipe import Recipe, StageConfig


class Objective:
    """The objective of a recipe.

    Args:
        recipe: the recipe; it chooses the loss.
        model: the network to train.
        device: the device of the teacher.

    Raises:
        CapabilityError: the contrast needs style features that the network does not have.
        UsageError: there are no weights of the teacher.
    """

    def __init__(self, recipe: Recipe, model: nn.Module, device: torch.device) -> None:
        self.recipe = recipe
        losses = {
            "foreground_mse": foreground_mse,
            "foreground_rmse": foreground_rmse,
            "foreground_log": foreground_log,
        }
        self.measure = losses[recipe.loss]
        contrast, distillation = recipe.contrastive, recipe.distillation
        if contrast.weight and contrast.features == "encoder" and not hasattr(model, "style_features"):
            raise CapabilityError(f"{recipe.model.name} has no style features", 'set contrastive.features = "colour"')
        self.teacher: nn.Module | None = None
        if distillation is not None:
            teacher = load_model(distillation.teacher, distillation.weights).to(device)
            self.teacher = teacher.requires_grad_(requires_grad=False)

    def __call__(
        self, model: nn.Module, output: Tensor, batch: Batch, stage: StageConfig
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The training loss, the loss of the unchanged composite, and the weighted terms that are added (0 if all are
        off).

        Args:
            model: the network in its current state.
            output: its output for the batch, in 32 bits.
            batch: the batch.
            stage: the stage; its ``loss_stride`` sets the size at which the loss is computed.
        """
        kind = str(model.output)
        composite, real, mask = batch.composite, batch.real, batch.mask
        if stage.loss_stride > 1:
            composite, real, mask = (F.avg_pool2d(x, stage.loss_stride) for x in (composite, real, mask))
        result = apply_coarse(composite, mask, output, kind)
        floor = self.recipe.foreground_floor
        loss, identity = (self.measure(x, real, mask, floor) for x in (result, composite))
        if self.teacher is not None and self.recipe.distillation is not None:
            with torch.no_grad():
                taught = self.teacher(batch.composite, batch.mask)
                target = apply_coarse(composite, mask, taught, str(self.teacher.output))
            loss = torch.lerp(loss, self.measure(result, target, mask, floor), self.recipe.distillation.share)
        terms = self._contrast(model, output, batch)
        if self.recipe.paleness:
            terms = terms + self.recipe.paleness * foreground_paleness(result, real, mask, floor)
        return loss, identity, terms

    def _contrast(self, model: nn.Module, output: Tensor, batch: Batch) -> Tensor:
        config = self.recipe.contrastive
        if not config.weight:
            return output.new_zeros(())
        result = apply_coarse(batch.composite, batch.mask, output, str(model.output))
        pictures = {"output": result, "composite": batch.composite, "real": batch.real}

        def features(picture: str) -> list[Tensor]:
            image = pictures[picture]
            if config.features == "colour":
                return colour_pyramid(image)
            encoded: list[Tensor] = model.style_features(image, batch.mask)  # type: ignore[operator]
            return encoded

        return config.weight * sampled_contrast(features, batch.mask, config)
