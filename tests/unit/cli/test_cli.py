"""Other verbs: export, compare, import, models, doctor, and calls that are wrong."""

import pytest

import edge_harmony
from edge_harmony.models.registry import MODELS
from edge_harmony.models.weights_file import read_weights
from edge_harmony.samples import sample_files
from tests.unit.cli.making import COMPOSITE, MASK, run, run_json


@pytest.mark.parametrize("arguments", [(), ("harmonise",), ("harmonize",), ("harmonize", "a.png")])
def test_wrong_calls(capsys, arguments):
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert arguments == () or len(err.strip().splitlines()) == 1


def test_export_then_compare(capsys, tmp_path):
    for runtime, precision in (("openvino", "int8"), ("onnxruntime", "fp32"), ("onnxruntime", "int8")):
        made = run_json(capsys, "export", "edge-s", "--target", f"cpu-{runtime}-{precision}", "-o", tmp_path)
        result = run_json(capsys, "compare", made["artifact"], "--backend", runtime)
        assert result["images"] == len(list(sample_files()))
        assert result["psnr_min"] > (60 if precision == "fp32" else 34)
        assert result["sha256"]
    status, _, err = run(capsys, "compare", made["artifact"], "--min-psnr", 98)
    assert status == 4
    assert "below 98 dB" in err
    status, _, err = run(capsys, "export", "edge-s", "--target", "cpu-onnxruntime-int4", "-o", tmp_path)
    assert status == 2
    assert "did you mean" in err
    assert run(capsys, "export", "hdnet", "--target", "cpu-onnxruntime-fp32", "-o", tmp_path)[0] == 2


def test_an_artifact_says_itself_what_it_is(capsys, tmp_path, edge_weights, mini_root):
    made = run_json(
        capsys, "export", "edge-n", "--target", "cpu-onnxruntime-fp32", "-o", tmp_path, "--weights", edge_weights
    )
    assert run_json(capsys, "compare", made["artifact"], "--weights", edge_weights)["images"] == len(
        list(sample_files())
    )
    scores = run_json(capsys, "evaluate", "--data", mini_root, "--artifact", made["artifact"])
    assert (scores["model"], scores["precision"]) == ("edge-n", "fp32")
    call = ("harmonize", COMPOSITE, MASK, "-o", tmp_path / "o.png", "--artifact", made["artifact"])
    harmonized = run_json(capsys, *call)
    assert (harmonized["model"], harmonized["precision"]) == ("edge-n", "fp32")
    other = tmp_path / "other.safetensors"
    from edge_harmony.models.registry import build_model
    from edge_harmony.models.weights_file import save_weights

    save_weights(other, build_model("edge-n"), name="edge-n")
    status, _, err = run(capsys, "compare", made["artifact"], "--weights", other)
    assert status == 1
    assert "not made from these weights" in err


def test_import_writes_weights(capsys, tmp_path):
    import torch

    from tests.unit.models.test_hdnet import public_state

    torch.save(public_state(), tmp_path / "net.pth")
    target = tmp_path / "lite.safetensors"
    result = run_json(capsys, "import", tmp_path / "net.pth", "--as", "hdnet-lite", "-o", target)
    assert result["parameters"] == 652_663
    assert read_weights(target).options == {"variant": "official", "width": 8}
    (tmp_path / "bad.pth").write_bytes(b"\x80\x04junk")
    status, _, err = run(capsys, "import", tmp_path / "bad.pth", "--as", "hdnet", "-o", tmp_path / "x.safetensors")
    assert status == 1
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "x.safetensors").exists()
    assert run(capsys, "import", tmp_path / "net.pth", "--as", "edge-n")[0] == 2


def test_models_and_doctor(capsys):
    rows = run_json(capsys, "models")
    assert [row["name"] for row in rows] == list(MODELS)
    assert all({"name", "parameters", "flops"} <= set(row) for row in rows)
    assert next(row for row in rows if row["name"] == "edge-s")["shipped"] == ["int8", "weights"]
    report = run_json(capsys, "doctor")
    names = {row["name"]: row for row in report["capabilities"]}
    assert names["backend onnxruntime"]["available"]
    assert all(row["available"] or row["fix"] for row in names.values())
    for verb in ("models", "doctor"):
        status, out, _ = run(capsys, verb)
        assert status == 0
        assert "edge-" in out
    assert run(capsys, "--version")[1].strip() == edge_harmony.__version__
