"""The work that accidents happen to: a small case of every verb that writes, and what its results must be.

Every scenario runs in a folder of its own, with relative names, so that its results do not depend on where that is.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.faults.seeds import OPTIONS, foreground, pixels, write_video

NETWORK = ("--model", "edge-n", "--threads", "1")
HARMONIZE = ("harmonize", "picture.png", "mask.png", *NETWORK)
FOLDER = ("harmonize", "composites", "masks", "-o", "out", *NETWORK)

RECIPE = """
seed = 5
validate_every = 16
checkpoint_every = 8
[model]
name = "edge-n"
options = { widths = [8, 8, 16, 16, 24], hidden = 16 }
[data]
root = "data"
validation = 0.1
[[stages]]
name = "float"
images = 16
size = 32
batch = 4
warmup = 4
[[stages]]
name = "quantized"
images = 16
size = 32
batch = 4
learning_rate = 1e-4
quantize = true
"""

SUITE = """
name = "small"
height = 64
width = 64
baseline = "edge-n int8 onnxruntime"
effort = { warm_up = 1, least_count = 4, least_seconds = 0, most_seconds = 1, tight = 0.9 }
[[contenders]]
model = "edge-n"
"""


def _value(path: Path) -> str:
    """A hash of a file's contents without the path of the scenario's folder, and of safetensors without their order."""
    folder = next(
        (each.parent.parent for each in path.parents if (each.parent.name, each.name) == ("work", "out")), None
    )
    data = path.read_bytes() if folder is None else path.read_bytes().replace(str(folder).encode(), b"")
    if path.suffix == ".safetensors":
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        facts = header.pop("__metadata__", {})
        tensors = {
            name: hashlib.sha256(data[8 + length + entry["data_offsets"][0] : 8 + length + entry["data_offsets"][1]])
            for name, entry in header.items()
        }
        data = json.dumps([facts, {name: h.hexdigest() for name, h in tensors.items()}], sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()


def _is_sound(path: Path) -> bool:
    """Whether a file can be read to its end, whatever it says."""
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return len(data) == 8 + length + max(ends, default=0)
    if path.suffix == ".json":
        json.loads(data)
    return bool(data)


def _names(path: Path) -> str:
    """Of a file whose contents differ from run to run: that it is whole."""
    return "sound" if _is_sound(path) else "damaged"


@dataclass(frozen=True)
class Scenario:
    """A small case of a verb.

    Attributes:
        name: of the scenario.
        share: of the campaign's accidents, relative to the others.
        prepare: writes the inputs into a folder.
        arguments: of the command line.
        again: arguments of the run after the accident; None: the same.
        older: names of results below ``out`` that may be there before.
        value: what two runs of it must have in common, of every result.
        passing: results that come and go, such as a checkpoint: they must be sound, and may be of an earlier moment.
        growing: results that a second run adds to.
        cleans: whether the next run removes what a killed one left behind.
        stand_in: version of the stand-in for TensorRT that it runs on.
        workers: of scenarios that start processes: how many operations one of them does at least.
    """

    name: str
    share: int
    prepare: Callable[[Path], None]
    arguments: tuple[str, ...]
    again: tuple[str, ...] | None = None
    older: tuple[str, ...] = ()
    value: Callable[[Path], str] = _value
    passing: tuple[str, ...] = ()
    growing: tuple[str, ...] = ()
    cleans: bool = False
    stand_in: str = ""
    workers: int = 0


def picture(folder: Path) -> None:
    """A picture and its mask."""
    cv2.imwrite(str(folder / "picture.png"), pixels()[..., ::-1])
    cv2.imwrite(str(folder / "mask.png"), foreground())


def video(folder: Path) -> None:
    """A video and a mask."""
    import av

    write_video(av, folder / "video.mkv", "ffv1", "yuv444p", "pcm_s16le")
    cv2.imwrite(str(folder / "mask.png"), foreground())


def folders(folder: Path, count: int = 5) -> None:
    """Folders of pictures and masks."""
    for name in ("composites", "masks"):
        (folder / name).mkdir()
    for k in range(count):
        cv2.imwrite(str(folder / "composites" / f"{k}.png"), np.roll(pixels(), 3 * k, 1)[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{k}.png"), foreground())


def data_set(folder: Path) -> None:
    """A data set of ten pictures, and a recipe."""
    from tests.conftest import write_triplet

    names = []
    for k in range(10):
        real, mask = np.roll(pixels(), 5 * k, 1), np.roll(foreground(), 4 * k, 1)
        composite = np.where(mask[..., None] > 0, (real * 0.7).astype(np.uint8), real)
        write_triplet(folder / "data", "HCOCO", f"c{k:02d}_1_1", composite, mask, real)
        names.append(f"HCOCO/composite_images/c{k:02d}_1_1.jpg")
    (folder / "data" / "IHD_train.txt").write_text("\n".join(names) + "\n")
    (folder / "data" / "IHD_test.txt").write_text("\n".join(names[:2]) + "\n")
    (folder / "recipe.toml").write_text(RECIPE)


def weights(folder: Path) -> None:
    """Weights with ranges, and a calibration set of two pictures."""
    import torch

    from edge_harmony.files.atomic import sha256_of
    from edge_harmony.models.layers.conv_unit import fold_norms
    from edge_harmony.models.registry import build_model
    from edge_harmony.models.weights_file import save_weights
    from edge_harmony.quantization.prepare import observe_with, prepare_qat

    torch.manual_seed(0)
    model = build_model("edge-n", **OPTIONS)
    torch.nn.init.normal_(model.head.weight, std=0.02)
    model = prepare_qat(fold_norms(model.eval()))
    observe_with(model, [(torch.rand(1, 3, 256, 256), (torch.rand(1, 1, 256, 256) > 0.5).float())])
    save_weights(folder / "edge-n.safetensors", model, name="edge-n", options=OPTIONS)
    lines = ['description = "two"', 'source = "skimage"', 'licence = "CC0"']
    for k in range(2):
        cv2.imwrite(str(folder / f"{k}.png"), np.roll(pixels(), 9 * k, 1)[..., ::-1])
        cv2.imwrite(str(folder / f"{k}_mask.png"), foreground())
        hashes = sha256_of(folder / f"{k}.png"), sha256_of(folder / f"{k}_mask.png")
        lines += ["[[files]]", f'composite = "{k}.png"', f'composite_sha256 = "{hashes[0]}"']
        lines += [f'mask = "{k}_mask.png"', f'mask_sha256 = "{hashes[1]}"']
    (folder / "set.toml").write_text("\n".join(lines) + "\n")


def public_checkpoint(folder: Path) -> None:
    """A checkpoint of the public code of HDNet, small by its zeros."""
    import torch

    from edge_harmony.models.import_hdnet import _renames
    from edge_harmony.models.registry import build_model

    torch.manual_seed(0)
    state = build_model("hdnet-lite", variant="official").state_dict()
    named = {theirs: state[ours].numpy() for theirs, ours in _renames().items() if ours in state}
    np.savez(folder / "public.npz", **named)


def network(folder: Path) -> None:
    """A small ONNX file with its manifest."""
    from tests.conftest import write_small_network

    made = write_small_network(folder / "made", quantized=True)
    for path in made.parent.iterdir():
        shutil.move(path, folder / path.name.replace(made.name, "edge-n.onnx"))
    (folder / "made").rmdir()


def suite(folder: Path) -> None:
    """A suite of one contender."""
    (folder / "suite.toml").write_text(SUITE)


CALIBRATE = ("calibrate", "edge-n", "--weights", "edge-n.safetensors", "--set", "set.toml", "--data", ".")

SCENARIOS = (
    Scenario(
        "picture",
        16,
        picture,
        (*HARMONIZE, "-o", "out/result.png", "--before-after", "out/sheet.jpg"),
        older=("result.png", "sheet.jpg"),
    ),
    Scenario(
        "video",
        14,
        video,
        ("harmonize", "video.mkv", "mask.png", "-o", "out/result.mp4", *NETWORK),
        older=("result.mp4",),
    ),
    Scenario("folder", 16, folders, (*FOLDER, "--workers", "1"), (*FOLDER, "--workers", "1", "--resume"), cleans=True),
    Scenario(
        "folder by processes",
        4,
        folders,
        (*FOLDER, "--workers", "2"),
        (*FOLDER, "--workers", "2", "--resume"),
        cleans=True,
        workers=8,
    ),
    Scenario(
        "train",
        16,
        data_set,
        ("train", "recipe.toml", "-o", "out", "--device", "cpu"),
        ("train", "recipe.toml", "-o", "out", "--device", "cpu", "--resume"),
        passing=(
            *("checkpoint.safetensors", "log.csv", "curves.svg", "validation.jpg", "summary.json"),
            *("edge-n.safetensors", "edge-n-float.safetensors"),
        ),
        cleans=True,
    ),
    Scenario(
        "calibrate",
        8,
        weights,
        (*CALIBRATE, "-o", "out/edge-n.safetensors", "--cache", "out/cache"),
        older=("edge-n.safetensors",),
        passing=("cache",),
    ),
    Scenario(
        "export",
        8,
        weights,
        ("export", "edge-n", "--weights", "edge-n.safetensors", "--target", "cpu-onnxruntime-int8", "-o", "out"),
    ),
    Scenario(
        "import",
        5,
        public_checkpoint,
        ("import", "public.npz", "--as", "hdnet-lite", "-o", "out/hdnet-lite.safetensors"),
        older=("hdnet-lite.safetensors",),
    ),
    Scenario(
        "build",
        8,
        network,
        (
            "build",
            "--onnx=edge-n.onnx",
            "--saveEngine=out/edge-n.plan",
            "--skipInference",
            "--timingCacheFile=out/times",
        ),
        stand_in="10.3",
        passing=("times",),
        growing=("times",),
    ),
    Scenario(
        "evaluate",
        5,
        data_set,
        ("evaluate", "--data", "data", "--csv", "out/scores.csv", "--worst", "out/worst.png", *NETWORK),
        older=("scores.csv", "worst.png"),
    ),
    Scenario(
        "benchmark",
        1,
        suite,
        ("benchmark", "suite.toml", "-o", "out/result.json", "--report", "out/report"),
        value=_names,
    ),
    Scenario(
        "build for RTX",
        3,
        network,
        ("build", "--onnx=edge-n.onnx", "--saveEngine=out/edge-n.plan", "--skipInference"),
        stand_in="rtx-1.7",
    ),
    Scenario(
        "sensitivity",
        3,
        weights,
        (
            *("sensitivity", "edge-n", "--weights", "edge-n.safetensors", "--set", "set.toml", "--data", "."),
            *("-o", "out/report.json"),
        ),
        older=("report.json",),
    ),
    Scenario(
        "export of a package",
        3,
        weights,
        ("export", "edge-n", "--weights", "edge-n.safetensors", "--target", "iphone-int8", "-o", "out"),
    ),
)
