"""The real foreground under another camera and light, drawn at random from a hash of the sample's name.

The composites of data sets were recoloured after objects in other photographs, in ways that no light does. This change
is realistic: another exposure and white balance, haze, another tone curve and saturation. It is for scoring only and
must not change; training has its own changes.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

EXPOSURE = 0.35
"""Standard deviation of the exposure, in the natural logarithm of linear light."""
WHITE_BALANCE = 0.12
"""Standard deviation of red and of blue, in the natural logarithm of linear light; green does not change."""
HAZE = 0.06
"""Standard deviation of the share of linear light that haze replaces; the absolute value is used."""
GAMMA = 0.15
"""Standard deviation of the logarithm of the exponent on encoded values."""
SATURATION = 0.25
"""Standard deviation of the logarithm of the factor on the distance from luma."""
VEIL = 0.6
"""Linear light of the haze, gray."""
_LEVELS = np.arange(256, dtype=np.float32) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Light:
    """A change of light: natural logarithms of factors, 0 for no change; ``haze`` is a share."""

    exposure: float = 0.0
    red: float = 0.0
    blue: float = 0.0
    haze: float = 0.0
    gamma: float = 0.0
    saturation: float = 0.0


def drawn_light(name: str) -> Light:
    """The light for a name; it does not depend on the machine or the version of NumPy."""
    return Light(
        exposure=EXPOSURE * _normal(name, "exposure"),
        red=WHITE_BALANCE * _normal(name, "red"),
        blue=WHITE_BALANCE * _normal(name, "blue"),
        haze=HAZE * abs(_normal(name, "haze")),
        gamma=GAMMA * _normal(name, "gamma"),
        saturation=SATURATION * _normal(name, "saturation"),
    )


def relight(picture: NDArray[np.uint8], light: Light) -> NDArray[np.uint8]:
    """Relight a picture ``(H, W, 3)`` uint8, sRGB: exposure, white balance, haze, gamma, saturation."""
    gains = np.exp(np.array([light.exposure + light.red, light.exposure, light.exposure + light.blue], np.float32))
    linear = _LINEAR[picture] * gains * np.float32(1 - light.haze) + np.float32(VEIL * light.haze)
    encoded = _encoded(np.clip(linear, 0, 1)) ** np.float32(math.exp(light.gamma))
    luma = (encoded @ _LUMA)[..., None]
    changed = luma + (encoded - luma) * np.float32(math.exp(light.saturation))
    return np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)


def relit(real: NDArray[np.uint8], mask: NDArray[np.float32], name: str) -> NDArray[np.uint8]:
    """The composite of a real picture ``(H, W, 3)`` and its own relit foreground, by the mask ``(H, W)`` in [0, 1]."""
    weight = mask[..., None]
    mixed = weight * relight(real, drawn_light(name)) + (1 - weight) * real
    return np.rint(mixed).astype(np.uint8)


def _normal(name: str, what: str) -> float:
    """A normally distributed number, derived from a hash."""
    digest = hashlib.sha256(f"{name}/{what}".encode()).digest()
    return NormalDist().inv_cdf((int.from_bytes(digest[:6], "big") + 0.5) / 2**48)


def _encoded(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode linear light as sRGB (IEC 61966-2-1)."""
    curve = 1.055 * np.maximum(linear, 0.0031308) ** np.float32(1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve).astype(np.float32)
