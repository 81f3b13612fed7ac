"""The whole pipeline as one network: 8-bit picture and mask of any size in, 8-bit picture out.

It uses only operators that compilers for devices support; none of them resizes by area. So resizing is written as sums
over the pixels of each cell, and upsampling as sums over the two cells on either side of each pixel, with weights
computed from the sizes: both agree with :mod:`edge_harmony.pipeline.harmonize` at every size. There are two forms
(``docs/decisions/0017-gathers-in-the-whole-pipeline.md``). For GPUs, pixels and cells are gathered by their numbers,
because compilers fuse that with the arithmetic around it: no picture in floating point is written to memory, and none
of the upsampled planes. For CPUs, which gather slowly, the sums are matrix products.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edge_harmony.errors import CapabilityError
from edge_harmony.files.manifest import WHOLE_PIPELINE
from edge_harmony.models.layers.masks import snap

_GRIDS = ("affine", "gain", "difference")


def check_grid(output: str) -> None:
    """Raise a CapabilityError if networks with this output have no whole pipeline."""
    if output not in _GRIDS:
        raise CapabilityError(f"networks that return {output} have no whole pipeline", "use an edge network")


class WholePipeline(nn.Module):
    """Resize, predict, upsample, apply and blend, in the form for GPUs.

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
        check_grid(kind)
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
        rows, columns = area_taps(self.size[0], height), area_taps(self.size[1], width)
        # Resizing reads levels as integers and painting as floats: a conversion that both share would be written to
        # memory in full size, while one of its own becomes part of each one's kernel. (8 bits cannot be gathered.)
        small = cell_means(picture.int(), rows, columns).permute(2, 0, 1)
        small_mask = cell_means(mask.int()[..., None], rows, columns)[..., 0] / 255
        grid = self._predict(small, small_mask, strength)
        levels, weight = picture.float(), mask.float() / 255
        planes = [levels[..., channel] for channel in range(3)]
        return torch.stack(self._paint(planes, weight, upsampled(grid, height, width)), 2).to(torch.uint8)

    def _predict(self, small: Tensor, small_mask: Tensor, strength: Tensor) -> Tensor:
        """The grid ``(C, h, w)`` of a picture ``(3, h, w)`` in levels and a mask ``(h, w)``, both at working size."""
        grid: Tensor = self.network(torch.round(small)[None] / 255, snap(small_mask)[None, None])[0]
        return grid * strength  # the grid holds the difference from the identity

    def _paint(self, planes: list[Tensor], weight: Tensor, field: Callable[[int], Tensor]) -> list[Tensor]:
        """The planes ``(H, W)`` after harmonization, in whole levels; ``field`` upsamples a channel of the grid."""
        painted = []
        for channel, plane in enumerate(planes):
            changed = plane + weight * self._change(channel, planes, field)
            painted.append(torch.where(weight > 0, torch.round(changed.clamp(0.0, 255.0)), plane))
        return painted

    def _change(self, channel: int, planes: list[Tensor], field: Callable[[int], Tensor]) -> Tensor:
        """The change of a channel in levels, computed with one upsampled plane at a time."""
        if self.kind == "difference":
            return field(channel) * 255
        if self.kind == "gain":
            return field(channel) * planes[channel] + field(3 + channel) * 255
        total = field(9 + channel) * 255
        for k, plane in enumerate(planes):
            total = total + field(3 * channel + k) * plane
        return total


class ProductPipeline(WholePipeline):
    """A :class:`WholePipeline` whose resizing and upsampling are matrix products with the same weights, for CPUs.

    A CPU gathers pixels slowly and multiplies matrices fast (``docs/whole-pipeline.md`` has both in one run).
    """

    def forward(self, picture: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
        """Harmonize a picture; shapes and types are those of the base class."""
        planes = self._harmonize(picture.permute(2, 0, 1).contiguous().float(), mask.float() / 255, strength)
        return torch.stack([plane.to(torch.uint8) for plane in planes]).permute(1, 2, 0).contiguous()

    def _harmonize(self, levels: Tensor, weight: Tensor, strength: Tensor) -> list[Tensor]:
        """Harmonize a picture ``(3, H, W)`` in levels with a mask ``(H, W)`` in [0, 1]; returns its three planes."""
        height, width = weight.shape
        rows, columns = area_weights(self.size[0], height), area_weights(self.size[1], width).transpose(0, 1)
        grid = self._predict(rows @ levels @ columns, rows @ weight @ columns, strength)
        up, across = bilinear_weights(grid.shape[1], height).transpose(0, 1), bilinear_weights(grid.shape[2], width)
        planes = [levels[channel] for channel in range(3)]
        return self._paint(planes, weight, lambda index: up @ grid[index] @ across)


class PlanarPipeline(ProductPipeline):
    """A :class:`ProductPipeline` for runtimes that pass pictures as planes of float levels, such as Core ML."""

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
        return torch.stack(self._harmonize(picture[0], mask[0, 0] / 255, strength))[None]


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


def area_taps(cells: int, size: int) -> tuple[Tensor, Tensor]:
    """The pixels of each cell and their weights in its mean, as OpenCV's ``INTER_AREA``; cells <= size.

    Returns:
        Numbers of pixels ``(cells, n)`` and weights ``(cells, n)``, with as many pixels for each cell as any of them
        touches: some have a weight of 0. The weights are those of :func:`area_weights`.
    """
    share = size / cells
    low = torch.arange(cells)[:, None].float() * share
    pixels = low.floor() + torch.arange(size // cells + 2)[None].float()
    overlap = torch.minimum(low + share, pixels + 1) - torch.maximum(low, pixels)
    return pixels.clamp_max(size - 1.0).long(), overlap.clamp_min(0.0) / share


def cell_means(picture: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Tensor:
    """Resize ``(H, W, C)`` by area to ``(h, w, C)`` float32, with the :func:`area_taps` of both axes.

    Lines are gathered in the picture's own type and converted then.
    """
    (row, row_weights), (column, column_weights) = rows, columns
    width, channels = picture.shape[1:]
    lines = picture.index_select(0, row.reshape(-1)).float().reshape(row.shape[0], -1, width * channels)
    narrow = (lines * row_weights[:, :, None]).sum(1).reshape(row.shape[0], width, channels)
    cells = narrow.index_select(1, column.reshape(-1)).reshape(row.shape[0], column.shape[0], -1, channels)
    return (cells * column_weights[None, :, :, None]).sum(2)


def upsampled(grid: Tensor, height: int, width: int) -> Callable[[int], Tensor]:
    """A function from a channel of a grid ``(C, h, w)`` to its plane ``(H, W)``: bilinear, half-pixel centres."""
    channels, rows, columns = grid.shape
    up = bilinear_weights(rows, height).transpose(0, 1)
    lines = (up @ grid.permute(1, 0, 2).reshape(rows, channels * columns)).reshape(height, channels, columns)
    position = ((torch.arange(width).float() + 0.5) * (columns / width) - 0.5).clamp(0.0, float(columns - 1))
    low = position.floor()
    share, left = position - low, low.long()
    right = (low + 1).clamp_max(float(columns - 1)).long()

    def plane(index: int) -> Tensor:
        line = lines[:, index]
        return line.index_select(1, left) * (1 - share) + line.index_select(1, right) * share

    return plane
