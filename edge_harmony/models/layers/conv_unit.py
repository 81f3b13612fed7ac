"""Convolution, foldable normalization, ReLU: the unit that every integer target fuses."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "instance", "none"]


class QuantPoint(nn.Identity):
    """A place where a prepared network quantizes a tensor; before preparation it does nothing.

    Networks have a point after every tensor that a target would otherwise keep in float between integer kernels: the
    input, sums, resizes and the result of a float island.
    """


class FloatIsland(nn.Module):
    """A layer that is computed in float at every precision of the network: masked statistics, softmax, division.

    Nothing within it is quantized. Networks use it at low resolution, with a quantization point after it.

    Attributes:
        fits_half: whether its values stay within the range of 16 bits (65,504) for every mask and ordinary features, so
            that it may be computed in half precision.
    """

    fits_half: ClassVar[bool] = False


class ConvUnit(nn.Module):
    """``relu(norm(conv(x)))``; :meth:`fold` turns it into an equal ``relu(conv(x))``.

    Args:
        inputs: input channels.
        outputs: output channels.
        kernel: odd side of the kernel; the padding keeps the size.
        stride: 1 or 2.
        relu: whether there is an activation.
        norm: ``"batch"``, which folds; ``"instance"``, which does not, and cannot be quantized; or ``"none"``.
        groups: groups of channels, as in :class:`torch.nn.Conv2d`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        relu: bool = True,
        norm: Norm = "batch",
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=norm == "none")
        self.norm: nn.Module = nn.Identity()
        if norm == "batch":
            self.norm = nn.BatchNorm2d(outputs, momentum=0.05)
        elif norm == "instance":
            self.norm = nn.InstanceNorm2d(outputs, affine=True)
        else:
            nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.relu = relu
        self.point = QuantPoint()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        x = self.norm(self.conv(x))
        return self.point(F.relu(x) if self.relu else x)

    @torch.no_grad()
    def fold(self) -> None:
        """Fold the normalization's running statistics into the convolution; no effect if it is folded already."""
        norm = self.norm
        if not isinstance(norm, nn.BatchNorm2d):
            return
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError("the norm has no running statistics to fold")
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.conv.weight.mul_(gain.view(-1, 1, 1, 1))
        self.conv.bias = nn.Parameter(norm.bias - norm.running_mean * gain)
        self.norm = nn.Identity()


def fold_norms(model: nn.Module) -> nn.Module:
    """Fold every :class:`ConvUnit` of a network, in place; returns the network."""
    for module in model.modules():
        if isinstance(module, ConvUnit):
            module.fold()
    return model
