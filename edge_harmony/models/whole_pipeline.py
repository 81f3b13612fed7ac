"""The whole pipeline as one network: 8-bit picture and mask of any size in, 8-bit picture out.

It uses only operators that compilers for devices support. Resizing by area and bilinear upsampling are matrix products
with weights computed from the sizes, so both agree with :mod:`edge_harmony.pipeline.harmonize` at every size. Only
small tensors change their layout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_harmony.errors import CapabilityError
from edge_harmony.files.manifest import WHOLE_PIPELINE
from edge_harmony.models.layers.masks import snap

_GRIDS = ("affine", "gain", "difference")


class WholePipeline(nn.Module):
    """Resize, predict, upsample, apply and blend.

    Args:
        network: maps ``(1, 3, h, w)`` and ``(1, 1, h, w)`` to a grid; its ``output`` names the kind of grid.
        size: its working size (height, width); pictures must be at least as large.

    Raises:
        CapabilityError: the network paints pictures; its changes beyond the mask would have to be filtered first.
    """

    output = WHOLE_PIPELINE

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        kind = str(network.output)
        if kind not in _GRIDS:
            raise CapabilityError(f"networks that return {kind} have no whole pipeline", "use an edge network")
        self.network = network
        self.kind = kind
        self.size = size

    def forward(self, picture: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
        """Harmonize a picture.

        Args:
            picture: ``(H, W, 3)`` uint8 RGB.
            mask: ``(H, W)`` uint8, 255 in the foreground.
            strength: ``()`` float32, size of the change, 0 to 1.5; see :func:`edge_harmony.pipeline.apply.apply_grid`.

        Returns:
            ``(H, W, 3)`` uint8; equal to ``picture`` where the mask is 0, and everywhere if the strength is 0.
        """
        height, width = mask.shape
        levels = picture.float()
        rows, columns = area_weights(self.size[0], height), area_weights(self.size[1], width)
        narrow = (rows @ levels.reshape(height, width * 3)).reshape(self.size[0], width, 3).permute(2, 0, 1)
        planes = [levels[..., channel] for channel in range(3)]
        small = narrow @ columns.transpose(0, 1)
        changed = self._harmonize(planes, mask.float() / 255, small, rows, columns, strength)
        return torch.stack(changed, 2).to(torch.uint8)

    def _harmonize(
        self, planes: list[Tensor], weight: Tensor, small: Tensor, rows: Tensor, columns: Tensor, strength: Tensor
    ) -> list[Tensor]:
        """The planes ``(H, W)`` after harmonization, in whole levels; ``small`` is the picture at working size."""
        small_mask = snap(rows @ weight @ columns.transpose(0, 1))
        grid = self.network(torch.round(small)[None] / 255, small_mask[None, None])[0]
        grid = grid * strength  # the grid holds the difference from the identity
        height, width = weight.shape
        up, across = bilinear_weights(grid.shape[1], height).transpose(0, 1), bilinear_weights(grid.shape[2], width)
        painted = []
        for channel, plane in enumerate(planes):
            changed = plane + weight * self._change(channel, planes, grid, up, across)
            painted.append(torch.where(weight > 0, torch.round(changed.clamp(0.0, 255.0)), plane))
        return painted

    def _change(self, channel: int, planes: list[Tensor], grid: Tensor, up: Tensor, across: Tensor) -> Tensor:
        """The change of a channel in levels, computed with one upsampled plane at a time."""

        def field(index: int) -> Tensor:
            return up @ grid[index] @ across

        if self.kind == "difference":
            return field(channel) * 255
        if self.kind == "gain":
            return field(channel) * planes[channel] + field(3 + channel) * 255
        total = field(9 + channel) * 255
        for k, plane in enumerate(planes):
            total = total + field(3 * channel + k) * plane
        return total


class PlanarPipeline(WholePipeline):
    """A :class:`WholePipeline` for runtimes that pass pictures as planes of float levels, such as Core ML."""

    def forward(self, picture: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
        """Harmonize a picture.

        Args:
            picture: ``(1, 3, H, W)`` float32 RGB in [0, 255].
            mask: ``(1, 1, H, W)`` float32 in [0, 255], 255 in the foreground.
            strength: ``(1,)`` float32, size of the change, 0 to 1.5; Core ML has no inputs without dimensions.

        Returns:
            ``(1, 3, H, W)`` float32, whole levels; equal to ``picture`` where the mask is 0, and everywhere if the
            strength is 0.
        """
        height, width = mask.shape[2:]
        rows, columns = area_weights(self.size[0], height), area_weights(self.size[1], width)
        small = rows @ picture[0] @ columns.transpose(0, 1)
        planes = [picture[0, channel] for channel in range(3)]
        return torch.stack(self._harmonize(planes, mask[0, 0] / 255, small, rows, columns, strength))[None]


def area_weights(cells: int, size: int) -> Tensor:
    """Weights ``(cells, size)`` of the pixels in the mean of each cell, as OpenCV's ``INTER_AREA``; cells <= size."""
    start = torch.arange(size)[None].float()
    share = size / cells
    low = torch.arange(cells)[:, None].float() * share
    overlap = torch.minimum(low + share, start + 1) - torch.maximum(low, start)
    return overlap.clamp_min(0.0) / share


def bilinear_weights(cells: int, size: int) -> Tensor:
    """Weights ``(cells, size)`` of bilinear upsampling, half-pixel centres, as :mod:`edge_harmony.pipeline.apply`."""
    position = ((torch.arange(size)[None].float() + 0.5) * (cells / size) - 0.5).clamp(0.0, float(cells - 1))
    return (1 - (position - torch.arange(cells)[:, None].float()).abs()).clamp_min(0.0)
