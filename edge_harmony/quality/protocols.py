"""Evaluation protocols: how papers resize, round and normalize before they report a number.

Figures of different papers differ in more than the network. Each protocol follows the named public code, so that its
figures can be compared with the published ones; :data:`NATIVE` is our own and the default. Under every protocol the
network runs in :mod:`edge_harmony.pipeline.harmonize`, on pictures of the protocol's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_harmony.errors import UsageError
from edge_harmony.pictures.arrays import snap
from edge_harmony.pictures.metrics import PEAK, Scores, foreground_mse, mse, psnr_of, ssim

Peak = Literal["255", "target", "range"]
_FLOAT_EPSILON = 1e-6
"""Added to the error by the public code that scores floats, so that identical pictures have a PSNR."""


@dataclass(frozen=True)
class ScoringProtocol:
    """How a sample is prepared and scored.

    Attributes:
        name: its name on the command line.
        summary: one line for people.
        source: the public code that it follows.
        size: side of the square to which pictures are resized; None keeps their size.
        resize: by Pillow's bilinear filter (which averages when it shrinks) or OpenCV's (which does not).
        rebuilt: the composite's background is replaced by the real picture's.
        rounded: errors are taken on 8-bit levels, not on floats.
        nearest_mask: the mask is made binary first and resized to the nearest pixel (Pillow's mode 1).
        peak: peak of the PSNR: 255, the largest value of the real picture, or the range of the result.
        masked: errors outside the mask do not count in MSE and PSNR.
    """

    name: str
    summary: str
    source: str
    size: int | None = 256
    resize: Literal["pillow", "opencv"] = "pillow"
    rebuilt: bool = False
    rounded: bool = True
    nearest_mask: bool = True
    peak: Peak = "255"
    masked: bool = False

    def prepare(
        self, composite: NDArray[np.uint8], mask: NDArray[np.float32], real: NDArray[np.uint8]
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[Any], NDArray[np.float32]]:
        """Bring a sample to the protocol's size and type.

        Args:
            composite: ``(H, W, 3)`` uint8.
            mask: ``(H, W)`` in [0, 1].
            real: like ``composite``.

        Returns:
            Composite and mask for :func:`~edge_harmony.pipeline.harmonize.harmonize_pixels` (uint8, or float32 in
            [0, 1] if errors are not rounded), the real picture like the composite, and the weight of every pixel in
            foreground metrics.
        """
        weight = (mask > 0.5).astype(np.float32) if self.nearest_mask else mask
        shown = mask
        if self.size is not None:
            composite, real = (_resize(image, self.size, self.resize) for image in (composite, real))
            weight = _resize_mask(weight, self.size, nearest=self.nearest_mask)
            shown = weight
        if self.rebuilt:
            composite = np.where(weight[..., None] > 0, composite, real)
        if not self.rounded:
            return composite.astype(np.float32) / 255, shown, real.astype(np.float32) / 255, weight
        return composite, shown, real, weight

    def score(self, result: NDArray[Any], real: NDArray[Any], weight: NDArray[np.float32]) -> Scores:
        """Score a result against the real picture, both as :meth:`prepare` gives them."""
        result, real = self.levels(result), self.levels(real)
        foreground = foreground_mse(result, real, weight)
        if self.masked:
            error = foreground * float(weight.mean(dtype=np.float64)) if weight.any() else 0.0
            result = real + weight[..., None] * (result - real)
        else:
            error = mse(result, real)
        structure, foreground_structure = ssim(result, real, weight)
        return Scores(
            psnr=psnr_of(error if self.rounded else error + _FLOAT_EPSILON, self._peak(result, real)),
            mse=error,
            fmse=foreground,
            fpsnr=psnr_of(foreground),
            ssim=structure,
            fssim=foreground_structure,
        )

    def levels(self, picture: NDArray[Any]) -> NDArray[Any]:
        """A picture as :meth:`prepare` gives it, in 0..255."""
        return picture if self.rounded else picture * 255

    def _peak(self, result: NDArray[Any], real: NDArray[Any]) -> float:
        if self.peak == "target":
            return float(real.max())
        return float(result.max()) - float(result.min()) if self.peak == "range" else PEAK


NATIVE = ScoringProtocol("native", "native size, 8-bit levels, peak 255", "ours; the default", size=None)
_ALL = (
    NATIVE,
    ScoringProtocol(
        "hdnet",
        "256 x 256 (Pillow), composite rebuilt on the real background, 8-bit levels, peak 255",
        "HDNet, evaluate.py and data/iharmony4_dataset.py of github.com/chenhaoxing/HDNet",
        rebuilt=True,
    ),
    ScoringProtocol(
        "issam",
        "256 x 256 (OpenCV), floats, peak of the real picture",
        "iSSAM, iharm/inference/metrics.py of github.com/SamsungLabs/image_harmonization",
        resize="opencv",
        rounded=False,
        nearest_mask=False,
        peak="target",
    ),
    ScoringProtocol(
        "dovenet",
        "256 x 256 (Pillow), 8-bit levels, peak is the range of the result",
        "DoveNet, test.py of github.com/bcmi/Image-Harmonization-Dataset-iHarmony4",
        peak="range",
    ),
    ScoringProtocol(
        "pctnet-fullres",
        "native size, floats, errors within the mask only, peak 255",
        "PCT-Net, iharm/inference/metrics.py of github.com/rakutentech/PCT-Net-Image-Harmonization",
        size=None,
        rounded=False,
        nearest_mask=False,
        masked=True,
    ),
)
PROTOCOLS: dict[str, ScoringProtocol] = {protocol.name: protocol for protocol in _ALL}


def find_protocol(name: str) -> ScoringProtocol:
    """The protocol of a name.

    Raises:
        UsageError: there is no protocol of this name.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"there is no protocol {name!r}", f"choose from {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def _resize(image: NDArray[np.uint8], side: int, by: str) -> NDArray[np.uint8]:
    if by == "opencv":
        resized: NDArray[np.uint8] = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        return resized
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


def _resize_mask(mask: NDArray[np.float32], side: int, *, nearest: bool) -> NDArray[np.float32]:
    if not nearest:
        resized: NDArray[np.float32] = cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        return snap(resized)
    picture = Image.fromarray((mask * 255).astype(np.uint8))
    return np.asarray(picture.resize((side, side), Image.Resampling.NEAREST)).astype(np.float32) / np.float32(255)
