"""Where a result cannot be written, a verb says so before it works: long names, files in the way, rights."""

import shutil
from importlib import import_module

import numpy as np
import pytest

from edge_harmony.cli.main import main
from edge_harmony.cli.verbs import VERBS, load_verb
from edge_harmony.files import place as module
from edge_harmony.models.registry import bundled_weights, weights_folder
from edge_harmony.samples import sample_files
from tests.unit.cli.test_overwriting import WRITTEN
from tests.unit.training.making import RECIPE

CALLS = {
    "a picture": ("harmonize c.jpg m.png -o {out}.png", "edge_harmony.cli.harmonize", "load_request"),
    "a sheet": ("harmonize c.jpg m.png -o o.png --before-after {out}.jpg", "edge_harmony.harmonizer", "read_picture"),
    "a video": ("harmonize v.mp4 m.png -o {out}.mp4", "edge_harmony.video.job", "_Inputs"),
    "a folder": ("harmonize composites masks -o {out}", "edge_harmony.folder.run", "find_items"),
    "scores": ("evaluate --data data --csv {out}.csv", "edge_harmony.cli.evaluate", "load_request"),
    "the worst": ("evaluate --data data --worst {out}.png", "edge_harmony.cli.evaluate", "load_request"),
    "a run": ("train recipe.toml -o {out}", "edge_harmony.training.trainer", "split_samples"),
    "ranges": ("calibrate edge-n --set samples-24 -o {out}", "edge_harmony.quantization.calibrate", "read_weights"),
    "counts": (
        "calibrate edge-n --set samples-24 -o o --cache {out}",
        "edge_harmony.quantization.calibrate",
        "read_weights",
    ),
    "layers": (
        "sensitivity edge-n --set samples-24 -o {out}.json",
        "edge_harmony.quantization.sensitivity",
        "analyse_weights",
    ),
    "an artifact": (
        "export edge-n --target cpu-onnxruntime-fp32 -o {out}",
        "edge_harmony.backends.onnxruntime.backend",
        "OnnxRuntimeBackend.build",
    ),
    "a package": (
        "export edge-n --target iphone-int8 -o {out}",
        "edge_harmony.backends.coreml.backend",
        "CoreMLBackend.build",
    ),
    "an engine": ("build n.onnx --saveEngine={out}", "edge_harmony.backends.tensorrt.engines", "find_tensorrt"),
    "times": ("build n.onnx --exportTimes={out}", "edge_harmony.backends.tensorrt.engines", "find_tensorrt"),
    "tactics": ("build n.onnx --timingCacheFile={out}", "edge_harmony.backends.tensorrt.engines", "find_tensorrt"),
    "a result": ("benchmark n.onnx -o {out}.json", "edge_harmony.cli.benchmark", "run_suite"),
    "a report": ("benchmark n.onnx --report {out}", "edge_harmony.cli.benchmark", "run_suite"),
    "a test": ("selftest --backend onnxruntime --onnx n.onnx -o {out}", "edge_harmony.cli.selftest", "run_selftest"),
    "weights": (
        "import public.npz --as hdnet-lite -o {out}",
        "edge_harmony.models.import_hdnet",
        "read_public_checkpoint",
    ),
    "an encoder": (
        "import public.npz --as edge-s -o {out}",
        "edge_harmony.models.import_efficientnet",
        "read_public_checkpoint",
    ),
}
"""By result: a call, and the work that must not begin: a module, and a name in it."""

PLACES = {"a long name": f"{'x' * 300}", "a file in the way": "file/o", "a closed folder": "closed/o"}


@pytest.fixture
def place(tmp_path, monkeypatch, mini_root):
    """What the calls read, a file where a folder is wanted, and a folder that counts as one without rights."""
    composite, mask = next(iter(sample_files()))
    for folder, file, name in (("composites", composite, "c.jpg"), ("masks", mask, "m.png")):
        (tmp_path / folder).mkdir()
        shutil.copy(file, tmp_path / folder)
        shutil.copy(file, tmp_path / name)
    shutil.copytree(mini_root, tmp_path / "data")
    shutil.copy(bundled_weights("edge-n"), tmp_path / "edge-n.safetensors")
    onnx = weights_folder() / "edge-n-256x256-int8.onnx"
    for name in (onnx.name, f"{onnx.name}.json"):
        shutil.copy(onnx.with_name(name), tmp_path / name.replace(onnx.name, "n.onnx"))
    (tmp_path / "v.mp4").write_bytes(b"a video")
    np.savez(tmp_path / "public.npz", weight=np.zeros(1, np.float32))
    (tmp_path / "recipe.toml").write_text(RECIPE.format(root=str(tmp_path / "data"), layout="iharmony4"))
    (tmp_path / "file").write_bytes(b"in the way")
    (tmp_path / "closed").mkdir()
    allowed = module.os.access
    monkeypatch.setattr(  # the tests may be run by root, who may write anywhere
        module.os, "access", lambda path, right: "closed" not in str(path) and allowed(path, right)
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Begun(BaseException):
    """The work has begun; no guard makes an error of it."""


def stopped_where_it_begins(name, monkeypatch):
    """A call, whose work raises :class:`Begun`."""
    call, home, work = CALLS[name]

    def begin(*arguments, **options):
        raise Begun

    monkeypatch.setattr(f"{import_module(home).__name__}.{work}", begin)
    return call


@pytest.mark.parametrize("name", CALLS)
def test_work_begins_where_its_result_can_be_written(place, name, monkeypatch):
    """Otherwise what the next test stops is not the work."""
    with pytest.raises(Begun):
        main(stopped_where_it_begins(name, monkeypatch).format(out="fine").split())


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", CALLS)
def test_what_cannot_be_written_is_told_before_the_work(place, name, where, monkeypatch, capsys):
    call = stopped_where_it_begins(name, monkeypatch)
    before = sorted(place.rglob("*"))
    status = main(call.format(out=PLACES[where]).split())
    said = capsys.readouterr().err.strip().splitlines()
    assert (status, len(said)) == (2, 1), said
    assert "is too long" in said[0] or "cannot" in said[0] or "does not exist" in said[0]
    assert sorted(place.rglob("*")) == before


def test_every_verb_that_writes_is_called():
    names = {load_verb(name).__name__: name for name in VERBS}
    assert {call.split()[0] for call, _, _ in CALLS.values()} == {names[verb] for verb in WRITTEN}
