"""Files from elsewhere that make parsers raise more than their documentation says: one error, with the file's name."""

import io
import json
import shutil
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_harmony.backends.targets import Target, read_target
from edge_harmony.backends.tensorrt.plan import read_plan_manifest
from edge_harmony.backends.tensorrt.profiling import read_profile
from edge_harmony.benchmark.budget import read_budget
from edge_harmony.benchmark.result import is_of_suite, read_result
from edge_harmony.benchmark.suite import read_suite
from edge_harmony.cli.main import main
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.errors import (
    ArtifactError,
    EdgeHarmonyError,
    InputError,
    UsageError,
    first_line,
    last_line,
    parsed,
    parsing,
)
from edge_harmony.files.manifest import manifest_path, read_manifest
from edge_harmony.files.toml import parse_value, read_toml
from edge_harmony.folder.run import RECORD, run_folder
from edge_harmony.inspection.graph import read_graph
from edge_harmony.models.registry import weights_folder
from edge_harmony.quantization.histograms import Histogram, load_histograms, save_histograms
from edge_harmony.training.recipe import Recipe
from tests.unit.folder.making import REAL, make_folders

DEEP, DIGITS = "[" * 5000 + "]" * 5000, "9" * 5000
TEXTS = {
    "nested 500 deep": "[" * 500 + "]" * 500,
    "nested 5000 deep": DEEP,
    "objects nested deep": '{"a":' * 5000 + "1" + "}" * 5000,
    "a number of 5000 digits": DIGITS,
    "no UTF-8": "\udcff",
    "a zero byte": "\0",
    "not finite": "NaN",
    "a word": '"word"',
    "nothing": "",
    "null": "null",
}


def write(path, text):
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def check(error):
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 2000


JSON = {
    "result": read_result,
    "profile": read_profile,
    "manifest": lambda path: read_manifest(path.with_suffix("")),
    "engine": lambda path: read_plan_manifest(path.with_suffix("")),
}


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("text", TEXTS)
def test_json(tmp_path, name, text):
    (tmp_path / "a").write_bytes(b"artifact")
    path = write(tmp_path / "a.json", TEXTS[text])
    with pytest.raises(EdgeHarmonyError, match="a") as caught:
        JSON[name](path)
    check(caught.value)
    assert not is_of_suite(path)


@pytest.mark.parametrize("text", TEXTS)
def test_the_record_of_a_folder(tmp_path, text):
    composites, masks, output = make_folders(tmp_path, 1)
    (tmp_path / "out").mkdir()
    write(tmp_path / "out" / RECORD, TEXTS[text])
    with pytest.raises(UsageError) as caught:
        run_folder(REAL, composites, masks, output, resume=True)
    check(caught.value)


TOML = {
    "recipe": lambda path: read_toml(path, Recipe),
    "target": lambda path: read_target(str(path)),
    "suite": lambda path: read_suite(str(path)),
    "budget": lambda path: read_budget(str(path)),
    "set": lambda path: read_calibration_set(str(path)),
}


@pytest.mark.parametrize("name", TOML)
@pytest.mark.parametrize("text", ["a = {}", "{}", "a.{}", '"a" = {}\n[a]', "[[stages]]\nimages = {}"])
@pytest.mark.parametrize(
    "value", ["nested 500 deep", "nested 5000 deep", "a number of 5000 digits", "no UTF-8", "not finite"]
)
def test_toml(tmp_path, name, text, value):
    path = write(tmp_path / "a.toml", text.format(TEXTS[value]))
    with pytest.raises(InputError, match=r"a\.toml") as caught:
        TOML[name](path)
    check(caught.value)


def test_keys_nested_deep(tmp_path):
    for text in (
        ".".join("a" * 3000) + " = 1",
        "[" + ".".join("a" * 3000) + "]",
        "a = " + "{ b = " * 900 + "1" + " }" * 900,
    ):
        with pytest.raises(InputError):
            read_toml(write(tmp_path / "a.toml", text), Target)


@pytest.mark.parametrize("text", ["{} = 1", "[{}]", "[[ {} ]]", "a = {{ {} = 1 }}", "b = 1\n {}.c = [1]"])
@pytest.mark.parametrize("part", ["a", '"a b"', "'\u00e4' ", " a-1\t"])
def test_keys_of_many_parts_are_refused_before_they_take_memory(tmp_path, text, part):
    path = write(tmp_path / "a.toml", text.format(".".join([part] * 20_000)))
    with pytest.raises(InputError, match=r"a\.toml has a key of more than 100 parts"):
        read_toml(path, Target)


def test_texts_and_numbers_are_no_keys_of_many_parts(tmp_path):
    lines = [
        f"a = [{', '.join(['0.25'] * 500)}]",
        f"b = '{'... ' * 500}'",
        f"c = '{'x' * 100_000}'",
        f"d.{'e.' * 90}f = 1",
    ]
    with pytest.raises(InputError, match=r"a\.toml does not fit"):
        read_toml(write(tmp_path / "a.toml", "\n".join(lines)), Target)


def test_numbers_that_are_not_finite_are_no_settings(tmp_path):
    for value in ("inf", "nan", "-inf"):
        text = f"[model]\nname = 'edge-n'\n[[stages]]\nname = 'a'\nimages = 8\nlearning_rate = {value}"
        with pytest.raises(InputError, match=r"learning_rate: Input should be a finite number"):
            read_toml(write(tmp_path / "a.toml", text), Recipe)


@pytest.mark.parametrize("text", [DEEP, DIGITS, "", "[1", "a b", "\0"])
def test_values_that_are_none(text):
    assert parse_value(text) == text


def graph(**damage):
    weight = numpy_helper.from_array(np.zeros((2, 3), np.float32), "w")
    for key, value in damage.items():
        weight.ClearField(key)
        getattr(weight, key).extend(value) if isinstance(value, list) else setattr(weight, key, value)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    ends = [helper.make_tensor_value_info("x", 1, [1, 2])], [helper.make_tensor_value_info("y", 1, [1, 3])]
    return helper.make_model(
        helper.make_graph(nodes, "g", *ends, [weight]), opset_imports=[helper.make_opsetid("", 18)]
    )


DAMAGE = {
    "dims that do not fit": {"dims": [5, 7]},
    "dims below 0": {"dims": [-2, 3]},
    "huge dims": {"dims": [1 << 40, 1 << 40]},
    "no such type": {"data_type": 999},
    "another type": {"data_type": TensorProto.STRING},
    "no data": {"raw_data": b""},
    "too little data": {"raw_data": b"1"},
}


@pytest.mark.parametrize("name", DAMAGE)
def test_onnx_constants_that_do_not_fit(tmp_path, name):
    path = tmp_path / "a.onnx"
    path.write_bytes(graph(**DAMAGE[name]).SerializeToString())
    with pytest.raises(ArtifactError, match=r"a\.onnx is no usable ONNX file") as caught:
        read_graph(path)
    check(caught.value)


@pytest.mark.parametrize("dims", [[5, 7, 3], [-2, 3], [1 << 40, 1 << 40], []])
@pytest.mark.parametrize("which", ["bottleneck.0.reduce.weight", "bottleneck.0.expand.bias"])
def test_check_of_constants_that_do_not_fit(tmp_path, capsys, dims, which):
    model = onnx.load(weights_folder() / "edge-n-256x256-int8.onnx")
    (tensor,) = (each for each in model.graph.initializer if each.name == which)
    tensor.ClearField("dims")
    tensor.dims.extend(dims)
    path = tmp_path / "a.onnx"
    path.write_bytes(model.SerializeToString())
    assert main(["check", str(path), "--target", "onnxruntime"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "a.onnx is no usable ONNX file" in line


def test_onnx_files_that_are_cut_off_or_none(tmp_path):
    data = (weights_folder() / "edge-n-256x256-int8.onnx").read_bytes()
    for cut in (b"", data[:100], data[: len(data) // 2], data[:-1], b"text" * 100, bytes(1000)):
        (tmp_path / "a.onnx").write_bytes(cut)
        with pytest.raises(ArtifactError):
            read_graph(tmp_path / "a.onnx")


@pytest.fixture
def histograms(tmp_path):
    first = Histogram()
    first.add(np.linspace(0, 3, 100, dtype=np.float32))
    path = tmp_path / "a.npz"
    save_histograms(path, {"first": first}, "key", 3)
    assert load_histograms(path, "key")[1] == 3
    return path


@pytest.mark.parametrize("at", range(0, 100, 9))
def test_a_damaged_cache_of_ranges_is_counted_again(histograms, at):
    whole = histograms.read_bytes()
    for data in (whole[: len(whole) * at // 100], damaged(whole, at), whole + b"more" * at):
        histograms.write_bytes(data)
        found, pictures = load_histograms(histograms, "key")
        assert pictures in (0, 3)
        assert pictures == 0 or np.isfinite(found["first"].counts).all()


def damaged(data, seed):
    rng = np.random.default_rng(seed)
    changed = np.frombuffer(data, np.uint8).copy()
    changed[rng.integers(0, len(changed), 20)] = rng.integers(0, 256, 20)
    return changed.tobytes()


@pytest.mark.parametrize(
    "facts", [*TEXTS.values(), '{"key": "key", "pictures": -1, "of": {}}', '{"key": "key", "of": [1]}']
)
def test_a_cache_of_ranges_with_other_facts(histograms, facts):
    with np.load(histograms) as file:
        arrays = dict(file)
    arrays["facts"] = np.frombuffer(facts.encode("utf-8", "surrogateescape"), np.uint8)
    np.savez(histograms, **arrays)
    assert load_histograms(histograms, "key") == ({}, 0)


@pytest.mark.parametrize("counts", [np.zeros(3), np.zeros(2048, np.int8), np.full(2048, np.nan), np.full(2048, -1.0)])
def test_a_cache_of_ranges_with_other_counts(histograms, counts):
    with np.load(histograms) as file:
        arrays = dict(file)
    np.savez(histograms, **(arrays | {"counts/first": counts}))
    assert load_histograms(histograms, "key") == ({}, 0)


class Panic(BaseException):
    """What Rust's panics are in Python."""


Panic.__module__ = "pyo3_runtime"


@pytest.mark.parametrize("error", [RecursionError, SystemError, AssertionError, ZeroDivisionError, Panic, UnicodeError])
def test_whatever_a_parser_raises_is_one_error(error):
    with (
        pytest.raises(InputError, match=r"^f is damaged \(.*\); get it again$"),
        parsing("f is damaged", "get it again"),
    ):
        raise error("why\nand more")

    def items():
        yield 1
        raise error

    found = parsed(items(), "f is damaged", "get it again")
    assert next(found) == 1
    with pytest.raises(InputError, match="f is damaged"):
        next(found)


@pytest.mark.parametrize("text", ["x", "x\n", "\n", " x"])
def test_parsers_that_quote_a_whole_file(text):
    error = ValueError(text * 10_000_000)
    with pytest.raises(InputError, match="f is damaged") as caught, parsing("f is damaged", "get it again"):
        raise error
    check(caught.value)
    assert len(last_line(error)) < 2000


@pytest.mark.parametrize(("text", "first", "last"), [("", "KeyError", "KeyError"), ("\n a: \n b \n", "a:", "b")])
def test_lines_of_messages(text, first, last):
    error = type("KeyError", (Exception,), {})(text)
    assert (first_line(error), last_line(error)) == (first, last)
    assert first_line(FileNotFoundError(2, "none", "name")) == "none"


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit, UsageError("usage")])
def test_what_is_not_the_parsers_passes(error):
    with pytest.raises(error if isinstance(error, type) else UsageError), parsing("f is damaged", ""):
        raise error


def test_a_manifest_of_another_kind(tmp_path):
    onnx_file = weights_folder() / "edge-n-256x256-int8.onnx"
    path = tmp_path / "a.onnx"
    shutil.copy(onnx_file, path)
    facts = json.loads(manifest_path(onnx_file).read_bytes())
    for change in ({"io": [1]}, {"engine": 3}, {"versions": DEEP}, {"float_layers": {"a": 1}}, {"file_sha256": None}):
        manifest_path(path).write_text(json.dumps(facts | change))
        with pytest.raises(ArtifactError) as caught:
            read_manifest(path)
        check(caught.value)
    assert onnx.load(path).graph.node


def test_a_cache_of_ranges_with_an_entry_that_is_no_array(histograms):
    with zipfile.ZipFile(histograms) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for data in (b"text", b"", entries["counts/first.npy"][:40]):
        with zipfile.ZipFile(histograms, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, data if name == "counts/first.npy" else content)
        assert load_histograms(histograms, "key") == ({}, 0)


def test_a_cache_of_ranges_that_claims_to_be_huge(histograms, caplog):
    with zipfile.ZipFile(histograms) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(claim, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(histograms, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, claim.getvalue() if name == "counts/first.npy" else content)
    assert load_histograms(histograms, "key") == ({}, 0)
    assert "counted again" in caplog.text
