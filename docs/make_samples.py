"""Make the sample composites that the package ships, from freely licensed photographs in Python packages.

    python docs/make_samples.py edge_harmony/samples

Needs matplotlib, scikit-image and scikit-learn (for their pictures). Foregrounds are cut out by GrabCut, started from a
polygon. Another light is a gain per channel in linear light.
Credits: edge_harmony/samples/CREDITS.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import skimage
import sklearn

FILES = {
    "hopper": Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    "china": Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg",
    "flower": Path(sklearn.__file__).parent / "datasets" / "images" / "flower.jpg",
    "coffee": Path(skimage.__file__).parent / "data" / "coffee.png",
}


Outline = tuple[tuple[float, float], ...]
"""Points in shares of width and height."""


@dataclass(frozen=True)
class Pasted:
    """Foreground, its rough outline, background, and where and how large it goes; the background in another light."""

    foreground: str
    outline: Outline
    background: str
    height: float
    centre: float
    crop: tuple[float, float, float, float] = (0, 1, 0, 1)
    light: tuple[float, float, float] = (1, 1, 1)


@dataclass(frozen=True)
class Relit:
    """An object of a photograph in another light; the photograph is the truth. ``sure`` as in :func:`cut_out`."""

    picture: str
    outline: Outline
    sure: int
    light: tuple[float, float, float]


_HOPPER = (
    (0.0, 1.0), (0.05, 0.68), (0.20, 0.57), (0.37, 0.52), (0.33, 0.36), (0.31, 0.20), (0.32, 0.11), (0.44, 0.05),
    (0.60, 0.05), (0.72, 0.11), (0.74, 0.22), (0.71, 0.36), (0.67, 0.52), (0.86, 0.58), (0.98, 0.70), (1.0, 1.0),
)  # fmt: skip
_FLOWER = (
    (0.30, 0.48), (0.36, 0.26), (0.47, 0.17), (0.60, 0.24), (0.68, 0.44), (0.64, 0.70), (0.50, 0.84), (0.36, 0.74),
)  # fmt: skip
_PAGODA = (
    (0.05, 0.62), (0.10, 0.58), (0.10, 0.53), (0.13, 0.50), (0.12, 0.42), (0.14, 0.28), (0.25, 0.16), (0.30, 0.06),
    (0.34, 0.06), (0.39, 0.16), (0.51, 0.28), (0.51, 0.42), (0.51, 0.50), (0.56, 0.60), (0.58, 0.76), (0.58, 0.84),
    (0.50, 0.92), (0.42, 0.94), (0.33, 0.90), (0.20, 0.80), (0.12, 0.78),
)  # fmt: skip
_CUP = (
    (0.75, 0.41), (0.79, 0.53), (0.79, 0.66), (0.76, 0.78), (0.68, 0.88), (0.58, 0.94), (0.46, 0.96), (0.35, 0.94),
    (0.25, 0.88), (0.17, 0.78), (0.13, 0.66), (0.13, 0.53), (0.13, 0.43), (0.165, 0.335), (0.21, 0.27), (0.285, 0.20),
    (0.28, 0.17), (0.33, 0.09), (0.42, 0.04), (0.52, 0.04), (0.62, 0.07), (0.68, 0.15), (0.70, 0.16), (0.70, 0.22),
)  # fmt: skip
RECIPES: dict[str, Pasted | Relit] = {
    "flower-china": Pasted("flower", _FLOWER, "china", 0.55, 0.70, (0.16, 0.86, 0.25, 0.73)),
    "hopper-china": Pasted("hopper", _HOPPER, "china", 0.80, 0.72),
    "hopper-evening": Pasted("hopper", _HOPPER, "china", 0.72, 0.80, light=(0.32, 0.55, 0.95)),
    "mug-cold": Relit("coffee", _CUP, 21, (1.6, 0.9, 0.55)),
    "pagoda-cold": Relit("china", _PAGODA, 91, (1.05, 0.62, 0.38)),
}
"""Lights are for blue, green, red."""


def lit(picture: np.ndarray, light: tuple[float, float, float]) -> np.ndarray:
    """A picture (BGR, 0..255) in another light."""
    linear = (picture / 255.0) ** 2.2 * np.array(light)
    result: np.ndarray = 255 * np.clip(linear, 0, 1) ** (1 / 2.2)
    return result


def cut_out(picture: np.ndarray, outline: Outline, sure: int = 31) -> np.ndarray:
    """Soft mask ``(H, W)`` in [0, 1]: GrabCut within a grown outline, sure ``sure`` / 2 pixels inside it."""
    height, width = picture.shape[:2]
    points = np.array([(x * width, y * height) for x, y in outline], np.int32)
    inside = np.zeros((height, width), np.uint8)
    cv2.fillPoly(inside, [points], 1)
    labels = np.full((height, width), cv2.GC_BGD, np.uint8)
    labels[cv2.dilate(inside, np.ones((9, 9))) > 0] = cv2.GC_PR_FGD
    labels[cv2.erode(inside, np.ones((sure, sure)), borderValue=1) > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 8, cv2.GC_INIT_WITH_MASK)
    mask = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5)))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
    mask = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9)))
    return cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3)), borderValue=1).astype(np.float32), (0, 0), 1.0)


def paste(recipe: Pasted) -> tuple[np.ndarray, np.ndarray]:
    """The composite (BGR) and its mask (0..255), at the background's size."""
    foreground, background = (cv2.imread(str(FILES[name])) for name in (recipe.foreground, recipe.background))
    mask = cut_out(foreground, recipe.outline)
    top, bottom, left, right = recipe.crop
    rows = slice(int(top * mask.shape[0]), int(bottom * mask.shape[0]))
    columns = slice(int(left * mask.shape[1]), int(right * mask.shape[1]))
    foreground, mask = foreground[rows, columns], mask[rows, columns]
    height = int(recipe.height * background.shape[0])
    width = round(mask.shape[1] * height / mask.shape[0])
    foreground, mask = (cv2.resize(x, (width, height), interpolation=cv2.INTER_AREA) for x in (foreground, mask))
    start = int(recipe.centre * background.shape[1]) - width // 2
    shown = slice(max(0, -start), min(width, background.shape[1] - start))
    foreground, mask, start = foreground[:, shown], mask[:, shown], max(0, start)
    place = (slice(background.shape[0] - height, None), slice(start, start + mask.shape[1]))
    canvas = np.zeros(background.shape[:2], np.float32)
    canvas[place] = mask
    composite = lit(background, recipe.light).astype(np.float32)
    composite[place] += mask[..., None] * (foreground - composite[place])
    return np.rint(composite).astype(np.uint8), np.rint(canvas * 255).astype(np.uint8)


def relight(recipe: Relit) -> tuple[np.ndarray, np.ndarray]:
    """The composite (BGR) and its mask (0..255); the true picture is the photograph itself."""
    real = cv2.imread(str(FILES[recipe.picture]))
    mask = cut_out(real, recipe.outline, recipe.sure)
    changed = real + mask[..., None] * (lit(real, recipe.light) - real)
    return np.rint(changed).astype(np.uint8), np.rint(mask * 255).astype(np.uint8)


def main() -> None:
    """Write every sample."""
    folder = Path(sys.argv[1])
    for name, recipe in RECIPES.items():
        composite, mask = paste(recipe) if isinstance(recipe, Pasted) else relight(recipe)
        cv2.imwrite(str(folder / f"{name}.jpg"), composite, [cv2.IMWRITE_JPEG_QUALITY, 92])
        cv2.imwrite(str(folder / f"{name}_mask.png"), mask)


if __name__ == "__main__":
    main()
