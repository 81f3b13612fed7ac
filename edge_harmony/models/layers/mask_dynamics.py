"""MGD, mask-aware global dynamics (Chen et al., HDNet, ACM MM 2023, section 3.3), written as matrix products."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import FloatIsland
from edge_harmony.models.layers.masks import resize_mask


class MaskAwareGlobalDynamics(FloatIsland):
    """Predict one 1x1 convolution for the foreground and one for the background, and apply them.

    The kernels come from the image itself: global average pooling, a 1x1 convolution to 4 channels, a sigmoid
    and a grouped 1x1 convolution to two sets of ``C x C`` weights. With ``F`` the features as ``(C, HW)``::

        out = M * (K_f F) + (1 - M) * (K_b F)

    The public code applies them as a grouped convolution in a custom autograd function, which no exporter
    supports; a batched MatMul computes equal values.

    Args:
        channels: C of the feature map and of the result.
        official: sample the mask to the nearest pixel, as the public code does, instead of averaging the area.
    """

    regions = 2

    def __init__(self, channels: int, *, official: bool = False) -> None:
        super().__init__()
        self.official = official
        hidden = self.regions * self.regions
        self.kernel = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.Sigmoid(),
            nn.Conv2d(hidden, self.regions * channels * channels, 1, groups=self.regions),
        )

    def forward(self, x: Tensor, mask: Tensor, divisor: int = 1) -> Tensor:
        """Map features under a mask.

        Args:
            x: ``(N, C, H, W)``.
            mask: ``(N, 1, H', W')`` in [0, 1].
            divisor: a power of two by which ``x`` and the result are divided; the kernels are those of the features
                themselves.

        Returns:
            ``(N, C, H, W)``.
        """
        batch, channels, height, width = x.shape
        squeeze, activation, spread = self.kernel
        assert isinstance(squeeze, nn.Conv2d)
        assert squeeze.bias is not None
        hidden = F.conv2d(x.mean((2, 3), keepdim=True), squeeze.weight, squeeze.bias / divisor) * divisor
        kernels = spread(activation(hidden)).view(batch, self.regions * channels, channels)
        mapped = (kernels @ x.flatten(2)).view(batch, self.regions, channels, height, width)
        foreground = resize_mask(mask, (height, width), nearest=self.official)
        result: Tensor = mapped[:, 0] * foreground + mapped[:, 1] * (1 - foreground)
        return result
