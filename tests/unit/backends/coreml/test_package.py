"""Packages as files: whole or not at all, equal for equal content, damaged ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_harmony.errors import ArtifactError, UsageError
from edge_harmony.files.atomic import new_folder, sha256_of
from edge_harmony.files.manifest import manifest_path, read_manifest
from tests.unit.backends.coreml.conftest import convert

pytest.importorskip("coremltools")
from edge_harmony.backends.coreml.contents import read_contents
from edge_harmony.backends.coreml.convert import settle_names


def test_damaged_packages_are_one_clear_error(packages, tmp_path):
    with pytest.raises(ArtifactError, match="is no Core ML package"):
        read_contents(tmp_path / "none.mlpackage")
    (tmp_path / "x.mlpackage").mkdir()
    with pytest.raises(ArtifactError, match="is no Core ML package"):
        read_contents(tmp_path / "x.mlpackage")
    changed = tmp_path / packages["fp32"].name
    shutil.copytree(packages["fp32"], changed)
    shutil.copy(manifest_path(packages["fp32"]), tmp_path)
    assert read_manifest(changed) == read_manifest(packages["fp32"])
    (changed / "odd").write_text("x")
    with pytest.raises(ArtifactError, match="not the file its manifest describes"):
        read_manifest(changed)


def test_a_package_is_read_and_not_written(packages, tmp_path):
    """coremltools' reader writes the table of contents anew: spaces at its end would be gone."""
    package = tmp_path / "a.mlpackage"
    shutil.copytree(packages["fp16"], package)
    contents = package / "Manifest.json"
    contents.write_bytes(contents.read_bytes() + b"   \n")
    before = sha256_of(package)
    assert read_contents(package).convolutions == 14
    assert sha256_of(package) == before


@pytest.mark.parametrize("where", ["../../outside.mlmodel", "/etc/hostname", "../a/../../outside.mlmodel"])
def test_a_package_whose_program_lies_elsewhere_is_refused(packages, tmp_path, where):
    package = tmp_path / "a.mlpackage"
    shutil.copytree(packages["fp16"], package)
    program = next(package.rglob("model.mlmodel"))
    shutil.copy(program, tmp_path / "outside.mlmodel")
    contents = json.loads((package / "Manifest.json").read_text())
    contents["itemInfoEntries"][contents["rootModelIdentifier"]]["path"] = where
    (package / "Manifest.json").write_text(json.dumps(contents))
    with pytest.raises(ArtifactError, match="lies outside of it"):
        read_contents(package)


def test_folders_appear_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a"
    with new_folder(target) as made:
        made.mkdir()
        (made / "x").write_text("1")
    first = sha256_of(target)
    with pytest.raises(ZeroDivisionError), new_folder(target) as made:
        made.write_text(str(1 / 0))
    assert sha256_of(target) == first
    with new_folder(target) as made:
        made.mkdir()
        (made / "x").write_text("2")
    assert sha256_of(target) != first
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(UsageError, match="cannot write"), new_folder(tmp_path / "none" / "b"):
        pass


def test_a_disk_that_is_full(edge_weights, packages, tmp_path, monkeypatch):
    import coremltools as ct

    def fail(*_, **__):
        raise RuntimeError("Unable to write to file")

    shutil.copytree(packages["fp16"], tmp_path / packages["fp16"].name)
    before = sha256_of(packages["fp16"])
    monkeypatch.setattr(ct.models.MLModel, "save", fail)
    with pytest.raises(UsageError, match=r"cannot write .*mlpackage .Unable to write to file.; free space"):
        convert("edge-n", edge_weights, tmp_path, precision="fp16")
    assert [path.name for path in tmp_path.iterdir()] == [packages["fp16"].name]
    assert sha256_of(tmp_path / packages["fp16"].name) == before


def test_equal_packages_are_equal_files(packages, edge_weights, tmp_path):
    again = convert("edge-n", edge_weights, tmp_path, precision="fp16")
    assert sha256_of(again) == sha256_of(packages["fp16"])
    assert read_contents(again).convolutions == 14


@pytest.mark.slow
def test_equal_packages_of_two_processes_are_equal_files(packages, edge_weights, tmp_path):
    code = (
        "import sys; from pathlib import Path; from edge_harmony.backends.base import ExportRequest\n"
        "from edge_harmony.backends.coreml.convert import convert\n"
        "print(convert(ExportRequest('edge-n', 'fp16'), Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    call = [sys.executable, "-c", code, str(edge_weights), str(tmp_path)]
    again = Path(subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    assert sha256_of(again) == sha256_of(packages["fp16"])


def test_names_of_parts_are_those_of_their_paths(packages, tmp_path):
    package = tmp_path / "a.mlpackage"
    shutil.copytree(packages["fp16"], package)
    before = (package / "Manifest.json").read_bytes()
    contents = json.loads(before)
    drawn = {name: f"drawn-{number}" for number, name in enumerate(reversed(contents["itemInfoEntries"]))}
    contents["itemInfoEntries"] = {drawn[name]: contents["itemInfoEntries"][name] for name in drawn}
    contents["rootModelIdentifier"] = drawn[contents["rootModelIdentifier"]]
    (package / "Manifest.json").write_text(json.dumps(contents))
    settle_names(package)
    assert (package / "Manifest.json").read_bytes() == before
    assert sha256_of(package) == sha256_of(packages["fp16"])
