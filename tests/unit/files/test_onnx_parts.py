"""ONNX files with tensors in other files: found without onnx, hashed as a whole, refused as artifacts."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import ArtifactError
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.manifest import Manifest, manifest_path, read_manifest, write_manifest
from edge_harmony.files.onnx_parts import external_files, sha256_of_onnx
from edge_harmony.models.registry import weights_folder


def with_manifest(path, like):
    manifest = Manifest.model_validate_json(manifest_path(like).read_bytes())
    write_manifest(path, manifest.model_copy(update={"file_sha256": sha256_of(path)}))
    return path


@pytest.fixture
def split(tmp_path):
    """A shipped network with its tensors in ``weights.bin``, and a manifest that fits the file."""
    shipped = weights_folder() / "edge-n-256x256-int8.onnx"
    path = tmp_path / "split.onnx"
    model = onnx.load(shipped)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=64)
    assert (tmp_path / "weights.bin").stat().st_size > 1000
    return with_manifest(path, shipped)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_an_artifact_is_one_file(split, backend):
    (split.parent / "weights.bin").write_bytes(bytes((split.parent / "weights.bin").stat().st_size))
    with pytest.raises(ArtifactError, match=r"keeps tensors outside of it \(weights\.bin\)"):
        load_runner("edge-n", backend=backend, precision="int8", artifact=split)


def test_a_whole_file_has_no_others():
    for path in weights_folder().glob("*.onnx"):
        assert external_files(path) == []
        assert sha256_of_onnx(path) == sha256_of(path)


def test_the_hash_covers_the_other_files(split):
    before = sha256_of_onnx(split)
    assert before != sha256_of(split)
    other = split.parent / "weights.bin"
    other.write_bytes(other.read_bytes()[:-1] + b"?")
    changed = sha256_of_onnx(split)
    other.unlink()
    assert len({before, changed, sha256_of_onnx(split)}) == 3


def external(name, location):
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def test_tensors_anywhere(tmp_path):
    constant = helper.make_node("Constant", [], ["c"], value=external("c", "constant.bin"))
    branch = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("c", 1, [4])])
    branches = {"then_branch": branch, "else_branch": branch}
    function = helper.make_function("own", "F", [], ["o"], [constant], [helper.make_opsetid("", 18)])
    graph = helper.make_graph(
        [helper.make_node("If", ["q"], ["y"], **branches)],
        "outer",
        [helper.make_tensor_value_info("q", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", 1, [4])],
        [external("w", "../elsewhere/w.bin")],
    )
    sparse = graph.sparse_initializer.add()
    sparse.values.CopyFrom(external("s", "sparse.bin"))
    path = tmp_path / "a.onnx"
    path.write_bytes(helper.make_model(graph, functions=[function]).SerializeToString())
    assert external_files(path) == ["../elsewhere/w.bin", "constant.bin", "sparse.bin"]


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 50, b"text", b"\x3a\xff\xff\xff\xff\x0f", b"\x3a\x02\x0a\x05", b"\x3a" * 99]
)
def test_what_is_no_onnx_file_has_no_others(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert external_files(tmp_path / "a") == []


def test_graphs_nested_deep(tmp_path):
    data = b""
    for _ in range(3000):
        for tag in (b"\x0a", b"\x2a", b"\x32"):  # a node, its attribute, that one's graph
            length, size = len(data), b""
            while length > 127:
                size, length = size + bytes([length & 127 | 128]), length >> 7
            data = tag + size + bytes([length]) + data
    (tmp_path / "a").write_bytes(data)
    assert external_files(tmp_path / "a") == []


def test_a_package_is_one_folder(tmp_path, split):
    package = tmp_path / "net.mlpackage"
    package.mkdir()
    (package / "Manifest.json").write_text("{}")
    with_manifest(package, split)
    assert read_manifest(package)
    (tmp_path / "elsewhere").mkdir()
    (package / "Data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match=r"outside of it \(Data\)"):
        read_manifest(package)
    shutil.rmtree(tmp_path / "elsewhere")
