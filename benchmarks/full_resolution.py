"""Prediction and apply at full resolution, against a copy of the picture, NumPy, PyTorch, and the foreground's size.

    python benchmarks/full_resolution.py --threads 2 -o benchmarks/results/0.1.0/full-resolution--2-threads.json

Every round times every contender once, in a new order. ``--composite`` and ``--mask`` measure your own picture; the
default is a shipped sample, enlarged to ``--size``, with a foreground of one third. Needs the extra [train].
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from measuring import interleave, quartiles
from provenance import provenance

from edge_harmony.backends.discovery import load_runner
from edge_harmony.files.atomic import write_json
from edge_harmony.models.layers.colour_transform import apply_coarse
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import load_model
from edge_harmony.pictures import kernels, numpy_kernels
from edge_harmony.pictures.arrays import foreground_box
from edge_harmony.pictures.images import read_mask, read_picture
from edge_harmony.pictures.parallel_rows import set_threads
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.pipeline.harmonize import harmonize_pixels, predict
from edge_harmony.samples import sample_pictures

SIZE = "4272x2848"
SHARES = (0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.7, 1.0)
SETTLE = 0.05


def sample(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Composite and 8-bit mask."""
    if arguments.composite:
        mask = np.rint(read_mask(arguments.mask) * 255).astype(np.uint8)
        return np.ascontiguousarray(read_picture(arguments.composite).pixels[..., :3]), mask
    _, composite, _ = next(iter(sample_pictures()))
    width, height = (int(side) for side in arguments.size.split("x"))
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 3 : 2 * width // 3] = 255
    return cv2.resize(composite, (width, height), interpolation=cv2.INTER_CUBIC), mask


def plain_numpy(pixels: Any, mask: Any, grid: Any) -> Any:
    """The plain equation in NumPy: everything at full size, in float."""
    x = pixels.astype(np.float32) / 255
    field = cv2.resize(grid.transpose(1, 2, 0)[..., :4], pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    parts = [field]
    for first in (4, 8):
        part = np.ascontiguousarray(grid.transpose(1, 2, 0)[..., first : first + 4])
        parts.append(cv2.resize(part, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR))
    field = np.concatenate(parts, axis=2)
    change = np.einsum("hwkc,hwc->hwk", field[..., :9].reshape(*x.shape[:2], 3, 3), x) + field[..., 9:]
    y = x + (mask[..., None] / np.float32(255)) * change
    return np.rint(np.clip(y, 0, 1) * 255).astype(np.uint8)


def apply_without_compiler(*arguments: Any) -> Any:
    """The apply step with the loops of installations that have no compiled ones."""
    compiled, kernels.change_pixels = kernels.change_pixels, numpy_kernels.change_pixels
    try:
        return apply_grid(*arguments)
    finally:
        kernels.change_pixels = compiled


def with_torch(pixels: Any, mask: Any, grid: torch.Tensor) -> Any:
    """The plain equation in PyTorch."""
    with torch.inference_mode():
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        m = torch.from_numpy(mask)[None, None].float() / 255
        y = apply_coarse(x, m, grid, "affine").clamp(0, 1)
        return (y[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def whole_with_torch(network: torch.nn.Module, pixels: Any, mask: Any, size: tuple[int, int]) -> Any:
    """Shrink, predict and apply, all in PyTorch."""
    with torch.inference_mode():
        x = F.interpolate(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, size, mode="area")
        m = F.interpolate(torch.from_numpy(mask)[None, None].float() / 255, size, mode="area")
        return with_torch(pixels, mask, network(x, m))


def error_in_levels(pixels: Any, mask: Any, grid: Any) -> float:
    """The largest difference to float64, in levels of 8 bits."""
    ours = apply_grid(pixels, mask, grid)
    worst = 0.0
    columns = np.clip((np.arange(pixels.shape[1]) + 0.5) * grid.shape[2] / pixels.shape[1] - 0.5, 0, grid.shape[2] - 1)
    low = np.minimum(columns.astype(int), grid.shape[2] - 2)
    for y in range(0, pixels.shape[0], 7):
        row = np.clip((y + 0.5) * grid.shape[1] / pixels.shape[0] - 0.5, 0, grid.shape[1] - 1)
        top = min(int(row), grid.shape[1] - 2)
        line = grid[:, top] + (row - top) * (grid[:, top + 1].astype(np.float64) - grid[:, top])
        field = line[:, low] + (columns - low) * (line[:, low + 1] - line[:, low])
        x = pixels[y].astype(np.float64).T / 255
        change = np.stack([(field[3 * k : 3 * k + 3] * x).sum(0) + field[9 + k] for k in range(3)])
        wanted = np.clip(x + mask[y] / 255 * change, 0, 1) * 255
        worst = max(worst, float(np.abs(ours[y].T - wanted).max()))
    return worst


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--composite", type=Path)
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--size", default=SIZE, help="size of the sample, WIDTHxHEIGHT")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    set_threads(arguments.threads)
    pixels, mask = sample(arguments)
    runner = load_runner("edge-s", backend="onnxruntime", precision="int8", threads=arguments.threads)
    network = load_model("edge-s")
    grid = predict(runner, pixels, mask)
    tensor = torch.from_numpy(grid)[None]
    target, own = np.empty_like(pixels), pixels.copy()
    box = foreground_box(mask)
    size = find_model("edge-s").size
    planes = to_working_size(pixels, mask, size)
    calls: dict[str, Callable[[], object]] = {
        "pipeline": lambda: harmonize_pixels(runner, pixels, mask),
        "pipeline, in place": lambda: harmonize_pixels(runner, own, mask, in_place=True),
        "pipeline, all in PyTorch": lambda: whole_with_torch(network, pixels, mask, size),
        "to working size": lambda: to_working_size(pixels, mask, size),
        "network": lambda: runner.infer(*planes),
        "box of the foreground": lambda: foreground_box(mask),
        "apply": lambda: apply_grid(pixels, mask, grid, box),
        "apply, in place": lambda: apply_grid(own, mask, grid, box, in_place=True),
        "apply, without a compiler": lambda: apply_without_compiler(pixels, mask, grid, box),
        "apply in NumPy": lambda: plain_numpy(pixels, mask, grid),
        "apply in PyTorch": lambda: with_torch(pixels, mask, tensor),
        "copy": lambda: np.copyto(target, pixels),
    }
    settle = SETTLE if arguments.threads > 1 else 0.0
    samples = interleave(calls, arguments.rounds, settle=settle)
    rows = {
        name: {"median_ms": round(float(np.median(times)), 2)}
        | quartiles("copies", times, samples["copy"])
        | quartiles(
            "of_pytorch", times, samples["pipeline, all in PyTorch" if "pipeline" in name else "apply in PyTorch"]
        )
        for name, times in samples.items()
    }
    masks = {}
    for share in SHARES:
        masks[share] = np.zeros(pixels.shape[:2], np.uint8)
        masks[share][:, : max(1, round(share * pixels.shape[1]))] = 255
    boxes = {share: foreground_box(mask) for share, mask in masks.items()}
    of_shares = interleave(
        {str(s): (lambda s=s: apply_grid(own, masks[s], grid, boxes[s], in_place=True)) for s in SHARES},
        arguments.rounds,
        settle=settle,
    )
    megapixels = [float((masks[s] > 0).sum()) / 1e6 for s in SHARES]
    medians = [float(np.median(of_shares[str(s)])) for s in SHARES]
    slope, start = np.polyfit(megapixels, medians, 1)
    fitted = np.polyval((slope, start), megapixels)
    rest = 1 - np.sum((np.array(medians) - fitted) ** 2) / np.sum((medians - np.mean(medians)) ** 2)
    result = {
        **provenance("torch", "onnxruntime", "numpy"),
        "loops": kernels.implementation(),
        "threads": arguments.threads,
        "settle_seconds": settle,
        "rounds": arguments.rounds,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "foreground": round(float((mask > 0).mean()), 4),
        "largest_error_levels": round(error_in_levels(pixels, mask, grid), 4),
        "rows": rows,
        "foreground_megapixels": megapixels,
        "apply_ms": [round(value, 2) for value in medians],
        "ms_a_megapixel": round(float(slope), 3),
        "ms_of_the_rest": round(float(start), 3),
        "explained_by_a_line": round(float(rest), 4),
    }
    write_json(arguments.output, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
