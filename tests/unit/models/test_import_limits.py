"""Checkpoints of strangers: sizes are looked at before anything is unpacked, and whatever is wrong is one line."""

import io
import zipfile

import numpy as np
import pytest
import torch

from edge_harmony.cli.main import main
from edge_harmony.errors import InputError
from edge_harmony.models import import_hdnet
from edge_harmony.models.import_hdnet import read_public_checkpoint


def claim(path, shape, *, version=(1, 0)):
    """A ``.npz`` whose only array says a shape, and has no data."""
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    (np.lib.format.write_array_header_1_0 if version == (1, 0) else np.lib.format.write_array_header_2_0)(
        stream, header
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weight/a.weight.npy", stream.getvalue())
    return path


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_arrays_that_say_they_are_large(tmp_path, version, monkeypatch):
    monkeypatch.setattr(np, "load", None)  # nothing is unpacked
    with pytest.raises(InputError, match="unpacks to 1,024 MiB, more than 512 MiB"):
        read_public_checkpoint(claim(tmp_path / "a.npz", (1 << 28,), version=version))


def test_archives_that_are_large(tmp_path, monkeypatch):
    monkeypatch.setattr(import_hdnet, "LARGEST", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 19, np.float32))
    torch.save({"a": torch.zeros(1 << 19)}, tmp_path / "a.pth")
    assert (tmp_path / "a.npz").stat().st_size < 10_000
    for name in ("a.npz", "a.pth"):
        with pytest.raises(InputError, match="unpacks to 2 MiB, more than 1 MiB"):
            read_public_checkpoint(tmp_path / name)


def archive(path, content):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", content)


DAMAGE = {
    "an array that ends early": lambda path: claim(path, (100,)),
    "no array": lambda path: archive(path, b"text"),
    "an empty array": lambda path: archive(path, b""),
    "an array of a later version": lambda path: archive(path, b"\x93NUMPY\x09\x00" + bytes(100)),
    "an array of objects": lambda path: np.savez(path, a=np.array([{}], object)),
    "an array of texts": lambda path: np.savez(path, a=np.array(["a"])),
    "a header nested deep": lambda path: archive(path, b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535),
    "an empty archive": lambda path: zipfile.ZipFile(path, "w").close(),
    "no archive": lambda path: path.write_bytes(b"PK no archive"),
    "names that are no texts": lambda path: torch.save({1: torch.zeros(1)}, path.with_suffix(".pth")),
    "no tensors": lambda path: torch.save({"a": 1}, path.with_suffix(".pth")),
    "no pickle": lambda path: path.with_suffix(".pth").write_bytes(b"text"),
    "no safetensors": lambda path: path.with_suffix(".safetensors").write_bytes(b"\xff" * 99),
}


def test_an_entry_that_the_parser_quotes(tmp_path, capsys):
    """A hundred megabytes where torch wants ``little`` or ``big``: its error holds them all."""
    torch.save({"a": torch.zeros(1)}, tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as whole, zipfile.ZipFile(tmp_path / "a.pth", "w", 8) as damaged:
        for name in whole.namelist():
            damaged.writestr(name, b"x" * 100_000_000 if name.endswith("byteorder") else whole.read(name))
    assert main(["import", str(tmp_path / "a.pth"), "--as", "hdnet-lite", "-o", str(tmp_path / "o")]) == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert "a.pth is damaged or holds more than tensors" in " ".join(line.split())
    assert len(line) < 3000


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("network", ["hdnet-lite", "edge-l"])
def test_damaged_checkpoints_are_one_line(tmp_path, capsys, name, network):
    DAMAGE[name](tmp_path / "a.npz")
    (path,) = tmp_path.iterdir()
    assert main(["import", str(path), "--as", network, "-o", str(tmp_path / "o")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == [path.name]
