"""Calibration: thresholds against brute force, pinned sets, resuming, and data that cannot be used."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edge_harmony.cli.main import main
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.resources import resource_names
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import read_weights, restore, save_weights
from edge_harmony.quantization.calibrate import collect, set_ranges
from edge_harmony.quantization.histograms import Histogram, load_histograms, save_histograms
from edge_harmony.quantization.prepare import prepare_qat
from edge_harmony.samples import sample_files


def histogram(*parts):
    result = Histogram()
    for part in parts:
        result.add(np.asarray(part, np.float32))
    return result


def prepared():
    torch.manual_seed(0)
    model = build_model("edge-n", widths=(8, 8, 16, 16, 24), hidden=16).eval()
    return prepare_qat(fold_norms(model))


def inputs(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        picture = torch.rand(1, 3, 64, 64, generator=generator)
        yield picture, (torch.rand(1, 1, 64, 64, generator=generator) > 0.5).float()


def test_counting_in_parts_is_counting_at_once():
    rng = np.random.default_rng(0)
    small, large = rng.normal(0, 1, 4000), rng.normal(0, 7, 4000)
    parts, again = histogram(small, large), histogram(small, large)
    assert parts.counts.sum() == 8000
    assert parts.limit >= parts.largest == pytest.approx(np.abs(large).max(), rel=1e-6)
    np.testing.assert_array_equal(parts.counts, again.counts)
    expected, _ = np.histogram(np.abs(np.concatenate([small, large])), 2048, (0, parts.limit))
    assert np.abs(np.cumsum(parts.counts) - np.cumsum(expected)).max() < 30  # bins that were merged round once more


def test_min_max_and_percentile():
    values = np.linspace(0, 10, 100_001)
    assert histogram(values).threshold("min-max") == 10
    assert histogram(values).threshold("percentile", 99.0) == pytest.approx(9.9, abs=0.02)
    assert histogram(values).threshold("percentile", 100.0) == pytest.approx(10, abs=0.01)


def test_mse_finds_the_threshold_that_brute_force_finds():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0, 1, 100_000), [60.0]]).astype(np.float32)

    def error(limit):
        step = limit / 127
        return np.square(np.clip(np.rint(values / step), -127, 127) * step - values).mean()

    found = histogram(values).threshold("mse")
    best = min(error(limit) for limit in np.linspace(1, 60, 400))
    assert error(found) < 1.05 * best
    assert found < 55
    assert error(found) < 0.9 * error(60.0)


def test_entropy_cuts_off_what_is_rare():
    rng = np.random.default_rng(2)
    values = np.concatenate([np.abs(rng.normal(0, 1, 200_000)), [80.0]])
    assert 2 < histogram(values).threshold("entropy") < 20
    uniform = rng.uniform(0, 1, 200_000)
    assert histogram(uniform).threshold("entropy") > 0.9


def test_zeros_and_values_that_are_not_finite():
    assert histogram(np.zeros(10)).threshold("mse") == 0
    assert histogram(np.zeros(10), [3.0]).threshold("min-max") == 3
    with pytest.raises(InputError, match="not finite"):
        histogram([1.0, np.inf])
    with pytest.raises(InputError, match="only zeros"):
        set_ranges(prepared(), {"quantize_input": Histogram()}, "mse")
    with pytest.raises(InputError, match="empty"):
        collect(prepared(), [])
    with pytest.raises(InputError, match="not finite"):
        collect(prepared(), [(torch.full((1, 3, 64, 64), torch.nan), torch.ones(1, 1, 64, 64))])
    with pytest.raises(UsageError, match="method"):
        set_ranges(prepared(), {}, "best")
    with pytest.raises(UsageError, match="percentile"):
        set_ranges(prepared(), {}, "percentile", 0)


@pytest.mark.parametrize("method", ["min-max", "percentile", "mse", "entropy"])
def test_every_method_gives_a_network_that_computes_nearly_the_same(method):
    model = prepared()
    torch.nn.init.normal_(model.head.weight, std=0.02)
    reference_model = prepared()
    reference_model.load_state_dict(model.state_dict())
    scales = set_ranges(model, collect(model, inputs(4)), method)
    assert all(scale > 0 for scale in scales.values())
    from edge_harmony.quantization.prepare import set_quantization

    set_quantization(reference_model, enabled=False)
    composite, mask = next(inputs(1, seed=9))
    with torch.no_grad():
        error = (model(composite, mask) - reference_model(composite, mask)).abs().mean()
        bound = 0.5 if method == "entropy" else 0.15  # it clips most, and this network is not trained
        assert 0 < error < bound * reference_model(composite, mask).abs().mean()


def test_histograms_go_on_where_they_stopped(tmp_path):
    whole = collect(prepared(), inputs(4))
    parts = list(inputs(4))
    first = collect(prepared(), parts[:2])
    save_histograms(tmp_path / "kept.npz", first, "key", 2)
    again, pictures = load_histograms(tmp_path / "kept.npz", "key")
    assert pictures == 2
    rest = collect(prepared(), parts[2:], again)
    assert all(np.array_equal(rest[name].counts, whole[name].counts) for name in whole)
    assert load_histograms(tmp_path / "kept.npz", "other") == ({}, 0)
    assert load_histograms(tmp_path / "absent.npz", "key") == ({}, 0)
    (tmp_path / "kept.npz").write_bytes((tmp_path / "kept.npz").read_bytes()[:99])
    assert load_histograms(tmp_path / "kept.npz", "key") == ({}, 0)


@pytest.mark.parametrize("name", resource_names("sets"))
def test_shipped_sets_are_valid(name, request):
    chosen = read_calibration_set(name)
    if not chosen.shipped:
        root = request.getfixturevalue("test_data") / "lbharmony"
        chosen.verify(chosen.root(root))
        return
    chosen.verify(chosen.root(None))
    assert len(list(chosen.pictures(chosen.root(None)))) == len(chosen.files)
    with pytest.raises(UsageError, match="not a folder"):
        chosen.root(Path("absent"))


@pytest.fixture
def own_set(tmp_path):
    """A set of two pictures in a root of its own, and the function that writes its list."""
    root = tmp_path / "root"
    root.mkdir()
    pairs = []
    for composite, mask in list(sample_files())[:2]:
        shutil.copy(composite, root)
        shutil.copy(mask, root)
        pairs.append((composite.name, mask.name))

    def write(**changes):
        lines = ['description = "two"', 'source = "here"', 'licence = "free"', *changes.get("extra", [])]
        for composite, mask in pairs:
            lines += ["[[files]]", f'composite = "{composite}"', f'composite_sha256 = "{sha256_of(root / composite)}"']
            lines += [f'mask = "{changes.get("mask", mask)}"', f'mask_sha256 = "{sha256_of(root / mask)}"']
        path = tmp_path / "own.toml"
        path.write_text("\n".join(lines))
        return path

    return root, [root / name for name, _ in pairs], write


def calibrate(capsys, *arguments):
    status = main(["calibrate", *map(str, arguments)])
    streams = capsys.readouterr()
    return status, streams.out, streams.err


def test_files_that_are_missing_or_changed_are_named(capsys, own_set, tmp_path):
    root, files, write = own_set
    path, target = write(), tmp_path / "out.safetensors"
    call = ("edge-s", "--set", path, "--data", root, "-o", target, "--cache", tmp_path / "cache")
    files[0].write_bytes(files[0].read_bytes() + b"x")
    status, _, err = calibrate(capsys, *call)
    assert status == 1
    assert files[0].name in err
    files[0].unlink()
    status, _, err = calibrate(capsys, *call)
    assert status == 1
    assert f"missing below {root}" in " ".join(err.split())
    assert not target.exists()
    status, _, err = calibrate(capsys, "edge-s", "--set", path, "-o", target)
    assert status == 2
    assert "--data" in err
    assert calibrate(capsys, "edge-s", "--set", "absent", "-o", target)[0] == 2
    assert calibrate(capsys, "edge-s", "-o", target)[0] == 2  # no silent default


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": ["unknown = 1"]}, "unknown"),
        ({"mask": "../secret.png"}, "leaves the root"),
        ({"mask": "/secret.png"}, "leaves the root"),
    ],
)
def test_lists_that_do_not_fit_the_schema(capsys, own_set, tmp_path, change, message):
    root, _, write = own_set
    status, _, err = calibrate(capsys, "edge-s", "--set", write(**change), "--data", root, "-o", tmp_path / "o")
    assert status == 1
    assert message in err


def test_pictures_that_show_nothing_are_named(capsys, own_set, tmp_path):
    root, files, write = own_set
    size = cv2.imread(str(files[1])).shape
    cv2.imwrite(str(files[1]), np.full(size, 128, np.uint8))
    arguments = ("--data", root, "-o", tmp_path / "o", "--cache", tmp_path / "cache")
    status, _, err = calibrate(capsys, "edge-s", "--set", write(), *arguments)
    assert status == 1
    assert f"{files[1].name} holds a single colour" in " ".join(err.split())


@pytest.mark.slow
def test_calibrated_weights_can_be_exported_and_compared(capsys, tmp_path, monkeypatch):
    weights = read_weights(shipped())
    model = build_model("edge-s")
    fold_norms(model).load_state_dict(weights.tensors)
    save_weights(tmp_path / "float.safetensors", model, name="edge-s")  # without ranges
    target, cache = tmp_path / "ptq" / "edge-s.safetensors", tmp_path / "cache"
    common = ("edge-s", "--set", "samples-24", "--weights", tmp_path / "float.safetensors", "-o", target)
    status, out, err = calibrate(capsys, *common, "--cache", cache, "--json")
    assert status == 0, err
    result = json.loads(out)
    assert result["pictures"] == 24
    assert read_weights(target).ranges == pytest.approx(result["scales"])
    from edge_harmony.quantization import calibrate as module

    monkeypatch.setattr(module, "inputs_of", None)  # another method runs nothing again
    status, _, err = calibrate(capsys, *common, "--cache", cache, "--method", "min-max")
    assert status == 0, err
    assert (
        main(["export", "edge-s", "--weights", str(target), "--target", "cpu-onnxruntime-int8", "-o", str(tmp_path)])
        == 0
    )
    artifact = str(tmp_path / "edge-s-160x160-int8.onnx")
    assert main(["compare", artifact, "--weights", str(target), "--min-psnr", "38"]) == 0


def shipped():
    from edge_harmony.models.registry import bundled_weights

    return bundled_weights("edge-s")


def test_equal_channels_bring_the_planes_of_the_input_to_one_range(tmp_path):
    torch.manual_seed(0)
    old = {"half_distances": False}
    model = build_model("edge-s", **old).eval()
    torch.nn.init.normal_(model.head.weight, std=0.05)
    save_weights(tmp_path / "float.safetensors", model, name="edge-s", options=old)
    call = ["calibrate", "edge-s", "--set", "samples-24", "--weights", str(tmp_path / "float.safetensors")]
    for name, more in (("plain", []), ("equal", ["--equal-channels"])):
        target = tmp_path / f"{name}.safetensors"
        assert main([*call, "--method", "min-max", "--cache", str(tmp_path / "cache"), "-o", str(target), *more]) == 0
    plain, equal = (read_weights(tmp_path / f"{name}.safetensors") for name in ("plain", "equal"))
    assert 127 * equal.ranges["quantize_input"] == pytest.approx(1, rel=1e-3)
    assert 127 * plain.ranges["quantize_input"] > 1.3
    assert (plain.options["half_distances"], equal.options["half_distances"]) == (False, True)
    composite, mask = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64).tril()
    results = [restore("edge-s", weights)(composite, mask) for weights in (plain, equal)]
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-3)
