"""Compare kinds of training composites in minutes, with regressions on colour statistics instead of networks.

    python benchmarks/composite_probe.py --pairs ROOT --photos ROOT -o benchmarks/results/0.1.0/composite-probe.json

From means, deviations and percentiles of the object and of its surroundings, forests of extremely randomized trees
predict the change of the object's mean colour. Each forest is trained on one kind of composite and scored on the test
split, sealed by 2, and relit and sealed by 2, at 64 pixels. If a forest learns nothing about users' pictures from a
kind of composite, a network will hardly learn more from it. Needs the extra [dev].
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from provenance import provenance
from sklearn.ensemble import ExtraTreesRegressor

from edge_harmony.data.iharmony4 import Triplet, read_split
from edge_harmony.data.photos import read_photos
from edge_harmony.files.atomic import write_json
from edge_harmony.quality.preparation import SEALED, Preparation
from edge_harmony.training.composites.dice import Dice
from edge_harmony.training.composites.recolour import region_mean
from edge_harmony.training.composites.synthesis import change
from edge_harmony.training.composites.synthesis_config import SynthesisConfig
from edge_harmony.training.dataset import MemoryStore, PictureStore, TrainingSample, draw_alike

SIDE = 64
TREES = 100
NEAR = ("reinhard", "covariance", "histogram")
Array = NDArray[Any]
Set = tuple[Array, Array]
"""Features, and the correct change of the mean colour."""


class Pictures:
    """Composites, masks and real pictures at 64 pixels, prepared at their own size."""

    def __init__(self, samples: Sequence[Triplet], preparation: Preparation) -> None:
        kept = []
        for sample in samples:
            prepared = preparation.apply(sample.name, *sample.load())
            if prepared is not None:
                kept.append([cv2.resize(x, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for x in prepared])
        composite, mask, real = (np.stack(parts).astype(np.float32) for parts in zip(*kept, strict=True))
        self.composite, self.real, self.mask = composite / 255, real / 255, mask[..., None]

    def set(self, *, fits: bool = False) -> Set:
        """The set for a regression; with ``fits`` from real pictures, which need no change."""
        composite = self.real if fits else self.composite
        change = mean_colour(self.real, self.mask) - mean_colour(composite, self.mask)
        return features(composite, self.mask), change

    def gain(self, change: Array) -> dict[str, float]:
        """Mean gain of the foreground's PSNR in dB and the share made worse, with each object shifted by ``change``."""
        shifted = np.clip(self.composite + change[:, None, None], 0, 1)
        before, after = (self.error(x) for x in (self.composite, shifted))
        gain = 10 * np.log10((before + 0.5) / (after + 0.5))
        return {"gain": round(float(gain.mean()), 3), "worse": round(float((after > before).mean()), 3)}

    def error(self, picture: Array) -> Array:
        """Foreground MSE against the real picture in squared levels, ``(N,)``."""
        squares = ((picture - self.real) ** 2 * self.mask).sum((1, 2, 3))
        result: Array = squares / (3 * self.mask.sum((1, 2, 3))) * 255**2
        return result


def mean_colour(picture: Array, mask: Array) -> Array:
    """Mean colour of the foreground, ``(N, 3)``."""
    result: Array = (picture * mask).sum((1, 2)) / mask.sum((1, 2))
    return result


def features(pictures: Array, masks: Array) -> Array:
    """Means, deviations and percentiles in CIE Lab of both regions, and the object's size and place."""
    rows = []
    for picture, mask in zip(pictures, masks[..., 0] > 0.5, strict=True):
        lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB) / 100
        row: list[float] = []
        for region in (mask, ~mask):
            pixels = lab[region] if region.sum() > 3 else lab.reshape(-1, 3)
            row += [*pixels.mean(0), *pixels.std(0), *np.percentile(pixels, (5, 25, 50, 75, 95), axis=0).ravel()]
        where = np.argwhere(mask)
        rows.append([*row, mask.mean(), *(where.mean(0) if len(where) else (0, 0))])
    return np.array(rows, dtype=np.float32)


def synthesized(store: PictureStore, kind: str, seed: int) -> Set:
    """One composite of every object of a store; ``near N`` takes partners of similar colours, ``reinhard`` any."""
    generator = torch.Generator().manual_seed(seed)
    config, everything = SynthesisConfig(strength=(1, 1)), torch.arange(len(store))
    name, _, scale = kind.partition(" ")
    parts = []
    for start in range(0, len(everything), 256):
        index = everything[start : start + 256]
        other = torch.randint(len(store), (len(index),), generator=generator)
        if scale:
            drawn, _ = draw_alike(store.object_colours(), torch.cat([index, index]), float(scale), generator)
            other = drawn[len(index) :]
        (real, mask, _), (reference, region, _) = (store.gather(k, torch.device("cpu")) for k in (index, other))
        mask, region = (mask > 0.5).float(), (region > 0.5).float()
        way = NEAR[seed % len(NEAR)] if name == "near" else name
        changed = change(way, real, mask, reference, region, config, Dice(generator)).clamp(0, 1)
        composite = real * (1 - mask) + changed * mask
        use = (mask.mean((1, 2, 3)) > 5e-3) & (mask.mean((1, 2, 3)) < 0.9)
        arrays = (x[use].permute(0, 2, 3, 1).numpy() for x in (composite, mask))
        right = (region_mean(real, mask) - region_mean(composite, mask))[use, :, 0, 0].numpy()
        parts.append((features(*arrays), right))
    rows, changes = (np.concatenate(items) for items in zip(*parts, strict=True))
    return rows, changes


def main() -> None:
    """Fit a forest per kind, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="root of a harmonization set")
    parser.add_argument("--photos", type=Path, required=True, help="root of own photographs with masks")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    train, test = (read_split(arguments.pairs, split) for split in ("train", "test"))
    sealed, relit = (Pictures(test, p) for p in (SEALED, replace(SEALED, relit=True)))
    given = Pictures(train, SEALED).set()
    photographs: list[TrainingSample] = list(read_photos(arguments.photos))
    stores = {"pairs": MemoryStore(train, SIDE), "photos": MemoryStore(photographs, SIDE)}

    def made(source: str, kind: str, count: int = 3) -> list[Set]:
        return [synthesized(stores[source], kind, seed) for seed in range(count)]

    near = {source: made(source, "near 0.15") for source in stores}
    sets: dict[str, list[Set]] = {
        "given": [given],
        "reinhard, any object": made("pairs", "reinhard"),
        "near 0.1": made("pairs", "near 0.1"),
        "near 0.15": near["pairs"],
        "near 0.2": made("pairs", "near 0.2"),
        "near 0.15, photographs": near["photos"],
        "camera": made("pairs", "camera"),
        "scene": made("pairs", "scene"),
        "given, camera": [given, *made("pairs", "camera")],
        "given twice, near 0.15": [given, given, *near["pairs"]],
        "given twice, near 0.15, near 0.15 of photographs": [given, given, *near["pairs"], *near["photos"]],
    }
    rows: list[dict[str, Any]] = []
    for name, parts in sets.items():
        known, wanted = (np.concatenate(items) for items in zip(*parts, strict=True))
        finite = np.isfinite(known).all(1) & np.isfinite(wanted).all(1)
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=3, random_state=0).fit(known[finite], wanted[finite])
        left = forest.predict(sealed.set(fits=True)[0])
        fitting = np.clip(sealed.real + left[:, None, None], 0, 1)
        row = {
            "composites": name,
            "samples": int(finite.sum()),
            "sealed": sealed.gain(forest.predict(sealed.set()[0])),
            "no_change": round(float(sealed.error(fitting).mean()), 1),
            "relit": relit.gain(forest.predict(relit.set()[0])),
        }
        rows.append(row)
        print(row)
    write_json(arguments.output, provenance("numpy", "torch", "scikit-learn") | {"side": SIDE, "rows": rows})


if __name__ == "__main__":
    main()
