"""One optimizer step of a stage: forward, loss, backward, in 32 or 16 bits, in one process or several."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edge_harmony.quantization.fake_quant import ActivationQuantizer
from edge_harmony.training.composites.synthesis import Batch
from edge_harmony.training.distributed import World
from edge_harmony.training.objective import Objective
from edge_harmony.training.optimizer import in_encoder, set_rates
from edge_harmony.training.recipe import Recipe, StageConfig


class TrainingStep:
    """The optimizer steps of a stage.

    Args:
        model: the network, as the stage prepares it.
        optimizer: of its parameters.
        objective: of the recipe.
        recipe: the recipe.
        stage: the stage.
        world: the processes that train together.
        compiled: run the network through ``torch.compile``, if the stage is a float one.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        recipe: Recipe,
        stage: StageConfig,
        world: World,
        *,
        compiled: bool,
    ) -> None:
        self._model, self._optimizer, self._objective = model, optimizer, objective
        self._recipe, self._stage, self._device = recipe, stage, world.device.type
        parallel = model
        if world.size > 1:
            ids = [world.device.index] if self._device == "cuda" else None
            parallel = DistributedDataParallel(model, device_ids=ids)
        self._network: Callable[[Tensor, Tensor], Tensor] = parallel
        if compiled and not stage.quantize:
            self._network = torch.compile(parallel, dynamic=False)  # stages differ in size: one program each

    def __call__(self, batch: Batch, images: int) -> float | None:
        """Do a step.

        Args:
            batch: this process's share of the batch.
            images: images of the stage before it.

        Returns:
            The loss, relative to that of the unchanged composites; None if the gradients are not finite: the weights
            are those before the step.
        """
        self._set_mode(images)
        set_rates(self._optimizer, self._stage, images)
        with torch.autocast(self._device, torch.bfloat16, enabled=self._autocasts()):
            output = self._network(batch.composite, batch.mask)
        loss, identity, terms = self._objective(self._model, output.float(), batch, self._stage)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss + terms)
        norm = nn.utils.clip_grad_norm_(self._model.parameters(), self._recipe.optimizer.clip_norm)
        if not bool(torch.isfinite(norm)):
            return None
        self._optimizer.step()
        return float(loss.detach() / identity.clamp_min(1e-9))

    def _set_mode(self, images: int) -> None:
        """Training mode, but for norms and ranges that keep their values: late in the stage, or from its start."""
        self._model.train()
        late = images >= self._stage.freeze * self._stage.images
        encoder = self._recipe.optimizer.encoder_rate == 0
        for name, module in self._model.named_modules():
            norm, point = isinstance(module, nn.BatchNorm2d), isinstance(module, ActivationQuantizer)
            still = norm and encoder and in_encoder(name)
            if still or (late and norm) or (point and (late or self._stage.scales == "kept")):
                module.eval()

    def _autocasts(self) -> bool:
        amp = self._recipe.amp
        return not self._stage.quantize and (amp == "everywhere" or (amp is True and self._device == "cuda"))
