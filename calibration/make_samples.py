"""Make the small calibration set that the package ships, from freely licensed photographs in Python packages.

    python calibration/make_samples.py

Takes crops of six photographs and recolours an ellipse in each, as in training (light, curves, saturation, contrast).
Writes the pictures to ``edge_harmony/samples/calibration`` and their list to ``calibration/sets/samples-24.toml``.
Needs matplotlib, scikit-image, scikit-learn and torch. Credits: ``edge_harmony/samples/CREDITS.md``.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import skimage
import sklearn
import torch

from edge_harmony.files.atomic import atomic_write, sha256_of
from edge_harmony.training.composites.dice import Dice
from edge_harmony.training.composites.light import photometric
from edge_harmony.training.composites.synthesis_config import SynthesisConfig

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "edge_harmony" / "samples" / "calibration"
LIST = ROOT / "calibration" / "sets" / "samples-24.toml"
SIDE = 256
PER_PHOTOGRAPH = 4
PHOTOGRAPHS = {
    "hopper": Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    "astronaut": Path(skimage.__file__).parent / "data" / "astronaut.png",
    "coffee": Path(skimage.__file__).parent / "data" / "coffee.png",
    "chelsea": Path(skimage.__file__).parent / "data" / "chelsea.png",
    "china": Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg",
    "flower": Path(sklearn.__file__).parent / "datasets" / "images" / "flower.jpg",
}


def composite(picture: np.ndarray, rng: np.random.Generator, dice: Dice) -> tuple[np.ndarray, np.ndarray]:
    """A crop ``(256, 256, 3)`` with a recoloured ellipse, and the ellipse's mask; both uint8."""
    side = int(min(picture.shape[:2]) * rng.uniform(0.6, 1.0))
    top, left = (int(rng.integers(0, extent - side + 1)) for extent in picture.shape[:2])
    crop = cv2.resize(picture[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    centre = tuple(int(v) for v in rng.integers(SIDE // 4, 3 * SIDE // 4, 2))
    axes = tuple(int(v) for v in rng.integers(SIDE // 8, SIDE // 3, 2))
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    planes = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
    weight = torch.from_numpy(mask)[None, None].float() / 255
    changed = photometric(planes, weight, SynthesisConfig(), dice).clamp(0, 1)
    mixed = weight * changed + (1 - weight) * planes
    return (mixed[0].permute(1, 2, 0) * 255).round().byte().numpy(), mask


def main() -> None:
    """Draw, write, list."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rng, dice = np.random.default_rng(24), Dice(torch.Generator().manual_seed(24))
    lines = [
        'description = "24 crops of six freely licensed photographs, an ellipse of each recoloured"',
        'source = "matplotlib, scikit-image, scikit-learn; see samples/CREDITS.md"',
        'licence = "public domain, CC0, CC BY 2.0"',
        "seed = 24",
        "shipped = true",
    ]
    for name, path in PHOTOGRAPHS.items():
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        for k in range(PER_PHOTOGRAPH):
            pixels, mask = composite(picture, rng, dice)
            files = FOLDER / f"{name}-{k}.jpg", FOLDER / f"{name}-{k}_mask.png"
            cv2.imwrite(str(files[0]), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
            cv2.imwrite(str(files[1]), mask)
            lines += ["", "[[files]]"]
            for kind, file in zip(("composite", "mask"), files, strict=True):
                lines += [f'{kind} = "calibration/{file.name}"', f'{kind}_sha256 = "{sha256_of(file)}"']
    atomic_write(LIST, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
