"""Fake quantization: signed 8 bits, symmetric; per tensor for activations, per output channel for weights.

The arithmetic of Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018, with zero points of 0, as TensorRT requires (NVIDIA, "Working with Quantized Types").
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.ao.quantization.fx import _decomposed  # noqa: F401  (registers torch.ops.quantized_decomposed)

ACTIVATION_RANGE = (-128, 127)
WEIGHT_RANGE = (-127, 127)
_SMALLEST_SCALE = 1e-8


class ActivationQuantizer(nn.Module):
    """Quantize and dequantize an activation with one scale.

    In training mode the scale follows the largest magnitude by a moving average, or is learned (:meth:`learn`); in
    evaluation mode it is constant. With ``export_scale`` set, the module uses the decomposed quantize and dequantize
    operators that the ONNX and Core ML converters know.

    Attributes:
        scale: step between levels; 0 means not calibrated yet.
        momentum: momentum of the moving average.
    """

    scale: Tensor
    momentum = 0.02

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(0.0, dtype=torch.float32))
        self.log_scale: nn.Parameter | None = None
        self.enabled = True
        self.export_scale: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Round ``x`` (any shape) to the 256 levels of the scale; straight-through gradient."""
        if not self.enabled:
            return x
        low, high = ACTIVATION_RANGE
        if self.export_scale is not None:
            operators = torch.ops.quantized_decomposed
            levels = operators.quantize_per_tensor(x, self.export_scale, 0, low, high, torch.int8)
            result: Tensor = operators.dequantize_per_tensor(levels, self.export_scale, 0, low, high, torch.int8)
            return result
        if self.training and self.log_scale is not None:
            step = self.log_scale.exp()
            with torch.no_grad():
                self.scale.copy_(step)
            # LSQ scales the gradient of the step by 1 / sqrt(values * levels); here with the values of one sample
            factor = 1 / math.sqrt(x[0].numel() * high)
            zero_point = torch.zeros(1, device=x.device)
            return torch._fake_quantize_learnable_per_tensor_affine(x, step.view(1), zero_point, low, high, factor)
        if self.training:
            self.observe(x, self.momentum)
        zero = torch.zeros((), dtype=torch.int32, device=x.device)
        return torch.fake_quantize_per_tensor_affine(x, self.scale, zero, low, high)

    def learn(self) -> None:
        """Train the scale by gradient descent from its current value, as a logarithm, so that it stays positive.

        Esser et al., "Learned Step Size Quantization", ICLR 2020; the logarithm follows Jain et al., "Trained
        Quantization Thresholds", MLSys 2020.
        """
        self.log_scale = nn.Parameter(self.scale.detach().clamp_min(_SMALLEST_SCALE).log())

    @torch.no_grad()
    def observe(self, x: Tensor, momentum: float) -> None:
        """Move the scale towards the largest magnitude of ``x``."""
        seen = (x.abs().amax() / ACTIVATION_RANGE[1]).clamp_min(_SMALLEST_SCALE)
        self.scale.copy_(torch.where(self.scale == 0, seen, self.scale.lerp(seen, momentum)))


class QuantizedConv2d(nn.Conv2d):
    """A convolution whose weights are rounded to 8 bits with one scale per output channel."""

    enabled = True
    exporting = False

    def weight_scale(self) -> Tensor:
        """Step per output channel, ``(out_channels,)``, from the largest magnitude of its weights."""
        return (self.weight.detach().abs().amax((1, 2, 3)) / WEIGHT_RANGE[1]).clamp_min(_SMALLEST_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """As :class:`torch.nn.Conv2d`."""
        return self._conv_forward(x, self._rounded_weight(), self.bias)

    def _rounded_weight(self) -> Tensor:
        if not self.enabled:
            return self.weight
        low, high = WEIGHT_RANGE
        if self.exporting:
            result: Tensor = torch.ops.quantized_decomposed.dequantize_per_channel(
                self.weight_levels, self.export_scales, self.export_zeros, 0, low, high, torch.int8
            )
            return result
        scale = self.weight_scale()
        zeros = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(self.weight, scale, zeros, 0, low, high)

    @torch.no_grad()
    def freeze_for_export(self) -> None:
        """Store the weights as 8-bit levels, from which the exported graph dequantizes."""
        scale = self.weight_scale()
        self.register_buffer("weight_levels", _levels(self.weight, scale.view(-1, 1, 1, 1)), persistent=False)
        self.register_buffer("export_scales", scale, persistent=False)
        self.register_buffer("export_zeros", torch.zeros_like(scale, dtype=torch.int64), persistent=False)
        self.exporting = True


class QuantizedConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution whose weights are rounded to 8 bits with one scale for the tensor.

    TensorRT takes per-channel scales of transposed convolutions along one axis only, which is not the output's axis for
    every shape. ONNX Runtime computes transposed convolutions in float.
    """

    enabled = True
    exporting = False

    def weight_scale(self) -> Tensor:
        """Step, a scalar, from the largest magnitude of the weights."""
        return (self.weight.detach().abs().amax() / WEIGHT_RANGE[1]).clamp_min(_SMALLEST_SCALE)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As :class:`torch.nn.ConvTranspose2d`, without ``output_size``."""
        if output_size is not None:
            raise ValueError("output_size is not supported")
        padding = self.padding  # always numbers: transposed convolutions have no named padding
        assert not isinstance(padding, str)
        return torch.nn.functional.conv_transpose2d(
            x, self._rounded_weight(), self.bias, self.stride, padding, self.output_padding, self.groups
        )

    def _rounded_weight(self) -> Tensor:
        if not self.enabled:
            return self.weight
        low, high = WEIGHT_RANGE
        if self.exporting:
            result: Tensor = torch.ops.quantized_decomposed.dequantize_per_tensor(
                self.weight_levels, self.export_scale, 0, low, high, torch.int8
            )
            return result
        zero = torch.zeros((), dtype=torch.int32, device=self.weight.device)
        return torch.fake_quantize_per_tensor_affine(self.weight, self.weight_scale(), zero, low, high)

    @torch.no_grad()
    def freeze_for_export(self) -> None:
        """Store the weights as 8-bit levels, from which the exported graph dequantizes."""
        scale = self.weight_scale()
        self.register_buffer("weight_levels", _levels(self.weight, scale), persistent=False)
        self.export_scale = float(scale)
        self.exporting = True


def _levels(weight: Tensor, scale: Tensor) -> Tensor:
    return torch.clamp(torch.round(weight / scale), *WEIGHT_RANGE).to(torch.int8)
