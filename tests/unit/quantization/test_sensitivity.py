"""Sensitivity: planted bad layers are found, proposals reach their limit, exports keep named layers in float."""

import json

import numpy as np
import onnx
import pytest
import torch

from edge_harmony.backends.discovery import load_runner
from edge_harmony.cli.main import main
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.errors import InputError, UsageError
from edge_harmony.export.onnx import export_onnx
from edge_harmony.files.manifest import read_manifest
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import read_weights, restore
from edge_harmony.quantization.fake_quant import ActivationQuantizer, QuantizedConv2d
from edge_harmony.quantization.prepare import load_ranges, observe_with, prepare_qat
from edge_harmony.quantization.sensitivity import layer_names, propose, rank


def network():
    torch.manual_seed(0)
    model = build_model("edge-n", widths=(8, 8, 16, 16, 24), hidden=16).eval()
    torch.nn.init.normal_(model.head.weight, std=0.3)
    model = prepare_qat(fold_norms(model))
    observe_with(model, inputs(3))
    return model


def inputs(count=2):
    generator = torch.Generator().manual_seed(1)
    for_all = []
    for _ in range(count):
        mask = torch.zeros(1, 1, 64, 64)
        mask[..., 10:50, 14:40] = 1
        for_all.append((torch.rand(1, 3, 64, 64, generator=generator), mask))
    return for_all


def test_every_layer_is_ranked_and_a_spoilt_one_comes_first():
    model = network()
    spoilt = "merge.1"
    model.get_submodule(spoilt).point.scale.mul_(100)
    ranked = rank(model, inputs())
    assert {layer.name for layer in ranked} == set(layer_names(model))
    assert ranked[0].name == spoilt
    assert ranked[0].psnr < ranked[1].psnr
    assert all(m.enabled for m in model.modules() if isinstance(m, ActivationQuantizer | QuantizedConv2d))
    proposal = propose(model, inputs(), ranked[0].psnr + 3, ranked)
    assert proposal.keep == (spoilt,)
    assert proposal.psnr >= ranked[0].psnr + 3 > proposal.all_quantized
    assert 0 < proposal.flops < 1


def test_operations_of_a_layer_are_its_convolutions():
    model = network()
    costs = {layer.name: layer.flops for layer in rank(model, inputs(1))}
    assert costs["encoder.0"] == 2 * 32 * 32 * 7 * 9 * 8
    assert costs["quantize_input"] == costs["encoder.0"]  # without 8 bits at its input it is no integer convolution
    assert costs["head"] == costs["quantize_matched.1"]


def test_nothing_is_kept_where_nothing_need_be():
    model = network()
    ranked = rank(model, inputs())
    assert propose(model, inputs(), 1.0, ranked).keep == ()
    everything = propose(model, inputs(), 99.0, ranked)
    assert everything.psnr > 90
    with pytest.raises(InputError, match="foreground"):
        rank(model, [(c, m * 0) for c, m in inputs()])


def test_exports_keep_layers_in_float(edge_weights, tmp_path):
    whole = export_onnx("edge-n", edge_weights, tmp_path / "whole", precision="int8")
    keep = ("encoder.1.0", "quantize_sum.0", "head")
    part = export_onnx("edge-n", edge_weights, tmp_path / "part", precision="int8", keep_float=keep)
    assert read_manifest(part).float_layers == sorted(keep)
    assert read_manifest(whole).float_layers == []

    def pairs(path):
        return sum(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node)

    assert pairs(part) == pairs(whole) - 2  # the unit's point and the sum's
    composite, mask = (
        np.random.default_rng(0).random((1, 3, 256, 256), np.float32),
        np.zeros((1, 1, 256, 256), np.float32),
    )
    mask[..., 60:200, 60:200] = 1
    weights = read_weights(edge_weights)
    model = prepare_qat(restore("edge-n", weights), keep)
    load_ranges(model, weights.ranges)
    assert not isinstance(model.head, QuantizedConv2d)
    with torch.no_grad():
        reference = model(torch.from_numpy(composite), torch.from_numpy(mask)).numpy()
    result = load_runner("edge-n", backend="onnxruntime", precision="int8", artifact=part).infer(composite, mask)
    assert np.abs(result - reference).mean() < 0.02 * np.abs(reference).max()


@pytest.mark.parametrize(
    ("name", "hint"), [("encoder.9", "did you mean"), ("bottleneck.0", "no layer"), ("encoder", "no layer")]
)
def test_layers_that_cannot_be_kept(edge_weights, name, hint):
    with pytest.raises(UsageError, match="no layer") as caught:
        prepare_qat(restore("edge-n", read_weights(edge_weights)), [name])
    assert hint in str(caught.value)


def test_float_files_have_nothing_to_keep(edge_weights, tmp_path):
    with pytest.raises(UsageError, match="no layers to keep"):
        export_onnx("edge-n", edge_weights, tmp_path, precision="fp32", keep_float=["head"])


@pytest.fixture
def few(tmp_path):
    """Flags of a set of three of the shipped pictures: every picture is computed once per layer."""
    shipped = read_calibration_set("samples-24")
    lines = ['description = "few"', 'source = "the shipped set"', 'licence = "as there"']
    for file in shipped.files[:3]:
        lines += ["[[files]]", *(f'{name} = "{value}"' for name, value in file.model_dump(mode="json").items())]
    (tmp_path / "few.toml").write_text("\n".join(lines))
    return ["--set", str(tmp_path / "few.toml"), "--data", str(shipped.root(None))]


def test_the_command_line(capsys, tmp_path, edge_weights, few):
    call = ["sensitivity", "edge-n", *few, "--weights", str(edge_weights), "--min-psnr", "90"]
    assert main([*call, "--json", "-o", str(tmp_path / "report.json")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert report["keep_float"]
    assert report["psnr"] > report["all_quantized_psnr"]
    options = [part for name in report["keep_float"] for part in ("--keep-float", name)]
    target = ["export", "edge-n", "--weights", str(edge_weights), "--target", "cpu-onnxruntime-int8", *options]
    assert main([*target, "-o", str(tmp_path)]) == 0
    assert main([*call[:-2], "-o", str(tmp_path / "report.txt")]) == 2
    assert main(["sensitivity", "hdnet", "--set", "samples-24"]) == 2  # no weights are shipped
    assert main(["sensitivity", "hdnet-lite", "--set", "samples-24"]) == 1  # they have no ranges
