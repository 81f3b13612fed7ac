"""Sound files of every kind that is read: small, made from photographs that packages carry, one folder for each.

A folder holds the file to mutate and what is needed to read it. ``FILE`` in it names the former.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms, features

from edge_harmony.files.atomic import sha256_of
from edge_harmony.samples import sample_pictures

ROOT = Path(__file__).parents[2]
MARK = "FILE"
"""File of a seed's folder that holds the name of the file to mutate."""

WIDTH, HEIGHT = 64, 48
OPTIONS = {"widths": [8, 8, 16, 16, 24], "hidden": 16}
"""A small edge-n."""


def pixels() -> np.ndarray[Any, Any]:
    """A small photograph, ``(48, 64, 3)`` uint8 RGB."""
    _, picture, _ = next(iter(sample_pictures()))
    return cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def foreground() -> np.ndarray[Any, Any]:
    """Its mask, ``(48, 64)`` uint8."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, (30, 24), (14, 12), 20, 0, 360, 255, -1)
    return mask


def seed(root: Path, kind: str, name: str, file: str) -> Path:
    """A new folder for a seed; returns the path of the file to be made."""
    folder = root / kind / name
    folder.mkdir(parents=True)
    (folder / MARK).write_text(file)
    return folder / file


def pictures(root: Path) -> None:
    """Pictures in every format, with metadata, in several depths and modes."""
    image = Image.fromarray(pixels())
    alpha = Image.fromarray(np.dstack([pixels(), foreground()]))
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010E: "a picture", 0x8298: "me"})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
    rich = {"exif": exif, "icc_profile": profile}
    made: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("plain.jpg", image, {}),
        ("rich.jpg", image, {**rich, "xmp": xmp, "comment": b"hello"}),
        ("progressive.jpg", image, {"progressive": True}),
        ("cmyk.jpg", image.convert("CMYK"), {}),
        ("gray.jpg", image.convert("L"), {}),
        ("plain.png", image, {}),
        ("rich.png", image, rich),
        ("alpha.png", alpha, {}),
        ("gray.png", image.convert("L"), {}),
        ("palette.png", image.quantize(16), {}),
        ("lossy.webp", image, {**rich, "xmp": xmp}),
        ("lossless.webp", alpha, {"lossless": True}),
        ("plain.tif", image, {}),
        ("packed.tif", image, {"compression": "tiff_lzw", **rich}),
        ("jpeg.tif", image, {"compression": "jpeg"}),
        ("cmyk.tif", image.convert("CMYK"), {"compression": "tiff_adobe_deflate"}),
        ("plain.bmp", image, {}),
        ("palette.bmp", image.quantize(16), {}),
        ("palette.gif", image.quantize(16), {"comment": b"hello"}),
        ("plain.ppm", image, {}),
    ]
    if features.check("avif"):
        made.append(("plain.avif", image, rich))
    if features.check("jpg_2000"):
        made.append(("plain.jp2", image, {}))
    if find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        made.append(("plain.heic", image, {"icc_profile": profile}))  # its encoder turns by EXIF itself
    for name, content, options in made:
        path = seed(root, "picture", name.replace(".", "-"), f"picture{Path(name).suffix}")
        content.save(path, **options)
        Image.fromarray(foreground()).save(path.with_name("mask.png"))
        if "exif" in options:  # it is turned by a quarter, and its mask with it
            Image.fromarray(foreground()).rotate(-90, expand=True).save(path.with_name("mask.png"))
    for name in ("deep.png", "deep.tif"):
        path = seed(root, "picture", name.replace(".", "-"), f"picture{Path(name).suffix}")
        cv2.imwrite(str(path), pixels()[..., ::-1].astype(np.uint16) * 257)
        Image.fromarray(foreground()).save(path.with_name("mask.png"))
    path = seed(root, "picture", "float-tif", "picture.tif")
    cv2.imwrite(str(path), pixels()[..., ::-1].astype(np.float32) / 255)
    Image.fromarray(foreground()).save(path.with_name("mask.png"))
    layered_pictures(root, profile)


def layered_pictures(root: Path, profile: bytes) -> None:
    """PSD files without layers: their merged picture, packed and not, in every mode that is read."""
    from tests.unit.pictures.test_psd import psd

    blocks = [
        (1005, bytes(16)),
        (1039, profile),
        (1057, b"\0\0\0\1\1" + bytes(8)),
        (1058, b"Exif\0\0"),
        (1060, b"<x/>"),
    ]
    planes = pixels().transpose(2, 0, 1)
    made = {
        "plain-psd": psd(planes),
        "rich-psd": psd(np.concatenate([planes, foreground()[None]]), resources=blocks, packed=True),
        "gray-psd": psd(planes[:1], mode=1, packed=True),
        "cmyk-psd": psd(np.concatenate([255 - planes, planes[:1]]), mode=4),
        "lab-psd": psd(planes, mode=9),
    }
    for name, content in made.items():
        path = seed(root, "picture", name, "picture.psd")
        path.write_bytes(content)
        Image.fromarray(foreground()).save(path.with_name("mask.png"))


def masks(root: Path) -> None:
    """Masks in several formats and modes."""
    mask = Image.fromarray(foreground())
    labels = Image.fromarray((foreground() > 0).astype(np.uint8))
    labels.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30])
    alpha = Image.fromarray(np.dstack([np.zeros((HEIGHT, WIDTH, 3), np.uint8), foreground()]))
    made: list[tuple[str, Image.Image]] = [
        ("gray.png", mask),
        ("one-bit.png", mask.convert("1")),
        ("labels.png", labels),
        ("alpha.png", alpha),
        ("colour.png", mask.convert("RGB")),
        ("gray.jpg", mask),
        ("gray.tif", mask),
        ("one-bit.tif", mask.convert("1")),
        ("gray.bmp", mask),
        ("gray.webp", mask.convert("RGB")),
    ]
    for name, content in made:
        path = seed(root, "mask", name.replace(".", "-"), f"mask{Path(name).suffix}")
        content.save(path, **({"lossless": True} if name.endswith("webp") else {}))
        Image.fromarray(pixels()).save(path.with_name("picture.png"))
    path = seed(root, "mask", "deep-png", "mask.png")
    cv2.imwrite(str(path), foreground().astype(np.uint16) * 257)
    Image.fromarray(pixels()).save(path.with_name("picture.png"))


def cut_outs(root: Path) -> None:
    """Pictures whose alpha channel is their mask, for a background."""
    alpha = Image.fromarray(np.dstack([pixels(), foreground()]))
    for suffix in (".png", ".webp", ".tif"):
        path = seed(root, "cut-out", suffix[1:], f"cut-out{suffix}")
        alpha.save(path)
        Image.fromarray(pixels()[::-1].copy()).save(path.with_name("background.png"))


def videos(root: Path) -> None:
    """Short videos in every container, with sound in some."""
    import av

    kinds = [
        ("h264.mp4", "libx264", "yuv420p", "aac"),
        ("mpeg4.mov", "mpeg4", "yuv420p", None),
        ("ffv1.mkv", "ffv1", "yuv444p", "pcm_s16le"),
        ("mpeg4.avi", "mpeg4", "yuv420p", None),
        ("vp9.webm", "libvpx-vp9", "yuv420p", None),
    ]
    for name, codec, pixel_format, sound in kinds:
        path = seed(root, "video", name.replace(".", "-"), f"video{Path(name).suffix}")
        write_video(av, path, codec, pixel_format, sound)
        Image.fromarray(foreground()).save(path.with_name("mask.png"))
    for name in ("h264.mp4", "ffv1.mkv"):
        path = seed(root, "mask-video", name.replace(".", "-"), f"masks{Path(name).suffix}")
        write_video(av, path, *(("libx264", "yuv420p") if "mp4" in name else ("ffv1", "gray")), None, mask=True)
        write_video(av, path.with_name("video.mkv"), "ffv1", "yuv444p", None)


def write_video(av: Any, path: Path, codec: str, kind: str, sound: str | None, *, mask: bool = False) -> None:
    """Write five frames at 25 frames a second, and as much silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, kind
        container.metadata["title"] = "a title"
        voice = container.add_stream(sound, rate=8000, layout="mono") if sound else None
        for k in range(5):
            shown = np.repeat(foreground()[..., None], 3, 2) if mask else np.roll(pixels(), 2 * k, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), "rgb24")))
        container.mux(stream.encode(None))
        if voice is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16p", layout="mono")
            silence.sample_rate = 8000
            container.mux(voice.encode(silence))
            container.mux(voice.encode(None))


def networks(root: Path) -> None:
    """ONNX files, their manifests, and the manifest and plan of an engine."""
    from tests.conftest import write_small_network

    for kind in ("onnx", "manifest"):
        for name in ("fp32", "signed"):
            made = write_small_network(root / "made" / kind / name, quantized=name == "signed")
            file = made.name if kind == "onnx" else f"{made.name}.json"
            folder = seed(root, kind, name, file).parent
            shutil.copytree(made.parent, folder, dirs_exist_ok=True)
            Image.fromarray(pixels()).save(folder / "picture.png")
            Image.fromarray(foreground()).save(folder / "mask.png")
    engines(root, made)
    shutil.rmtree(root / "made")


def engines(root: Path, onnx: Path) -> None:
    """A plan that the stand-in for TensorRT builds, and a profile and layer information of trtexec."""
    from edge_harmony.backends.tensorrt.engines import make_engine
    from edge_harmony.backends.tensorrt.options import BuildOptions
    from tests.fakes.tensorrt import World, fake_tensorrt
    from tests.unit.backends.tensorrt.test_profiling import FP16, INT8

    world = World()
    path = seed(root, "plan", "manifest", "edge-n.plan.json")
    make_engine(
        fake_tensorrt("10.3", world), onnx, BuildOptions(), world.cuda.device(), save=path.with_name("edge-n.plan")
    )
    path = seed(root, "profile", "profile", "profile.json")
    for name, content in (("profile.json", FP16), ("other.json", INT8)):
        path.with_name(name).write_text(json.dumps(content))


def weights(root: Path) -> None:
    """Weights, a checkpoint in the middle of a quantized stage, and public checkpoints."""
    import torch
    from safetensors.torch import save_file

    from edge_harmony.files.toml import parse_toml
    from edge_harmony.models.import_hdnet import _renames
    from edge_harmony.models.layers.conv_unit import fold_norms
    from edge_harmony.models.registry import build_model
    from edge_harmony.models.weights_file import save_weights
    from edge_harmony.quantization.prepare import observe_with, prepare_qat
    from edge_harmony.training.checkpoint import Position, save_checkpoint
    from edge_harmony.training.optimizer import make_optimizer
    from edge_harmony.training.recipe import Recipe
    from tests.unit.training.making import RECIPE

    torch.manual_seed(0)
    model = prepare_qat(fold_norms(build_model("edge-n", **OPTIONS).eval()))
    observe_with(model, [(torch.rand(1, 3, 64, 64), (torch.rand(1, 1, 64, 64) > 0.5).float())])
    path = seed(root, "weights", "edge-n", "edge-n.safetensors")
    save_weights(path, model, name="edge-n", options=OPTIONS, recipe_sha256="0" * 64, images=8)
    Image.fromarray(pixels()).save(path.with_name("picture.png"))
    Image.fromarray(foreground()).save(path.with_name("mask.png"))

    text = RECIPE.format(root=".", layout="iharmony4")
    recipe = parse_toml(text, Recipe, "recipe")
    optimizer = make_optimizer(model, recipe.optimizer)
    model.train()
    model(torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).square().mean().backward()
    optimizer.step()
    average = {name: value.clone() for name, value in model.state_dict().items()}
    path = seed(root, "checkpoint", "edge-n", "checkpoint.safetensors")
    path.with_name("recipe.toml").write_text(text)
    save_checkpoint(
        path, recipe, Position(1, 8, 56, 0.5, [{"stage": "float", "images": 48}]), model, average, optimizer
    )

    state = build_model("hdnet-lite", variant="official").state_dict()
    named = {theirs: state[ours].contiguous().clone() for theirs, ours in _renames().items() if ours in state}
    small = {name: value for name, value in named.items() if value.numel() < 5000}  # refused, after it was read
    path = seed(root, "public-checkpoint", "npz", "public.npz")
    np.savez_compressed(path, **{name: value.numpy() for name, value in small.items()})
    path = seed(root, "public-checkpoint", "pth", "public.pth")
    torch.save({"state_dict": small, "epoch": 3}, path)
    path = seed(root, "public-checkpoint", "safetensors", "public.safetensors")
    save_file(small, path)


def flat_networks(root: Path) -> None:
    """LiteRT files of the small edge-n, in floating point and in 8 bits, with their manifests."""
    from edge_harmony.backends.base import ExportRequest
    from edge_harmony.backends.discovery import get_backend

    source = root / "weights" / "edge-n" / "edge-n.safetensors"
    for precision in ("fp32", "int8"):
        made = root / "made"
        made.mkdir()
        file = get_backend("litert").build(ExportRequest("edge-n", precision, size=(64, 64)), source, made)
        folder = seed(root, "tflite", precision, file.name).parent
        shutil.copytree(made, folder, dirs_exist_ok=True)
        shutil.rmtree(made)
        Image.fromarray(pixels()).save(folder / "picture.png")
        Image.fromarray(foreground()).save(folder / "mask.png")


def calibration_caches(root: Path) -> None:
    """The histograms of an earlier calibration."""
    from edge_harmony.quantization.histograms import Histogram, save_histograms

    histogram = Histogram()
    histogram.add(np.linspace(0, 3, 500, dtype=np.float32))
    path = seed(root, "calibration-cache", "histograms", "cache.npz")
    save_histograms(path, {"stem": histogram, "head": histogram}, "key", 3)


def packages(root: Path) -> None:
    """A Core ML package of a convolution: its program, its weights and its table of contents."""
    import coremltools as ct
    from coremltools.converters.mil import Builder

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 4, 16, 16))], opset_version=ct.target.iOS17)
    def program(x: Any) -> Any:
        weight = np.random.default_rng(0).normal(size=(12, 4, 3, 3)).astype(np.float32)
        return Builder.relu(x=Builder.conv(x=x, weight=weight, pad_type="same", name="first"))

    model = ct.convert(program, minimum_deployment_target=ct.target.iOS17, skip_model_load=True)
    made = root / "made.mlpackage"
    model.save(str(made))
    inside = "network.mlpackage/Data/com.apple.CoreML"
    for name, file in (
        ("program", f"{inside}/model.mlmodel"),
        ("blob", f"{inside}/weights/weight.bin"),
        ("contents", "network.mlpackage/Manifest.json"),
    ):
        seed(root, "package", name, file)
        shutil.copytree(made, root / "package" / name / "network.mlpackage")
    shutil.rmtree(made)


def run_settings() -> dict[str, object]:
    """What a folder run with the arguments of :mod:`tests.faults.readers` writes down of itself."""
    import edge_harmony
    from edge_harmony.backends.base import LoadRequest
    from edge_harmony.folder.clips import VideoWork
    from edge_harmony.folder.work import Work

    request = LoadRequest("edge-n", "int8", threads=1)
    works = Work("onnxruntime", request), VideoWork("onnxruntime", request)
    return {"version": edge_harmony.__version__} | works[0].settings() | works[1].settings()


def documents(root: Path) -> None:
    """TOML files of each kind, a benchmark's result, the record of a folder run, and a data set's list."""
    folders = {
        "recipe": ROOT / "edge_harmony/training/recipes",
        "target": ROOT / "export/targets",
        "calibration-set": ROOT / "calibration/sets",
        "suite": ROOT / "benchmarks/suites",
        "budget": ROOT / "benchmarks/budgets",
    }
    for kind, folder in folders.items():
        for path in sorted(folder.glob("samples-*.toml" if kind == "calibration-set" else "*.toml"))[:6]:
            shutil.copy(path, seed(root, kind, path.stem, f"{kind}.toml"))
    path = seed(root, "result", "suite", "result.json")
    content = json.loads((ROOT / "benchmarks/results/0.1.0/cpu.json").read_text())
    kept = [row for row in content["measurements"] if row["contender"]["model"] == "edge-n"][:2]
    path.write_text(json.dumps(content | {"measurements": kept, "baseline": kept[0]["contender"]["name"]}, indent=1))
    shutil.copy(path, path.with_name("other.json"))
    path = seed(root, "run-record", "folder", "edge-harmony.json")
    for folder_name in ("composites", "masks"):
        path.with_name(folder_name).mkdir()
    Image.fromarray(pixels()).save(path.with_name("composites") / "a.png")
    Image.fromarray(foreground()).save(path.with_name("masks") / "a.png")
    path.write_text(json.dumps(run_settings(), indent=2))
    path = seed(root, "data-list", "iharmony4", "IHD_test.txt")
    for folder_name in ("composite_images", "masks", "real_images"):
        (path.parent / "HCOCO" / folder_name).mkdir(parents=True)
    for folder_name, name in (("composite_images", "c1_1_1.jpg"), ("masks", "c1_1.png"), ("real_images", "c1.jpg")):
        content = foreground() if folder_name == "masks" else pixels()
        Image.fromarray(content).save(path.parent / "HCOCO" / folder_name / name)
    path.write_text("HCOCO/composite_images/c1_1_1.jpg\n")


KINDS: tuple[Callable[[Path], None], ...] = (
    pictures,
    masks,
    cut_outs,
    videos,
    networks,
    weights,
    flat_networks,
    calibration_caches,
    packages,
    documents,
)


def make_seeds(root: Path) -> None:
    """Make all seeds below a folder, unless they are there."""
    if (root / "complete").exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for make in KINDS:
        make(root)
    (root / "complete").touch()


def hash_again(artifact: Path) -> None:
    """Write the hash of a changed file into its manifest, as a stranger would."""
    beside = artifact.with_name(artifact.name + ".json")
    content = json.loads(beside.read_text())
    beside.write_text(json.dumps(content | {"file_sha256": sha256_of(artifact)}))


def as_bytes(image: Image.Image, kind: str) -> bytes:
    """An encoded picture."""
    target = io.BytesIO()
    image.save(target, kind)
    return target.getvalue()
