"""The edge family: edge-n, edge-s, edge-m and edge-l, compact networks that predict a colour transform, not a picture.

An encoder whose chains of convolution + ReLU run as integer kernels (plain pairs, or EfficientNet-lite0), a feature
pyramid back up to 1/8, and 12 coefficients per cell: a 3x4 affine colour transform, predicted about the foreground's
mean colour. Whatever applies it does so at the picture's own size, so resolution costs nothing in the network.

The defaults are what the ablation in ``docs/decisions/0004-the-edge-family.md`` chose; the options are the
alternatives it measured.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.colour_transform import AFFINE_CHANNELS, GAIN_CHANNELS, slice_bilateral, uncentre
from edge_harmony.models.layers.conv_unit import ConvUnit, Norm, QuantPoint
from edge_harmony.models.layers.feature_modulation import FeatureModulation
from edge_harmony.models.layers.global_transform import GlobalTransform
from edge_harmony.models.layers.inverted_bottleneck import LITE0_WIDTHS, lite0_stages
from edge_harmony.models.layers.local_dynamics import LocalDynamics
from edge_harmony.models.layers.mask_dynamics import MaskAwareGlobalDynamics
from edge_harmony.models.layers.masks import paired_statistics, region_mean, region_statistics
from edge_harmony.models.layers.rain import RAIN
from edge_harmony.models.layers.region_modulation import RegionModulation
from edge_harmony.models.layers.style_fusion import StyleFusion
from edge_harmony.models.layers.unet import check_size

STRIDE = 32
"""Height and width of the input must be multiples of this."""

Transform = Literal["affine", "gain", "difference", "bilateral"]
Encoder = Literal["plain", "efficientnet-lite0"]
Exchange = Literal[
    "modulation", "means", "rain", "style-fusion", "feature-modulation", "local-dynamics", "mask-dynamics"
]

_COLOUR_STATISTICS = 12
_RELATIVE_LIMIT = 2.0
_BILATERAL_BINS = 8
_BILATERAL_STRIDE = 4
_EPS = 1e-3


class EdgeNet(nn.Module):
    """Composite and mask in, a grid of affine colour transforms out.

    The input is seven channels: the composite, the composite relative to the background's mean and deviation (so
    that a change of light over the whole picture changes little), and the mask. Masked statistics of features and of
    raw colours steer the decoder through :class:`RegionModulation`, at 1/32, 1/16 and 1/8 only, where float
    arithmetic is cheap.

    Args:
        widths: channels at 1/2, 1/4, 1/8, 1/16 and 1/32.
        hidden: width of the modulation's fully connected layers.
        transform: ``"affine"``; ``"gain"``, a gain and an offset per channel; ``"difference"``, an offset only;
            ``"bilateral"``, an affine grid of 8 levels of lightness, sliced at 1/4 within the network.
        stride: where the decoder ends: 2, 4, 8 or 16; 32 predicts one transform for the whole foreground.
        bottleneck: layers at 1/32 by which foreground and background exchange information, in their order.
        decoder: the layer that does so after the steps of the decoder; empty for none.
        finest_exchange: the finest stride at which the decoder's does: statistics cost more the finer they are.
        norm: of the convolutions; ``"instance"`` cannot be quantized.
        centred: predict offsets about the foreground's mean colour.
        relative: give the composite relative to the background, besides the composite itself.
        colour_statistics: give the modulation the raw colours' means and deviations.
        encoder: ``"plain"``, pairs of convolutions; ``"efficientnet-lite0"``, whose weights from ImageNet
            ``edge-harmony import`` takes (``widths`` must then be its own).
        decoder_widths: channels of the decoder at 1/16, 1/8 and so on, where they are not the encoder's; the encoder's
            features then come in through a pointwise convolution.
        overall: width of a small network that predicts one transform for the whole foreground from statistics of both
            regions, to which the grid adds; 0 for none.
        gate: let that network predict one number in (0, 1), too, which scales the sum towards the identity.
        half_distances: give the colours relative to the background at half their scale, see :meth:`halve_distances`.
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int, int] = (32, 32, 56, 96, 128),
        hidden: int = 128,
        *,
        transform: Transform = "affine",
        stride: Literal[2, 4, 8, 16, 32] = 8,
        bottleneck: tuple[Exchange, ...] = ("modulation",),
        decoder: Exchange | Literal[""] = "modulation",
        finest_exchange: Literal[2, 4, 8, 16, 32] = 2,
        norm: Norm = "batch",
        centred: bool = True,
        relative: bool = True,
        colour_statistics: bool = True,
        encoder: Encoder = "plain",
        decoder_widths: tuple[int, ...] = (),
        overall: int = 0,
        gate: bool = False,
        half_distances: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) != 5:
            raise ValueError(f"widths must name five levels, got {len(widths)}")
        if stride not in (2, 4, 8, 16, 32):
            raise ValueError(f"stride must be 2, 4, 8, 16 or 32, got {stride}")
        for value, kind in ((transform, Transform), (norm, Norm), (encoder, Encoder)):
            if value not in get_args(kind):
                raise ValueError(f"{value!r} is not one of {', '.join(get_args(kind))}")
        if encoder == "efficientnet-lite0" and widths != LITE0_WIDTHS:
            raise ValueError(f"widths of {encoder} are {LITE0_WIDTHS}, got {widths}")
        if gate and not overall:
            raise ValueError("gate needs overall, whose network predicts it")
        self.gate = gate
        self.output = "affine" if transform == "bilateral" else transform
        self.transform = transform
        self.centred = centred
        self.relative = relative
        self.half_distances = half_distances
        self.colour_statistics = colour_statistics
        context = _COLOUR_STATISTICS if colour_statistics else 0
        self.quantize_input = QuantPoint()
        inputs = 7 if relative else 4
        self.encoder = nn.ModuleList(
            _plain_stages(inputs, widths, norm) if encoder == "plain" else lite0_stages(inputs, norm)
        )
        self.bottleneck = nn.ModuleList(_exchange(kind, widths[4], context, hidden) for kind in bottleneck)
        self.quantize_exchanged = nn.ModuleList(QuantPoint() for _ in bottleneck)
        self.lateral = nn.ModuleList()
        self.quantize_sum = nn.ModuleList()
        self.merge = nn.ModuleList()
        self.match = nn.ModuleList()
        self.quantize_matched = nn.ModuleList()
        self.skip = nn.ModuleList()
        finest = stride.bit_length() - 2  # index of the level that the decoder ends at
        levels = range(3, finest - 1, -1)
        if decoder_widths and len(decoder_widths) != len(levels):
            raise ValueError(f"decoder_widths must name {len(levels)} levels, got {len(decoder_widths)}")
        below = widths[4]
        for k, fine in enumerate(levels):
            width = decoder_widths[k] if decoder_widths else widths[fine]
            if decoder_widths:
                self.skip.append(ConvUnit(widths[fine], width, kernel=1, relu=False, norm=norm))
            self.lateral.append(ConvUnit(below, width, kernel=1, relu=False, norm=norm))
            self.quantize_sum.append(QuantPoint())
            self.merge.append(ConvUnit(width, width, norm=norm))
            if decoder and 2 << fine >= finest_exchange:
                self.match.append(_exchange(decoder, width, context, hidden))
                self.quantize_matched.append(QuantPoint())
            below = width
        channels = {
            "affine": AFFINE_CHANNELS,
            "gain": GAIN_CHANNELS,
            "difference": 3,
            "bilateral": AFFINE_CHANNELS * _BILATERAL_BINS,
        }
        coefficients = channels[self.output]
        self.overall = GlobalTransform(widths[4], context, overall, coefficients + gate) if overall else None
        self.head = nn.Conv2d(below, channels[transform], 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Predict the colour transform.

        Args:
            composite: ``(N, 3, H, W)`` RGB in [0, 1]; H and W multiples of 32.
            mask: ``(N, 1, H, W)`` in [0, 1], 1 in the foreground.

        Returns:
            ``(N, 12, H / 8, W / 8)``: per cell a row-major 3x3 matrix and an offset, as residuals of the identity,
            for colours in [0, 1]. With other options gains and offsets (6 channels) or differences (3), or grids of
            other sizes.
        """
        check_size(composite, STRIDE)
        mean_f, std_f, mean_b, std_b = paired_statistics(composite, mask, 1e-4)
        context = torch.cat([mean_f, std_f, mean_b, std_b], 1).flatten(1) * 4 - 1 if self.colour_statistics else None
        features = self._encode(composite, mask, mean_b, std_b)
        x = features[-1]
        for layer, point in zip(self.bottleneck, self.quantize_exchanged, strict=True):
            x = point(_run(layer, x, mask, context, features[-1]))
        for k, merge in enumerate(self.merge):
            skip = features[-2 - k] if not self.skip else self.skip[k](features[-2 - k])
            lateral = cast(ConvUnit, self.lateral[k])
            x = F.interpolate(lateral(x), size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = lateral.point(x)  # the range before upsampling holds after it: one scale, and the resize stays integer
            x = merge(self.quantize_sum[k](x + skip))
            if k < len(self.match):
                x = self.quantize_matched[k](_run(self.match[k], x, mask, context, skip))
        overall = None if self.overall is None else self.overall(features[-1], mask, context)
        return self._transform(self.head(x), overall, composite, mask, mean_f)

    def style_features(self, picture: Tensor, mask: Tensor) -> list[Tensor]:
        """The encoder's features of any picture ``(N, 3, H, W)`` in [0, 1] under ``mask``, finest first."""
        return self._encode(picture, mask, *region_statistics(picture, 1 - mask, 1e-4))

    def halve_distances(self, half: bool = True) -> None:
        """Give the colours relative to the background at half their scale from now on, or at the whole, in place.

        The first convolution's weights for them are doubled or halved, so the float network computes the same. The
        input has one range in eight bits: halved, these colours lie within that of the picture, [-1, 1], which keeps
        its eighth bit.
        """
        if self.half_distances == half or not self.relative:
            return
        self.half_distances = half
        first = next(module for module in self.encoder.modules() if isinstance(module, nn.Conv2d))
        with torch.no_grad():
            first.weight[:, 3:6].mul_(2 if half else 0.5)

    def _encode(self, picture: Tensor, mask: Tensor, mean_b: Tensor, std_b: Tensor) -> list[Tensor]:
        planes = [picture * 2 - 1]
        if self.relative:
            unit = 2 if self.half_distances else 1
            distance = (picture - mean_b) / (2 * unit * std_b + 0.1 * unit)
            planes.append(distance.clamp(-_RELATIVE_LIMIT / unit, _RELATIVE_LIMIT / unit))
        x = self.quantize_input(torch.cat([*planes, mask], 1))
        features = []
        for stage in self.encoder:
            x = stage(x)
            features.append(x)
        return features

    def _transform(
        self, raw: Tensor, overall: Tensor | None, composite: Tensor, mask: Tensor, centre: Tensor
    ) -> Tensor:
        if not len(self.merge):  # one transform: the mean over the foreground's cells
            weight = F.avg_pool2d(mask, STRIDE)
            raw = region_mean(raw, weight + _EPS, STRIDE)
        if self.transform == "bilateral":
            raw = slice_bilateral(raw, F.avg_pool2d(composite, _BILATERAL_STRIDE))
        if overall is not None and self.gate:
            overall, amount = overall[:, :-1], overall[:, -1:]
            raw = (raw + overall) * torch.sigmoid(amount)
        elif overall is not None:
            raw = raw + overall
        if self.transform == "difference":
            return raw
        return uncentre(raw, centre) if self.centred else raw


def _plain_stages(inputs: int, widths: tuple[int, ...], norm: Norm) -> list[nn.Module]:
    first: list[nn.Module] = [ConvUnit(inputs, widths[0], stride=2, norm=norm)]
    return first + [
        nn.Sequential(ConvUnit(i, o, stride=2, norm=norm), ConvUnit(o, o, norm=norm)) for i, o in pairwise(widths)
    ]


def _exchange(kind: Exchange, channels: int, context: int, hidden: int) -> nn.Module:
    """One of the layers by which foreground and background exchange information."""
    if kind in ("modulation", "means"):
        return RegionModulation(channels, context, hidden, deviations=kind == "modulation")
    if kind in ("rain", "style-fusion"):
        return RAIN(channels, eps=_EPS) if kind == "rain" else StyleFusion(channels, eps=_EPS)
    plain = {
        "feature-modulation": FeatureModulation,
        "local-dynamics": LocalDynamics,
        "mask-dynamics": MaskAwareGlobalDynamics,
    }
    if kind not in plain:
        raise ValueError(f"{kind!r} is not one of {', '.join(get_args(Exchange))}")
    return plain[kind](channels)


def _run(layer: nn.Module, x: Tensor, mask: Tensor, context: Tensor | None, encoded: Tensor) -> Tensor:
    """Call an exchange layer with what it takes."""
    if isinstance(layer, RegionModulation):
        result: Tensor = layer(x, mask, context)
    elif isinstance(layer, StyleFusion):
        result = layer(x, mask, encoded)
    else:
        result = layer(x, mask)
    return result
