"""A plug-in whose methods raise, or answer with something else than the contract says, ends no verb in a traceback."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.backends.base import Backend, CheckRequest, ExportRequest, LoadRequest, Runner
from edge_harmony.backends.discovery import get_backend
from edge_harmony.backends.guard import GuardedBackend, GuardedRunner
from edge_harmony.benchmark.preparation import prepare
from edge_harmony.benchmark.suite import ContenderSpec, Suite
from edge_harmony.cli.main import main
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.samples import sample_files

SAMPLE = [str(path) for path in next(iter(sample_files()))]

SOUND = """
import numpy as np
from pathlib import Path
from pydantic import BaseModel, field_validator
from edge_harmony import CapabilityError, UsageError
from edge_harmony.backends.base import Backend, Probe, Runner, Step
from edge_harmony.files.manifest import IOSpec
from edge_harmony.inspection.findings import Finding, Inspection, LayerReport

class Still(Runner):
    @property
    def io_spec(self):
        return IOSpec(height=64, width=64, output="affine")
    def infer(self, composite, mask):
        return np.zeros((len(composite), 12, 8, 8), np.float32)

class Mine(Backend):
    name = "mine"
    def probe(self):
        return Probe(True, "here")
    def load(self, request):
        return Still()
"""
TARGET = """
device = "A board"
platform = "cpu"
backend = "mine"
precision = "int8"
[runtime]
name = "Mine 1.0"
[accuracy]
min_psnr = 38.0
[latency]
max_p90_ms = 100.0
"""
NAMED = "the backend mine (plugin:Mine of mine-0)"


def with_method(text):
    return SOUND + "".join(f"    {line}\n" for line in text.splitlines())


def with_infer(text):
    """A plug-in whose runner answers with ``text`` for zeros ``(1, 12, 8, 8)``."""
    return SOUND.replace("return np.zeros((len(composite), 12, 8, 8), np.float32)", text)


PROBES = {
    "it raises": ("raise RuntimeError('no board')", "fails in probe() (RuntimeError: no board)"),
    "its message has lines": (r"raise OSError('no board\nno bus')", "fails in probe() (OSError: no board)"),
    "an import fails in it": ("import board_of_tomorrow", "fails in probe() (ModuleNotFoundError: No module named"),
    "it ends the process": ("import sys; sys.exit(7)", "fails in probe() (SystemExit: 7)"),
    "it returns nothing": ("pass", "gives probe() = None, which is no Probe"),
    "it returns a dict": ("return {'available': True}", "gives probe() = {'available': True}, which is no Probe"),
    "available is a text": ("return Probe('no', 'here')", "gives probe().available = 'no', which is no bool"),
    "there is no detail": ("return Probe(True, None)", "gives probe().detail = None, which is no str"),
    "precisions are a text": (
        "return Probe(True, 'here', precisions='int8')",
        "gives probe().precisions = 'int8', which is no tuple[str, ...]",
    ),
    "precisions are numbers": (
        "return Probe(True, 'here', precisions=('int8', 8))",
        "gives probe().precisions[1] = 8, which is no str",
    ),
}


@pytest.mark.parametrize("way", PROBES)
def test_a_wrong_probe_is_a_row_of_doctor(way, register, capsys):
    text, said = PROBES[way]
    register(with_method(f"def probe(self):\n    {text}"), "plugin:Mine")
    assert main(["doctor", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["capabilities"]}
    row = rows["backend mine"]
    assert not row["available"]
    assert row["detail"].startswith(f"{NAMED} {said}")
    assert rows["backend onnxruntime"]["available"]


def test_a_wrong_probe_ends_exports_benchmarks_and_the_page_in_one_line(register, tmp_path, capsys):
    from edge_harmony.demo.offers import find_offers

    register(with_method("def probe(self):\n    raise RuntimeError('no board')"), "plugin:Mine")
    (tmp_path / "own.toml").write_text(TARGET)
    export = ["export", "edge-n", "--target", str(tmp_path / "own.toml"), "-o", str(tmp_path), "--dry-run"]
    assert main(export) == 3
    line = capsys.readouterr().err
    assert f"error: {NAMED} fails in probe() (RuntimeError: no board); --verbose shows where" in line
    assert line.count("\n") == 1
    assert main([*export, "--verbose"]) == 3
    assert "def probe" not in line
    assert "raise RuntimeError('no board')" in capsys.readouterr().err
    entry = ContenderSpec(model="edge-n", backend="mine")
    with pytest.raises(CapabilityError, match=r"fails in probe\(\) \(RuntimeError: no board\)"):
        prepare(entry, Suite(name="plugin", baseline=entry.name, contenders=(entry,)), tmp_path)
    assert "mine" not in {backend for _, backend, _ in find_offers()}


def test_a_selftest_reports_what_fails(register, tmp_path, capsys):
    register(with_method("def build(self, request, source, folder):\n    raise OSError('no bus')"), "plugin:Mine")
    report = tmp_path / "report.json"
    assert main(["selftest", "--backend", "mine", "--model", "edge-n", "-o", str(report)]) == 3
    steps = json.loads(report.read_text())["steps"]
    assert [(step["name"], step["ok"]) for step in steps] == [("probe", True), ("build", False)]
    assert steps[1]["error"].startswith(f"{NAMED} fails in build() (OSError: no bus)")
    assert "Traceback" not in capsys.readouterr().err


METHODS = {
    "steps raise": ("def steps(self, request):\n    return 1 / 0", "steps", "fails in steps() (ZeroDivisionError: "),
    "steps are none": ("def steps(self, request): ...", "steps", "gives steps() = None, which is no list["),
    "steps are texts": (
        "def steps(self, request):\n    return ['write the file']",
        "steps",
        "gives steps()[0] = 'write the file', which is no Step",
    ),
    "a step makes a path": (
        "def steps(self, request):\n    return [Step('write', Path('a'))]",
        "steps",
        "gives steps()[0].makes = ",
    ),
    "build raises": (
        "def build(self, request, source, folder):\n    open(folder / 'missing')",
        "build",
        "fails in build() (FileNotFoundError: ",
    ),
    "build returns a text": (
        "def build(self, request, source, folder):\n    return 'a.mine'",
        "build",
        "gives build() = 'a.mine', which is no Path",
    ),
    "build writes nothing": (
        "def build(self, request, source, folder):\n    return folder / 'a.mine'",
        "build",
        "a.mine, and there is no such file",
    ),
    "shipped raises": ("def shipped(self, model, precision):\n    return {}[model]", "shipped", "fails in shipped() ("),
    "shipped is a text": (
        "def shipped(self, model, precision):\n    return model",
        "shipped",
        "gives shipped() = 'edge-n', which is no ",
    ),
    "load raises": ("def load(self, request):\n    raise OSError('x')", "load", "fails in load() (OSError: x)"),
    "load returns nothing": ("def load(self, request): ...", "load", "gives load() = None, which is no Runner"),
    "load returns a class": ("def load(self, request):\n    return Still", "load", "which is no Runner"),
    "a runner cannot be made": (
        "def load(self, request):\n    return Runner()",
        "load",
        "fails in load() (TypeError: Can't instantiate abstract class Runner",
    ),
    "the runner has no specification": (
        "def load(self, request):\n    Still.io_spec = None\n    return Still()",
        "load",
        "gives io_spec = None, which is no IOSpec",
    ),
    "the specification raises": (
        "def load(self, request):\n    Still.io_spec = property(lambda self: self.spec)\n    return Still()",
        "load",
        "fails in io_spec (AttributeError: 'Still' object has no attribute 'spec')",
    ),
    "the hash is missing": (
        "def load(self, request):\n    Still.sha256 = None\n    return Still()",
        "load",
        "gives sha256 = None, which is no str",
    ),
    "operators without numbers": (
        "def placement(self, file):\n    return {'Conv': 'many'}",
        "placement",
        "gives placement()['Conv'] = 'many', which is no int",
    ),
    "inspect raises": ("def inspect(self, request):\n    return self.rules", "inspect", "fails in inspect() ("),
    "inspect returns a list": (
        "def inspect(self, request):\n    return []",
        "inspect",
        "gives inspect() = [], which is no Inspection",
    ),
    "an unknown arithmetic": (
        "def inspect(self, request):\n    return Inspection([LayerReport('a', 'Conv', 'int4', '')], [])",
        "inspect",
        "gives inspect().layers[0].precision = 'int4', which is none of ('int8', 'fp16', 'float')",
    ),
    "a finding without a fix": (
        "def inspect(self, request):\n    return Inspection([], [Finding('a', 'wrong', None)])",
        "inspect",
        "gives inspect().findings[0].fix = None, which is no str",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", METHODS)
def test_methods_that_raise_or_answer_wrongly_name_the_plug_in(way, register, tmp_path):
    text, method, said = METHODS[way]
    register(with_method(text), "plugin:Mine")
    backend = get_backend("mine")
    export = ExportRequest("edge-n", "int8")
    arguments = {
        "steps": (export,),
        "build": (export, tmp_path / "weights", tmp_path),
        "shipped": ("edge-n", "int8"),
        "load": (LoadRequest("edge-n", "int8"),),
        "inspect": (CheckRequest(tmp_path),),
        "placement": (tmp_path,),
    }
    with pytest.raises(CapabilityError) as caught:
        getattr(backend, method)(*arguments[method])
    line = str(caught.value)
    assert line.startswith(NAMED)
    assert said in line
    assert "\n" not in line


def test_errors_of_this_package_and_a_lack_of_memory_pass_as_they_are(register):
    register(with_method("def load(self, request):\n    raise UsageError('mine takes no such file', 'take another')"),
             "plugin:Mine")  # fmt: skip
    with pytest.raises(UsageError, match="mine takes no such file; take another"):
        get_backend("mine").load(LoadRequest("edge-n", "int8"))
    assert main(["harmonize", *SAMPLE, "-o", "out.png", "--backend", "mine"]) == 2


@pytest.mark.parametrize(
    ("opens", "status", "said"),
    [
        ("Path('n' * 300).is_file()", 1, f"error: {'n' * 300} cannot be used (File name too long)"),
        ("open('its-own-table')", 3, f"{NAMED} fails in load() (FileNotFoundError"),
    ],
)
def test_a_file_that_cannot_be_used_is_not_the_plug_ins_but_one_that_is_missing_is(
    opens, status, said, register, capsys
):
    register(with_method(f"def load(self, request):\n    {opens}"), "plugin:Mine")
    assert main(["harmonize", *SAMPLE, "-o", "out.png", "--backend", "mine"]) == status
    assert said in capsys.readouterr().err


def test_a_lack_of_memory_is_not_the_plug_ins(register, tmp_path, capsys):
    register(with_infer("raise MemoryError"), "plugin:Mine")
    call = ["harmonize", *SAMPLE, "-o", str(tmp_path / "out.png"), "--backend", "mine"]
    assert main(call) == 1
    assert "this machine has not enough memory" in capsys.readouterr().err


OUTPUTS = {
    "it raises": ("raise ValueError('bad tensor')", "fails in infer() (ValueError: bad tensor)"),
    "it returns nothing": ("pass", "gives infer() = NoneType, which is no array"),
    "it returns a list": ("return [0.0]", "gives infer() = list, which is no array"),
    "float64": ("return np.zeros((1, 12, 8, 8))", "as float64 of shape (1, 12, 8, 8); affine is float32 of shape"),
    "float16": ("return np.zeros((1, 12, 8, 8), np.float16)", "as float16 of shape"),
    "too few channels": ("return np.zeros((1, 3, 8, 8), 'f')", "shape (1, 3, 8, 8); affine is float32 of shape (1,"),
    "channels last": ("return np.zeros((1, 8, 8, 12), 'f')", "shape (1, 8, 8, 12); affine is float32"),
    "no batch": ("return np.zeros((12, 8, 8), 'f')", "shape (12, 8, 8); affine is"),
    "another batch": ("return np.zeros((2, 12, 8, 8), 'f')", "shape (2, 12, 8, 8); affine is"),
    "no cells": ("return np.zeros((1, 12, 0, 8), 'f')", "shape (1, 12, 0, 8); affine is"),
}  # fmt: skip


@pytest.mark.parametrize("way", OUTPUTS)
def test_a_runner_that_raises_or_answers_wrongly_is_one_line_of_harmonize(way, register, tmp_path, capsys):
    text, said = OUTPUTS[way]
    register(with_infer(text), "plugin:Mine")
    output = tmp_path / "out.png"
    assert main(["harmonize", *SAMPLE, "-o", str(output), "--backend", "mine"]) == 3
    line = capsys.readouterr().err
    assert f"error: {NAMED} " in line
    assert said in line
    assert line.count("\n") == 1
    assert not output.exists()


def test_a_picture_painted_in_another_size_is_refused(register, tmp_path, capsys):
    text = with_infer("return np.zeros((1, 3, 8, 8), np.float32)").replace('"affine"', '"rgb"')
    register(text, "plugin:Mine")
    call = ["harmonize", *SAMPLE, "-o", str(tmp_path / "out.png"), "--backend", "mine"]
    assert main(call) == 3
    assert "shape (1, 3, 8, 8); rgb is float32 of shape (1, 3, 64, 64)" in capsys.readouterr().err


def test_a_failing_runner_fails_the_pictures_of_a_folder_and_nothing_else(register, tmp_path, capsys):
    register(with_infer("raise ValueError('bad tensor')"), "plugin:Mine")
    for name, path in zip(("composites", "masks"), SAMPLE, strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"a{Path(path).suffix}").write_bytes(Path(path).read_bytes())
    call = ["harmonize", str(tmp_path / "composites"), str(tmp_path / "masks"), "-o", str(tmp_path / "out")]
    assert main([*call, "--backend", "mine", "--workers", "1"]) == 1
    assert "fails in infer() (ValueError: bad tensor)" in capsys.readouterr().err


RUNNERS = {
    "submit returns an array": (
        "submit(self, composite, mask):\n        return np.zeros(1)", "submit", "= ndarray, which cannot be called"
    ),
    "waiting raises": (
        "submit(self, composite, mask):\n        return lambda: 1 / 0", "submit", "in submit()() (ZeroDivisionError"
    ),
    "parts without a pair": (
        "infer_parts(self, composite, mask):\n        return self.infer(composite, mask)",
        "infer_parts",
        "infer_parts() = ndarray, which is no pair",
    ),
    "parts without copies": (
        "infer_parts(self, composite, mask):\n        return self.infer(composite, mask), {'infer': 1.0}",
        "infer_parts",
        "infer_parts() without the milliseconds of 'copy'",
    ),
    "a whole pipeline raises": (
        "harmonize(self, picture, mask, strength):\n        raise OSError('lost')", "harmonize", "in harmonize() ("
    ),
    "a whole pipeline returns nothing": (
        "harmonize(self, picture, mask, strength): ...", "harmonize", "harmonize() = NoneType, which is no array"
    ),
    "a whole pipeline returns floats": (
        "harmonize(self, picture, mask, strength):\n        return picture / 255",
        "harmonize",
        "harmonize() as float64 of shape (64, 64, 3); a picture is uint8 of shape (64, 64, 3)",
    ),
    "synchronize raises": ("synchronize(self):\n        raise OSError('lost')", "synchronize", "in synchronize() ("),
    "close raises": ("close(self):\n        raise OSError('lost')", "close", "fails in close() (OSError: lost)"),
}  # fmt: skip


@pytest.mark.parametrize("way", RUNNERS)
def test_the_rest_of_a_runner_is_guarded_too(way, register):
    text, method, said = RUNNERS[way]
    register(SOUND.replace("    def infer(", f"    def {text}\n    def infer("), "plugin:Mine")
    runner = get_backend("mine").load(LoadRequest("edge-n", "int8"))
    planes = np.zeros((1, 3, 64, 64), np.float32), np.zeros((1, 1, 64, 64), np.float32)
    picture = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8), 1.0
    arguments = {"submit": planes, "infer_parts": planes, "harmonize": picture}.get(method, ())

    def call():
        answer = getattr(runner, method)(*arguments)
        answer()

    with pytest.raises(CapabilityError) as caught:
        call()
    assert str(caught.value).startswith(NAMED)
    assert said in str(caught.value)


def test_a_sound_plug_in_passes_the_guard(register, tmp_path):
    register(SOUND, "plugin:Mine")
    output = tmp_path / "out.png"
    assert main(["harmonize", *SAMPLE, "-o", str(output), "--backend", "mine"]) == 0
    assert output.exists()
    planes = np.zeros((2, 3, 64, 64), np.float32), np.zeros((2, 1, 64, 64), np.float32)
    with get_backend("mine").load(LoadRequest("edge-n", "int8")) as runner:
        assert runner.infer(*planes).shape == (2, 12, 8, 8)
        assert runner.submit(*planes)().dtype == np.float32
        assert set(runner.infer_parts(*planes)[1]) == {"copy", "infer"}
    with pytest.raises(RuntimeError, match="closed"):
        runner.infer(*planes)


def test_options_that_fail_are_the_plug_ins(register, tmp_path, capsys):
    options = """
class Options(BaseModel):
    board: str = "a"
    @field_validator("board")
    @classmethod
    def known(cls, value):
        return value.number
"""
    text = SOUND.replace("class Mine", options + "\nclass Mine") + "    options = Options\n"
    register(text, "plugin:Mine")
    (tmp_path / "own.toml").write_text(TARGET + '[options]\nboard = "b"\n')
    assert main(["export", "edge-n", "--target", str(tmp_path / "own.toml"), "-o", str(tmp_path), "--dry-run"]) == 3
    line = capsys.readouterr().err
    assert f"error: {NAMED} fails in options (AttributeError: 'str' object has no attribute 'number')" in line


@pytest.mark.parametrize(("contract", "guard"), [(Backend, GuardedBackend), (Runner, GuardedRunner)])
def test_every_method_of_the_contract_is_guarded(contract, guard):
    public = {name for name in vars(contract) if not name.startswith("_") and inspect.isfunction(vars(contract)[name])}
    assert public <= set(vars(guard))
