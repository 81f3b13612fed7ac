"""Files of tensors: equal content gives equal bytes, and no file from elsewhere gives a traceback."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save

from edge_harmony.errors import ArtifactError
from edge_harmony.files.atomic import sha256_of
from edge_harmony.models.registry import build_model
from edge_harmony.models.tensors_file import read_tensors, write_tensors
from edge_harmony.models.weights_file import load_model, read_weights, save_weights

METADATA = {f"key{number}": f"text {number}" for number in range(12)} | {"übér": "\u2713"}


def test_the_same_content_gives_the_same_bytes(tmp_path):
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a/\u00e9": torch.ones(3, dtype=torch.int64)}
    for number in range(8):
        backwards = dict(reversed(METADATA.items())) if number % 2 else METADATA
        write_tensors(tmp_path / f"{number}.safetensors", tensors, backwards)
    assert len({sha256_of(path) for path in tmp_path.iterdir()}) == 1
    again, texts = read_tensors(tmp_path / "0.safetensors", "damaged", "", ArtifactError)
    assert texts == METADATA
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)


def test_weights_written_by_two_processes_are_one_file(tmp_path):
    call = "; ".join(
        (
            "import torch, pathlib, sys",
            "from edge_harmony.models.registry import build_model",
            "from edge_harmony.models.weights_file import save_weights",
            "torch.manual_seed(0)",
            "facts = dict(name='edge-n', recipe_sha256='a' * 64, images=3)",
            "save_weights(pathlib.Path(sys.argv[1]), build_model('edge-n'), **facts)",
        )
    )
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", call, str(tmp_path / name)], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


DEEP = "[" * 500 + "]" * 500
DAMAGE = {
    "options of another type": {"options": "[1, 2]"},
    "options that no network has": {"options": '{"magic": 1}'},
    "options that make no network": {"options": '{"widths": "wide"}'},
    "options nested deep": {"options": '{"widths": ' + DEEP + "}"},
    "options with a long number": {"options": '{"hidden": ' + "9" * 5000 + "}"},
    "options that are no JSON": {"options": "{"},
    "ranges of another type": {"ranges": "[0.5]"},
    "ranges that are no numbers": {"ranges": '{"a": "wide"}'},
    "ranges that are not finite": {"ranges": '{"a": NaN}'},
    "folded of another type": {"folded": '{"a": 1}'},
    "images of another type": {"images": '"many"'},
    "a history of another type": {"history": '{"a": 1}'},
    "a history of numbers": {"history": "[1, 2]"},
    "no options": {"options": None},
    "another network": {"model": "edge-s"},
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_header_of_the_wrong_types_is_one_error(tmp_path, name):
    path = tmp_path / "w.safetensors"
    save_weights(path, build_model("edge-n"), name="edge-n", images=5, history=[{"images": 3}])
    tensors, metadata = read_tensors(path, "damaged", "", ArtifactError)
    changed = {key: text for key, text in (metadata | DAMAGE[name]).items() if text is not None}
    path.write_bytes(save(tensors, changed))
    with pytest.raises(ArtifactError) as caught:
        load_model("edge-n", path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "long header", "deep header", "wrong offsets"])
def test_no_safetensors_file(tmp_path, kind):
    path = tmp_path / "w.safetensors"
    save_weights(path, build_model("edge-n"), name="edge-n")
    whole = path.read_bytes()
    header = {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}
    text = {"deep header": DEEP, "wrong offsets": json.dumps(header)}.get(kind, "{}").encode()
    data = {"cut": whole[:-7], "empty": b"", "text": b"no tensors", "long header": b"\xff" * 8 + whole[8:]}
    path.write_bytes(data.get(kind, len(text).to_bytes(8, "little") + text + bytes(8)))
    with pytest.raises(ArtifactError, match=r"are damaged|no edge-harmony weights"):
        read_weights(path)


def test_what_was_written_before_is_read_still(tmp_path):
    tensors, metadata = {"a": torch.ones(2)}, {"format": "edge-harmony-weights-1"}
    (tmp_path / "old").write_bytes(save(tensors, metadata))
    write_tensors(tmp_path / "new", tensors, metadata)
    assert load_file(tmp_path / "new").keys() == load_file(tmp_path / "old").keys()
    assert read_tensors(tmp_path / "old", "", "", ArtifactError)[1] == metadata
