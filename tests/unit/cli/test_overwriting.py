"""No verb writes over what it reads; every option that names a file is in one of the two lists."""

import inspect
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.cli.main import main
from edge_harmony.cli.verbs import VERBS, load_verb
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.resources import find_resource
from edge_harmony.models.registry import bundled_weights, weights_folder
from edge_harmony.samples import sample_files
from tests.unit.training.making import RECIPE

WRITTEN = {
    "harmonize": {"output", "preview"},
    "evaluate": {"csv", "worst"},
    "train": {"output"},
    "calibrate": {"output", "cache"},
    "sensitivity": {"output"},
    "export": {"output"},
    "build": {
        *("save_engine", "calib", "timing_cache"),
        *("times_to", "profile_to", "layers_to", "output_to", "log_file"),
    },
    "benchmark": {"report", "output"},
    "selftest": {"output"},
    "import_checkpoint": {"output"},
}
READ = {
    "harmonize": {"composite", "mask", "background", "artifact", "weights"},
    "evaluate": {"data", "artifact", "weights"},
    "train": {"recipe", "data", "initial"},
    "calibrate": {"weights", "data", "name"},
    "sensitivity": {"weights", "data", "name"},
    "export": {"weights", "target"},
    "build": {
        *("model", "onnx", "load_engine", "refit_from", "lean_library"),
        *("compared", "layer_info", "calibration_data"),
    },
    "benchmark": {"what", "data", "budget", "site"},
    "selftest": {"onnx", "target", "artifact"},
    "import_checkpoint": {"checkpoint"},
    "check": {"model", "target"},
    "compare": {"artifact", "data", "weights"},
    "serve": {"artifact", "weights"},
}


def test_every_option_that_is_a_path_is_one_that_is_read_or_written():
    for verb in map(load_verb, VERBS):
        known = WRITTEN.get(verb.__name__, set()) | READ.get(verb.__name__, set())
        for name, parameter in inspect.signature(verb, eval_str=True).parameters.items():
            if "Path" in str(parameter.annotation):
                assert name in known, f"{verb.__name__} --{name}: add it to one of the lists, and to the calls below"


@pytest.fixture
def place(tmp_path, monkeypatch, mini_root):
    """Everything that verbs read."""
    composite, mask = next(iter(sample_files()))
    shutil.copy(composite, tmp_path / "c.jpg")
    shutil.copy(mask, tmp_path / "m.png")
    for folder in ("composites", "masks"):
        (tmp_path / folder).mkdir()
    shutil.copy(composite, tmp_path / "composites")
    shutil.copy(mask, tmp_path / "masks")
    shutil.copytree(mini_root, tmp_path / "data")
    weights = bundled_weights("edge-n")
    shutil.copy(weights, tmp_path / "edge-n.safetensors")
    shutil.copy(weights, tmp_path / "w.json")
    onnx = weights_folder() / "edge-n-256x256-int8.onnx"
    for name in (onnx.name, f"{onnx.name}.json"):
        shutil.copy(onnx.with_name(name), tmp_path / name.replace(onnx.name, "n.onnx"))
    for name in ("v.mp4", "b.mp4", "masks.mkv"):
        (tmp_path / name).write_bytes(b"a video")
    (tmp_path / "B").mkdir()
    np.savez(tmp_path / "public.npz", weight=np.zeros(1, np.float32))
    (tmp_path / "recipe.toml").write_text(RECIPE.format(root=str(tmp_path / "data"), layout="iharmony4"))
    (tmp_path / "run").mkdir()
    for name in ("summary.json", "log.csv", "curves.svg"):
        shutil.copy(tmp_path / "recipe.toml", tmp_path / "run" / name)
    for kind, name in (
        ("sets", "samples-24"),
        ("targets", "cpu-onnxruntime-int8"),
        ("budgets", "cpu-onnxruntime-int8"),
    ):
        shutil.copy(find_resource(kind, name), tmp_path / "run" / f"{kind}.json")
    shutil.copy(weights, tmp_path / "run" / "edge-n.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


_OF_DATA = "data/Hday2night/masks/d003_1.png"
CALLS = {
    "a picture": "harmonize c.jpg m.png -o c.jpg",
    "its mask": "harmonize c.jpg m.png -o ./m.png",
    "its background": "harmonize c.jpg m.png --background b.png -o b.png",
    "before and after": "harmonize c.jpg m.png -o o.png --before-after c.jpg",
    "two results": "harmonize c.jpg m.png -o o.png --before-after o.png",
    "a video": "harmonize v.mp4 m.png -o ./v.mp4",
    "a video of masks": "harmonize v.mp4 masks.mkv -o masks.mkv",
    "a video as background": "harmonize v.mp4 m.png --background b.mp4 -o B/../b.mp4",
    "a folder": "harmonize composites masks -o composites",
    "a folder of masks": "harmonize composites masks -o file://{root}/masks",
    "a folder by its address": "harmonize file://{root}/composites masks -o composites",
    "scores": f"evaluate --data data --worst {_OF_DATA}",
    "a run": "train recipe.toml --init run/edge-n.safetensors -o run --device cpu",
    "its recipe": "train run/summary.json -o run --device cpu",
    "its recipe as a log": "train run/log.csv -o ./run/. --device cpu",
    "its recipe as a picture": "train run/curves.svg -o run --device cpu",
    "ranges": "calibrate edge-n --set samples-24 --weights edge-n.safetensors -o edge-n.safetensors",
    "a calibration set": "calibrate edge-n --set run/sets.json -o run/sets.json",
    "a report over its set": "sensitivity edge-n --set run/sets.json -o run/sets.json",
    "a target": "selftest --target run/targets.json -o run/targets.json",
    "a budget": "benchmark n.onnx --budget run/budgets.json -o run/budgets.json",
    "a set of a build": "build n.onnx --int8 --calibrationSet=run/sets.json --exportTimes=run/sets.json",
    "a report": "sensitivity edge-n --set samples-24 --weights w.json -o w.json",
    "a manifest": "benchmark n.onnx -o n.onnx.json",
    "an artifact that is tested": "selftest --artifact n.onnx -o n.onnx",
    "the manifest of a test": "selftest --backend onnxruntime --onnx n.onnx -o n.onnx.json",
    "a checkpoint": "import public.npz --as hdnet-lite -o public.npz",
    "an encoder": "import public.npz --as edge-l -o public.npz",
    "an engine": "build n.onnx --saveEngine=n.onnx",
    "a log": "build n.onnx --logFile=n.onnx",
    "timings": "build n.onnx --timingCacheFile=n.onnx",
    "ranges of a build": "build n.onnx --int8 --calib=n.onnx.json",
    "times": "build n.onnx --exportTimes=n.onnx.json",
    "outputs": "build n.onnx --exportOutput=n.onnx.json",
    "layers in one file": "build n.onnx --exportProfile=l.json --exportLayerInfo=l.json",
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_read_is_not_written(place, name, capsys):
    if "b.png" in CALLS[name]:
        shutil.copy("c.jpg", "b.png")
    before = {path: sha256_of(path) for path in sorted(place.rglob("*")) if path.is_file()}
    status = main(CALLS[name].format(root=place).split())
    said = capsys.readouterr().err.strip().splitlines()
    assert (status, len(said)) == (2, 1), said
    assert "would be overwritten" in said[0] or "written twice" in said[0]
    assert {path: sha256_of(path) for path in sorted(place.rglob("*")) if path.is_file()} == before


def test_every_verb_that_writes_is_called():
    names = {load_verb(name).__name__: name for name in VERBS}
    called = {call.split()[0] for call in CALLS.values()}
    missing = {names[verb] for verb in WRITTEN} - called
    assert missing == {"export"}, "export writes names of its own, see the test below"


def test_an_export_into_the_folder_of_its_weights(place, capsys):
    shutil.copy("edge-n.safetensors", "edge-n-256x256-fp32.onnx")
    call = "export edge-n --target cpu-onnxruntime-fp32 --weights edge-n-256x256-fp32.onnx -o ."
    assert main(call.split()) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert Path("edge-n-256x256-fp32.onnx").read_bytes() == Path("edge-n.safetensors").read_bytes()
