"""The whole pipeline as one file: 8-bit pictures of any size in and out, against the pipeline itself."""

from __future__ import annotations

import json

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from edge_harmony.backends.discovery import load_runner
from edge_harmony.cli.main import main
from edge_harmony.errors import CapabilityError, InputError, UsageError
from edge_harmony.export.onnx import export_onnx
from edge_harmony.export.prepare import exportable
from edge_harmony.files.manifest import read_manifest
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import read_weights, save_weights
from edge_harmony.models.whole_pipeline import (
    WholePipeline,
    area_taps,
    area_weights,
    bilinear_weights,
    cell_means,
    upsampled,
)
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.samples import sample_pictures
from tests.unit.models.test_masks import SIZES, masks

PRECISIONS = ("fp32", "fp16", "int8")


def files(flavour, weights, made_once):
    """The whole pipeline in every precision, in the form for CPUs (unsigned) or for GPUs (signed)."""

    def fill(folder):
        for precision in PRECISIONS:
            export_onnx("edge-n", weights, folder, precision=precision, flavour=flavour, whole_pipeline=True)

    folder = made_once(f"whole-{flavour}", fill)
    mark = "-signed" if flavour == "signed" else ""
    return {precision: folder / f"edge-n-256x256-{precision}-whole{mark}.onnx" for precision in PRECISIONS}


@pytest.fixture(scope="module")
def whole(edge_weights, made_once):
    return files("unsigned", edge_weights, made_once)


@pytest.fixture(scope="module")
def for_gpus(edge_weights, made_once):
    return files("signed", edge_weights, made_once)


def picture(height, width):
    """A photograph at a size, and a soft mask."""
    _, pixels, mask = next(iter(sample_pictures()))
    resized = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_CUBIC)
    return resized, np.rint(cv2.resize(mask, (width, height)) * 255).astype(np.uint8)


def run(path, pixels, mask, strength=1.0):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": pixels, "mask": mask, "strength": np.array(strength, np.float32)})[0]


@pytest.mark.parametrize("size", [(256, 256), (257, 511), (512, 512), (1080, 1920), (2160, 3840), (300, 2048)])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_pictures_come_out_as_from_the_pipeline(precision, size, whole, edge_weights):
    pixels, mask = picture(*size)
    runner = load_runner("edge-n", backend="pytorch", precision="fp32", weights=edge_weights)
    expected = harmonize_pixels(runner, pixels, mask)
    result = run(whole[precision], pixels, mask)
    assert result.dtype == np.uint8
    assert np.abs(result.astype(int) - expected).max() <= 1
    assert np.array_equal(result[mask == 0], pixels[mask == 0])
    assert not np.array_equal(result, pixels)


@pytest.mark.parametrize("size", [(256, 256), (257, 511), (1080, 1920), (300, 2048)])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_form_for_gpus_gives_the_pictures_of_the_form_for_cpus(precision, size, whole, for_gpus):
    pixels, mask = picture(*size)
    expected, result = run(whole[precision], pixels, mask), run(for_gpus[precision], pixels, mask)
    difference = np.abs(result.astype(int) - expected)
    if precision == "int8":  # roundings tip over, see below
        assert (difference > 1).mean() < 0.01
    else:
        assert difference.max() <= 1
    assert np.array_equal(result[mask == 0], pixels[mask == 0])
    assert not np.array_equal(result, pixels)


@pytest.mark.parametrize("strength", [0.5, 1.5])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_strength_is_that_of_the_pipeline(precision, strength, whole, edge_weights):
    pixels, mask = picture(300, 401)
    runner = load_runner("edge-n", backend="pytorch", precision="fp32", weights=edge_weights)
    result = run(whole[precision], pixels, mask, strength)
    assert np.abs(result.astype(int) - harmonize_pixels(runner, pixels, mask, strength=strength)).max() <= 1
    assert (result != harmonize_pixels(runner, pixels, mask)).mean() > 0.02


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_without_strength_it_is_the_picture(precision, whole):
    pixels, mask = picture(300, 401)
    np.testing.assert_array_equal(run(whole[precision], pixels, mask, 0), pixels)


def test_integers_agree_but_for_roundings_that_tip_over(whole, exported):
    pixels, mask = picture(480, 640)
    runner = load_runner("edge-n", backend="onnxruntime", precision="int8", artifact=exported["int8"])
    difference = np.abs(run(whole["int8"], pixels, mask).astype(int) - harmonize_pixels(runner, pixels, mask))
    assert (difference > 1).mean() < 0.01
    assert difference.max() < 16  # an untrained network turns a level of an early layer into several
    assert np.array_equal(run(whole["int8"], pixels, mask)[mask == 0], pixels[mask == 0])


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_runtimes_agree_on_masks_of_every_kind(size, whole, exported, edge_weights):
    pixels, _ = picture(*size)
    runners = {
        "pytorch": load_runner("edge-n", backend="pytorch", precision="fp32", weights=edge_weights),
        **{
            name: load_runner("edge-n", backend=name, precision="fp32", artifact=exported["fp32"])
            for name in ("onnxruntime", "openvino")
        },
    }
    integers = {
        name: load_runner("edge-n", backend=name, precision="int8", artifact=exported["int8"])
        for name in ("onnxruntime", "openvino")
    }
    for name, mask in masks(*size).items():
        first, *others = [harmonize_pixels(runner, pixels, mask).astype(int) for runner in runners.values()]
        others += [run(whole[precision], pixels, mask) for precision in ("fp32", "fp16")]
        assert max(np.abs(other - first).max() for other in others) <= 1, name
        first, *others = [harmonize_pixels(runner, pixels, mask).astype(int) for runner in integers.values()]
        others.append(run(whole["int8"], pixels, mask))
        assert max(np.abs(other - first).max() for other in others) < 16, name  # as above; 3 with trained weights


def test_an_empty_mask_changes_nothing(whole):
    pixels, mask = picture(300, 400)
    assert np.array_equal(run(whole["fp32"], pixels, np.zeros_like(mask)), pixels)


@pytest.mark.parametrize("sizes", [(256, 300), (256, 256), (7, 100), (256, 4272)])
def test_area_weights_are_those_of_opencv(sizes):
    cells, size = sizes
    line = np.random.default_rng(0).random((size, 3), dtype=np.float32)
    expected = cv2.resize(line[None], (cells, 1), interpolation=cv2.INTER_AREA)[0]
    assert np.allclose(area_weights(cells, size).numpy() @ line, expected, atol=2e-4)
    assert np.allclose(area_weights(cells, size).sum(1), 1, atol=1e-3)


@pytest.mark.parametrize("sizes", [(256, 300), (256, 256), (256, 4095), (256, 512), (7, 100), (64, 257), (5, 27)])
def test_taps_hold_the_area_weights(sizes):
    cells, size = sizes
    pixels, weights = area_taps(cells, size)
    dense = torch.zeros(cells, size).scatter_add_(1, pixels, weights)
    assert torch.allclose(dense, area_weights(cells, size), atol=1e-6)


@pytest.mark.parametrize("sizes", [(300, 401), (256, 256), (1000, 777)])
def test_both_forms_resize_and_upsample_alike(sizes):
    height, width = sizes
    picture, grid = torch.rand(height, width, 3), torch.randn(12, 32, 24)
    rows, columns = area_weights(256, height), area_weights(256, width)
    means = cell_means(picture, area_taps(256, height), area_taps(256, width))
    assert torch.allclose(means.permute(2, 0, 1), rows @ picture.permute(2, 0, 1) @ columns.T, atol=1e-5)
    plane = upsampled(grid, height, width)
    for index in (0, 11):
        expected = torch.nn.functional.interpolate(grid[None], sizes, mode="bilinear", align_corners=False)[0, index]
        assert torch.allclose(plane(index), expected, atol=1e-4)


@pytest.mark.parametrize("sizes", [(32, 1000), (1, 40), (8, 8)])
def test_bilinear_weights_are_those_of_torch(sizes):
    cells, size = sizes
    grid = torch.rand(1, 1, cells)
    expected = torch.nn.functional.interpolate(grid, size=size, mode="linear", align_corners=False)[0, 0]
    assert torch.allclose(grid[0, 0] @ bilinear_weights(cells, size), expected, atol=1e-5)


@pytest.mark.parametrize(("transform", "stride"), [("gain", 4), ("difference", 4)])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_other_grids(transform, stride, strength, tmp_path):
    torch.manual_seed(2)
    options = {"widths": [8, 8, 8, 8, 8], "hidden": 8, "transform": transform, "stride": stride}
    model = build_model("edge-n", **options)
    torch.nn.init.normal_(model.head.weight, std=0.05)
    save_weights(tmp_path / "edge-n.safetensors", model, name="edge-n", options=options)
    runner = load_runner("edge-n", backend="pytorch", precision="fp32", weights=tmp_path / "edge-n.safetensors")
    pixels, mask = picture(300, 400)
    pipeline = WholePipeline(exportable("edge-n", read_weights(tmp_path / "edge-n.safetensors"), "fp32"), (256, 256))
    with torch.no_grad():
        result = pipeline(torch.from_numpy(pixels), torch.from_numpy(mask), torch.tensor(strength)).numpy()
    expected = harmonize_pixels(runner, pixels, mask, strength=strength)
    assert np.abs(result.astype(int) - expected).max() <= 1
    assert not np.array_equal(result, pixels)


def test_cpus_gather_no_pixels(whole, for_gpus):
    def gathers_many(path):
        graph = onnx.load(path).graph
        single = {tensor.name for tensor in graph.initializer if onnx.numpy_helper.to_array(tensor).size == 1}
        return any(node.op_type == "Gather" and node.input[1] not in single for node in graph.node)

    assert gathers_many(for_gpus["fp32"])
    assert not gathers_many(whole["fp32"])


def test_on_gpus_no_matrix_product_reads_or_writes_a_picture(for_gpus):
    model = onnx.load(for_gpus["fp32"])
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm", "Einsum")]
    fixed = {tensor.name for tensor in model.graph.initializer}
    names = sorted({name for node in products for name in (*node.input, *node.output)} - fixed)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels, mask = picture(1031, 1543)
    feed = {"picture": pixels, "mask": mask, "strength": np.array(1, np.float32)}
    sizes = {name: array.size for name, array in zip(names, session.run(names, feed), strict=True)}
    assert sizes
    assert [name for name, size in sizes.items() if size >= mask.size] == []


def test_networks_that_paint_are_refused():
    with pytest.raises(CapabilityError, match="networks that return rgb have no whole pipeline"):
        WholePipeline(build_model("hdnet-lite", width=4), (256, 256))


def test_the_manifest_says_what_goes_in_and_others_do_not_take_it_for_a_network(whole, capsys):
    manifest = read_manifest(whole["int8"])
    assert (manifest.io.output, manifest.io.layout, manifest.io.value_range) == ("picture", "HWC", (0.0, 255.0))
    assert whole["int8"].name == "edge-n-256x256-int8-whole.onnx"
    call = ["harmonize", "a.jpg", "b.png", "-o", "c.png", "--artifact", str(whole["int8"])]
    assert main([*call, "--backend", "openvino"]) == 2
    assert "is a whole pipeline, not a network; run it with --backend onnxruntime" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_harmonizer_runs_it(dtype, whole):
    pixels, mask = picture(300, 401)
    expected = run(whole["fp32"], pixels, mask, 0.5)
    scaled = mask if dtype is np.uint8 else mask.astype(np.float32) / 255
    with Harmonizer.from_pretrained(artifact=whole["fp32"]) as harmonizer:
        assert harmonizer.runner.io_spec.is_whole_pipeline
        result = harmonizer.harmonize(pixels, scaled, strength=0.5)
        assert np.array_equal(result, expected)
        assert np.array_equal(pixels, picture(300, 401)[0])
        alpha = np.dstack([pixels, mask])
        assert np.array_equal(harmonizer.harmonize(alpha, scaled, strength=0.5), np.dstack([expected, mask]))
        changed = pixels.copy()
        assert harmonizer.harmonize(changed, scaled, strength=0.5, in_place=True) is changed
        assert np.array_equal(changed, expected)
        assert np.array_equal(harmonizer.harmonize(pixels, scaled, strength=0), pixels)
        assert np.array_equal(harmonizer.harmonize(pixels, np.zeros_like(mask)), pixels)
        with pytest.raises(InputError, match="a whole pipeline takes 8-bit pictures, and this one is uint16"):
            harmonizer.harmonize(pixels.astype(np.uint16), mask)
        with pytest.raises(InputError, match="at least 256x256, and this one is 401x200"):
            harmonizer.harmonize(pixels[:200], mask[:200])
        with pytest.raises(UsageError, match="its network cannot be run alone"):
            harmonizer.runner.infer(np.zeros((1, 3, 256, 256), np.float32), np.zeros((1, 1, 256, 256), np.float32))


def test_frames_go_through_it_one_by_one(whole, caplog):
    frames = [picture(300 + k, 401)[0] for k in range(5)]
    masks = [picture(300 + k, 401)[1] for k in range(5)]
    with Harmonizer.from_pretrained(artifact=whole["fp32"]) as harmonizer:
        results = list(harmonizer.stream(frames, masks))
        assert "colours are not smoothed over time" in caplog.text
        with pytest.raises(UsageError, match="a whole pipeline predicts every frame, and every is 2"):
            list(harmonizer.stream(frames, masks, every=2))
        abandoned = harmonizer.stream(iter(frames), masks, keep=0)
        next(abandoned)
        abandoned.close()
    for frame, mask, result in zip(frames, masks, results, strict=True):
        assert np.array_equal(result, run(whole["fp32"], frame, mask))


def test_a_network_is_no_whole_pipeline(exported):
    with (
        Harmonizer.from_pretrained(artifact=exported["fp32"]) as harmonizer,
        pytest.raises(UsageError, match="no whole"),
    ):
        harmonizer.runner.harmonize(*picture(256, 256), 1.0)


def test_from_the_command_line(edge_weights, tmp_path, capsys):
    arguments = ["--weights", str(edge_weights), "-o", str(tmp_path), "--whole-pipeline"]
    assert main(["export", "edge-n", "--target", "cpu-onnxruntime-int8", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["artifact"].endswith("-whole.onnx")


def test_the_old_name_of_the_option_works_and_says_so(capsys):
    command = ["export", "edge-n", "--target", "cpu-onnxruntime-int8", "-o", "out", "--dry-run", "--json"]
    assert main([*command, "--whole-pipeline"]) == 0
    new = capsys.readouterr()
    assert main([*command, "--fuse-io"]) == 0
    old = capsys.readouterr()
    assert (old.out, new.err) == (new.out, "")
    assert old.err == "--fuse-io is now --whole-pipeline; the old name goes in 0.4\n"


@pytest.mark.slow
def test_rtx_builds_it_for_all_sizes(edge_weights, tmp_path, capsys):
    pytest.importorskip("tensorrt_rtx")
    arguments = ["--weights", str(edge_weights), "-o", str(tmp_path), "--whole-pipeline", "--json"]
    assert main(["export", "edge-n", "--target", "rtx-int8", *arguments]) == 0
    manifest = read_manifest(next(tmp_path.glob("*.plan")))
    assert manifest.engine["options"]["profile"]["largest"]["picture"] == [2160, 4096, 3]
