"""EfficientNet-lite's stages: inverted bottlenecks without squeeze-and-excite, which integer kernels run well."""

from __future__ import annotations

from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import ConvUnit, Norm, QuantPoint

LITE0_WIDTHS = (16, 24, 40, 112, 320)
"""Channels of EfficientNet-lite0 at 1/2, 1/4, 1/8, 1/16 and 1/32, see :func:`lite0_stages`."""

_STEM = 32
_LITE0 = (
    ((1, 3, 16, 1, 1),),
    ((6, 3, 24, 2, 2),),
    ((6, 5, 40, 2, 2),),
    ((6, 3, 80, 2, 3), (6, 5, 112, 1, 3)),
    ((6, 5, 192, 2, 4), (6, 3, 320, 1, 1)),
)
"""For each level its groups of blocks: expansion, kernel, channels, stride of the first block, number of blocks."""


class InvertedBottleneck(nn.Module):
    """Expand by a pointwise convolution, filter each channel, project back; add the input if shapes allow.

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018. ReLU replaces the ReLU6 of
    EfficientNet-lite, because every integer target fuses ReLU.

    Args:
        inputs: input channels.
        outputs: output channels.
        expansion: width of the filtered layer as a multiple of the input channels; 1 leaves the expansion out.
        kernel: odd side of the filter.
        stride: 1 or 2.
        norm: norm of the convolutions.
    """

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int, norm: Norm) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = ConvUnit(inputs, width, kernel=1, norm=norm) if expansion > 1 else None
        self.filter = ConvUnit(width, width, kernel=kernel, stride=stride, groups=width, norm=norm)
        self.project = ConvUnit(width, outputs, kernel=1, relu=False, norm=norm)
        self.quantize_sum = QuantPoint() if stride == 1 and inputs == outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        y: Tensor = self.project(self.filter(x if self.expand is None else self.expand(x)))
        return y if self.quantize_sum is None else self.quantize_sum(x + y)


def lite0_stages(inputs: int, norm: Norm) -> list[nn.Module]:
    """The stages of EfficientNet-lite0 for five levels, with :data:`LITE0_WIDTHS` channels.

    Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the lite variants
    (TensorFlow, 2020) leave out operations that suit integer arithmetic badly. The classifier's head is left out.

    Args:
        inputs: number of input planes.
        norm: norm of the convolutions.
    """
    stages: list[nn.Module] = []
    width = _STEM
    for groups in _LITE0:
        layers: list[nn.Module] = [] if stages else [ConvUnit(inputs, _STEM, stride=2, norm=norm)]
        for expansion, kernel, outputs, first_stride, count in groups:
            for k in range(count):
                stride = 1 if k else first_stride
                layers.append(
                    InvertedBottleneck(width, outputs, expansion=expansion, kernel=kernel, stride=stride, norm=norm)
                )
                width = outputs
        stages.append(nn.Sequential(*layers))
    return stages
