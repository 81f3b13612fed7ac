"""The batches of a run: drawn from its sources, and synthesized.

Every batch seeds its own generators from (seed, stage, images, rank): nothing is kept from one to the next, so a run
that was killed goes on with the batches that it would have had.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from edge_harmony.training.composites.synthesis import Batch, join, synthesize
from edge_harmony.training.dataset import PictureStore, TrainingSample, draw_alike, open_store
from edge_harmony.training.distributed import World
from edge_harmony.training.recipe import Recipe, StageConfig

STORE_MARGIN = 9 / 8
"""Stored pictures are larger than the training size by this factor, so that crops keep their sharpness."""

_CALIBRATION_BATCHES = 8


class Batches:
    """The batches of a recipe.

    Args:
        recipe: the recipe.
        samples: the training samples of each of its sources.
        world: rank, number and device of the processes that share a batch.
        memory: limit in bytes for decoded pictures; larger sets are decoded batch by batch.
    """

    def __init__(self, recipe: Recipe, samples: Sequence[Sequence[TrainingSample]], world: World, memory: int) -> None:
        self._recipe = recipe
        self._sources = recipe.data.all_sources()
        self._samples = samples
        self._world = world
        self._memory = memory
        self._stores: dict[int, list[PictureStore]] = {}

    def calibration(self, number: int) -> list[tuple[Tensor, Tensor]]:
        """Composites and masks of the first batches of a stage, to measure norms or ranges with."""
        size = self._recipe.stages[number].batch
        batches = [self.take(number, k * size) for k in range(_CALIBRATION_BATCHES)]
        return [(batch.composite, batch.mask) for batch in batches]

    def open(self, stage: StageConfig) -> list[PictureStore]:
        """The pictures of every source at the size of a stage, decoded unless they are already; they share the memory.

        Raises:
            InputError: files are missing or damaged, or have no foreground.
        """
        side = math.ceil(stage.size * STORE_MARGIN)
        if side not in self._stores:
            share = self._memory // len(self._samples)
            self._stores = {side: [open_store(samples, side, share) for samples in self._samples]}
        return self._stores[side]

    def take(self, number: int, images: int) -> Batch:
        """This process's share of a batch; each source has its own synthesis settings.

        Args:
            number: index of the stage.
            images: images of the stage before the batch.
        """
        stage = self._recipe.stages[number]
        stores, share, device = self.open(stage), stage.batch // self._world.size, self._world.device
        picker = torch.Generator().manual_seed(self._seed(number, images, 0))
        own = slice(self._world.rank * share, (self._world.rank + 1) * share)
        origin = torch.zeros(stage.batch, dtype=torch.long)
        if len(stores) > 1:
            weights = torch.tensor([source.weight for source in self._sources])
            origin = torch.multinomial(weights, stage.batch, replacement=True, generator=picker)
        parts = []
        for k, (source, store) in enumerate(zip(self._sources, stores, strict=True)):
            index = torch.randint(len(store), (stage.batch,), generator=picker)[own][origin[own] == k]
            if not len(index):
                continue
            synthesis = source.synthesis or self._recipe.synthesis
            partners = None
            if synthesis.near:
                index, partners = draw_alike(store.object_colours(), index, synthesis.alike, picker)
            real, mask, given = store.gather(index, device)
            seed = self._seed(number, images, self._world.rank + 1 + k * self._world.size)
            dice = torch.Generator(device).manual_seed(seed)
            parts.append(synthesize(real, mask, given, stage.size, synthesis, dice, partners))
        return parts[0] if len(parts) == 1 else join(parts)

    def _seed(self, number: int, images: int, stream: int) -> int:
        key = f"{self._recipe.seed}/{number}/{images}/{stream}"
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")
