"""How well HDR videos are harmonized: a photograph with a known change, in SDR, PQ and HLG.

    python benchmarks/hdr.py --model edge-s -o benchmarks/results/0.2.0/hdr.json

The photograph (*Chelsea*, CC0, of scikit-image) is real; an ellipse of it is recoloured, which is the composite. Both
are written as short videos without loss: in sRGB, and in PQ and HLG with diffuse white at 203 nits (ITU-R BT.2408). All
three are harmonized as any video is. What comes out is compared with the photograph in sRGB: HDR after the curve by
which it was made, back.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from provenance import provenance

from edge_harmony import VideoJob, VideoOptions, harmonize_video, load_runner
from edge_harmony.files.atomic import write_json
from edge_harmony.video.hdr import HLG, PQ
from edge_harmony.video.reader import VideoReader

FRAMES, WHITE_NITS = 5, 203.0
CHANGES = {
    "warmer": lambda x: x * (1.25, 1.0, 0.75),
    "colder": lambda x: x * (0.75, 0.95, 1.3),
    "darker": lambda x: x * 0.5,
    "brighter": lambda x: x * 1.6,
    "flatter": lambda x: 0.5 * x + 0.15,
    "greener": lambda x: x * (0.85, 1.2, 0.85),
}
"""Of the light of the ellipse, linear."""


def linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def to_pq(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084, of light relative to diffuse white."""
    root = np.power(np.clip(light, 0, None) * WHITE_NITS / 10_000, 1305 / 8192)
    return np.power((107 / 128 + 2413 / 128 * root) / (1 + 2392 / 128 * root), 2523 / 32)


def from_pq(codes: np.ndarray) -> np.ndarray:
    root = np.power(codes, 32 / 2523)
    nits = 10_000 * np.power(np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root), 8192 / 1305)
    return nits / WHITE_NITS


def to_hlg(light: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100 table 5 on a display of 1,000 nits, its gamma of 1.2 channel by channel."""
    scene = np.power(np.clip(light * WHITE_NITS / 1000, 0, 1), 1 / 1.2)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def from_hlg(codes: np.ndarray) -> np.ndarray:
    bright = (np.exp((codes - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.power(np.where(codes <= 0.5, codes**2 / 3, bright), 1.2) * 1000 / WHITE_NITS


KINDS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "SDR": (1, srgb, linear),
    "PQ": (PQ, to_pq, from_pq),
    "HLG": (HLG, to_hlg, from_hlg),
}
"""Transfer characteristics (H.273), from light and back."""


def write(path: Path, codes: np.ndarray, transfer: int) -> None:
    deep = transfer in (PQ, HLG)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height = codes.shape[1::-1]
        stream.pix_fmt = "gbrp16le" if deep else "bgr0"
        stream.codec_context.color_trc = transfer
        peak, dtype = (65535, np.uint16) if deep else (255, np.uint8)
        pixels = np.rint(np.clip(codes, 0, 1) * peak).astype(dtype)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb48le" if deep else "rgb24").reformat(format=stream.pix_fmt)
            frame.color_trc = transfer
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def decibels(found: np.ndarray, wanted: np.ndarray, inside: np.ndarray) -> float:
    """PSNR of the foreground, of 8-bit levels in sRGB."""
    error = (np.rint(found * 255) - np.rint(wanted * 255))[inside]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def main() -> None:
    from skimage import data

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="edge-s")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    real = data.chelsea().astype(np.float64) / 255
    mask = np.zeros(real.shape[:2], np.uint8)
    cv2.ellipse(mask, (230, 150), (110, 80), 0, 0, 360, 255, -1)
    inside = mask > 0
    print("| change | composite | SDR | PQ | HLG |\n|---|---:|---:|---:|---:|")
    rows = []
    with tempfile.TemporaryDirectory() as name, load_runner(arguments.model) as runner:
        folder = Path(name)
        cv2.imwrite(str(folder / "m.png"), mask)
        for change, function in CHANGES.items():
            light = linear(real)
            light[inside] = np.clip(function(light[inside]), 0, 1)
            row = [decibels(srgb(light), real, inside)]
            for kind, (transfer, there, back) in KINDS.items():
                source, made = folder / f"{kind}.mkv", folder / f"{kind}-made.mkv"
                write(source, there(light), transfer)
                job = VideoJob(str(source), str(folder / "m.png"), made, options=VideoOptions(codec="ffv1", keep=0))
                harmonize_video(runner, job)
                *_, (pixels, _) = VideoReader(made)
                found = srgb(back(pixels / (65535 if pixels.dtype == np.uint16 else 255)))
                row.append(decibels(found, real, inside))
            rows.append({"change": change} | dict(zip(("composite", *KINDS), row, strict=True)))
            print(f"| {change} | " + " | ".join(f"{value:.2f}" for value in row) + " |", flush=True)
    result = {**provenance("onnxruntime", "av"), "model": arguments.model, "unit": "dB", "rows": rows}
    write_json(arguments.output, result)


if __name__ == "__main__":
    main()
