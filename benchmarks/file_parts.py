"""Where the time of one picture file goes in a process that has started, and what other settings of codecs would cost.

    python benchmarks/file_parts.py -o benchmarks/results/0.1.0/file-parts.json

A shipped sample, enlarged and with the noise of a sensor, as JPEG, PNG and 16-bit TIFF; its mask is a PNG. Every round
does every part once, in a new order, in one thread. Times are milliseconds of a busy core (``time.process_time``),
which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import interleave
from numpy.typing import NDArray
from provenance import provenance

from edge_harmony.files.atomic import write_json
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.encode import encode_picture, encoder_options
from edge_harmony.pictures.images import decode_mask, decode_picture, match_mask
from edge_harmony.pictures.parallel_rows import set_threads
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.pipeline.harmonize import predict_later
from edge_harmony.samples import sample_pictures

SIZES = {"1920 x 1080": (1920, 1080), "4272 x 2848": (4272, 2848)}
FORMATS = {"JPEG": (".jpg", np.uint8), "PNG": (".png", np.uint8), "TIFF, 16 bits": (".tif", np.uint16)}
QUALITY = 95
"""Of JPEG: that of :meth:`Harmonizer.harmonize_bytes`."""
NOISE = 2.0
"""Standard deviation of the noise, in levels of 8 bits."""

Call = Callable[[], Any]


def sample(
    size: tuple[int, int], kind: type[np.unsignedinteger[Any]], number: int = 1
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """A shipped picture ``(H, W, 3)``, enlarged and with noise, and its 8-bit mask ``(H, W)``."""
    _, composite, mask = list(sample_pictures())[number]
    peak = np.iinfo(kind).max
    large = cv2.resize(composite, size, interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    noise = np.random.default_rng(0).normal(0, NOISE / 255, large.shape).astype(np.float32)
    levels = np.rint(mask * 255).astype(np.uint8)
    return np.rint(np.clip(large + noise, 0, 1) * peak).astype(kind), cv2.resize(levels, size)


def parts_of(harmonizer: Harmonizer, size: tuple[int, int], suffix: str, kind: Any) -> dict[str, Call]:
    """Everything that :meth:`Harmonizer.harmonize_bytes` does, part by part; the call itself; and what it spends in
    OpenCV's decoders and encoder, without the checks and changes of form around them."""
    pixels, levels = sample(size, kind)
    order = cv2.COLOR_RGB2BGR
    options = encoder_options(suffix, pixels.dtype, QUALITY)
    files = [cv2.imencode(suffix, cv2.cvtColor(pixels, order))[1], cv2.imencode(".png", levels)[1]]
    data, mask_data = (file.tobytes() for file in files)
    picture = decode_picture(data, "picture")
    weight = match_mask(decode_mask(mask_data, "mask"), picture, "mask")
    runner = harmonizer.runner
    small = to_working_size(picture.pixels, weight, (runner.io_spec.height, runner.io_spec.width))
    grid = predict_later(runner, *small)()
    result = picture.with_pixels(apply_grid(picture.pixels, weight, grid))
    ordered = cv2.cvtColor(result.pixels, order)
    return {
        "read picture": lambda: decode_picture(data, "picture"),
        "read mask": lambda: match_mask(decode_mask(mask_data, "mask"), picture, "mask"),
        "shrink": lambda: to_working_size(picture.pixels, weight, small[0].shape[2:]),
        "predict": lambda: predict_later(runner, *small)(),
        "apply": lambda: apply_grid(picture.pixels, weight, grid, in_place=True),
        "write": lambda: encode_picture(result, suffix),
        "codecs": lambda: (
            *(cv2.imdecode(file, cv2.IMREAD_UNCHANGED) for file in files),
            cv2.imencode(suffix, ordered, options),
        ),
        "whole": lambda: harmonizer.harmonize_bytes(data, mask_data, suffix, quality=QUALITY),
    }


def choices() -> dict[str, tuple[str, Any, list[int]]]:
    """Settings of encoders by name: suffix, type of the samples, OpenCV's options."""
    found: dict[str, tuple[str, Any, list[int]]] = {}
    filters = {name: getattr(cv2, f"IMWRITE_PNG_FILTER_{name}") for name in ("NONE", "SUB", "UP", "AVG", "PAETH")}
    for bits, kind in ((8, np.uint8), (16, np.uint16)):
        for name, value in filters.items():
            # the level would end OpenCV's strategy, which looks for runs only
            found[f"PNG, {bits} bits, {name.lower()}"] = (".png", kind, [cv2.IMWRITE_PNG_FILTER, value])
        found[f"PNG, {bits} bits, zlib's level 1"] = (".png", kind, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        for name in ("NONE", "PACKBITS", "LZW", "ADOBE_DEFLATE"):
            value = getattr(cv2, f"IMWRITE_TIFF_COMPRESSION_{name}")
            label = name.lower().replace("_", " ")
            found[f"TIFF, {bits} bits, {label}"] = (".tif", kind, [cv2.IMWRITE_TIFF_COMPRESSION, value])
    return found


def encodings(size: tuple[int, int], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds and megabytes of every choice."""
    pictures = {kind: cv2.cvtColor(sample(size, kind)[0], cv2.COLOR_RGB2BGR) for kind in (np.uint8, np.uint16)}
    calls: dict[str, Call] = {
        name: lambda suffix=suffix, kind=kind, options=options: cv2.imencode(suffix, pictures[kind], options)[1]
        for name, (suffix, kind, options) in choices().items()
    }
    times = interleave(calls, rounds, clock=time.process_time)
    return {
        name: {"ms": round(float(np.median(times[name])), 1), "megabytes": round(len(call()) / 1e6, 2)}
        for name, call in calls.items()
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    set_threads(1)
    rows: dict[str, dict[str, float]] = {}
    with Harmonizer.from_pretrained(threads=1) as harmonizer:
        for size, sides in SIZES.items():
            for label, (suffix, kind) in FORMATS.items():
                calls = parts_of(harmonizer, sides, suffix, kind)
                times = interleave(calls, arguments.rounds, clock=time.process_time)
                medians = {name: round(float(np.median(samples)), 2) for name, samples in times.items()}
                besides = 1 - medians["codecs"] / medians["whole"]
                rows[f"{size}, {label}"] = medians | {"besides_codecs": round(besides, 3)}
    facts = {"rounds": arguments.rounds, "rows": rows}
    facts["encodings"] = encodings(SIZES["1920 x 1080"], arguments.rounds)
    write_json(arguments.output, provenance("numpy", "opencv-python", "onnxruntime") | facts)
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
