"""Artifacts: atomic writing, manifests that are verified, resources and typed TOML."""

import errno
import json
import os
from pathlib import Path

import pytest

from edge_harmony.backends.targets import Target
from edge_harmony.errors import ArtifactError, InputError, UsageError
from edge_harmony.files import resources
from edge_harmony.files.artifacts import artifact_name
from edge_harmony.files.atomic import atomic_write, make_folder, new_file, new_folder, sha256_of
from edge_harmony.files.lock import alone
from edge_harmony.files.manifest import IOSpec, Manifest, read_manifest, write_manifest
from edge_harmony.files.toml import read_toml


def make(tmp_path):
    path = tmp_path / artifact_name("edge-s", 256, 256, "int8", ".onnx")
    path.write_bytes(b"model")
    manifest = Manifest(
        model="edge-s",
        precision="int8",
        backend="onnx",
        io=IOSpec(height=256, width=256, output="affine"),
        file_sha256=sha256_of(path),
        weights_sha256="0" * 64,
    )
    write_manifest(path, manifest)
    return path, manifest


def test_manifest_round_trip(tmp_path):
    path, manifest = make(tmp_path)
    assert path.name == "edge-s-256x256-int8.onnx"
    assert read_manifest(path) == manifest


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda p: p.write_bytes(b"other"), ArtifactError, "not the file"),
        (lambda p: p.unlink(), UsageError, "no artifact"),
        (lambda p: p.with_name(p.name + ".json").unlink(), ArtifactError, "no manifest"),
        (lambda p: p.with_name(p.name + ".json").write_text("{"), ArtifactError, "damaged"),
        (
            lambda p: p.with_name(p.name + ".json").write_text(json.dumps({"schema_version": 9})),
            ArtifactError,
            "schema_version",
        ),
    ],
)
def test_mismatches_are_named(tmp_path, damage, error, message):
    path, _ = make(tmp_path)
    damage(path)
    with pytest.raises(error, match=message):
        read_manifest(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UsageError, match="No space"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(("fill", "name"), [(new_file, "open"), (new_folder, "mkdir")])
def test_an_interruption_right_after_the_file_is_made_leaves_nothing(tmp_path, monkeypatch, fill, name):
    """Python raises KeyboardInterrupt between any two steps: the name must be known before the file is there."""
    real = getattr(os, name)

    def interrupted(*given, **more):
        monkeypatch.setattr(os, name, real)
        real(*given, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, name, interrupted)
    with pytest.raises(KeyboardInterrupt), fill(tmp_path / "a.bin"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_turns_read_only_in_the_middle_is_one_line(tmp_path, monkeypatch):
    """Neither renaming nor removing works then, and the first is what is to be told."""

    def refused(self, *_):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr("pathlib.Path.replace", refused)
    monkeypatch.setattr("pathlib.Path.unlink", refused)
    with pytest.raises(UsageError, match=r"cannot write .*a\.txt \(Read-only file system\)"):
        atomic_write(tmp_path / "a.txt", b"new")
    assert not (tmp_path / "a.txt").exists()


def fill(folder, text):
    folder.mkdir()
    (folder / "a").write_text(text)


def test_a_folder_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "net"
    with new_folder(path) as folder:
        fill(folder, "old")

    def full(folder):
        fill(folder, "new")
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match=r"cannot write .*net .No space left"), new_folder(path) as folder:
        full(folder)
    real = Path.rename

    def fail(source, target):
        if source.name == "net" and Path(target) == path:  # the new one, to its place
            raise OSError(5, "Input/output error")
        return real(source, target)

    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr("edge_harmony.files.atomic.exchange", lambda one, other: False)
    with pytest.raises(UsageError, match="Input/output error"), new_folder(path) as folder:
        fill(folder, "new")
    assert (path / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["net"]
    monkeypatch.undo()
    with new_folder(path) as folder:
        fill(folder, "new")
    assert (path / "a").read_text() == "new"


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is no folder"):
        make_folder(tmp_path / "file" / "below")


def test_resources_of_the_user_come_first_and_names_are_not_guessed(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path))
    (tmp_path / "targets").mkdir()
    own = tmp_path / "targets" / "cpu-onnxruntime-int8.toml"
    own.write_text("x")
    assert resources.find_resource("targets", "cpu-onnxruntime-int8") == own
    with pytest.raises(UsageError, match="did you mean cpu-onnxruntime-int8"):
        resources.find_resource("targets", "cpu-onnxruntime-int")
    with pytest.raises(UsageError, match="no file"):
        resources.find_resource("targets", str(tmp_path / "absent.toml"))


@pytest.mark.parametrize(
    ("text", "message"), [("a = ", "not valid TOML"), ("odd = 1", "odd"), ("device = 3", "device")]
)
def test_toml_errors_name_the_key(tmp_path, text, message):
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_toml(path, Target)
    with pytest.raises(UsageError):
        read_toml(tmp_path / "absent.toml", Target)


@pytest.mark.parametrize("name", ["x" * 251 + ".png", "\u00e4" * 125 + "x.PNG", "x" * 200])
def test_names_of_any_legal_length(tmp_path, name):
    atomic_write(tmp_path / name, b"whole")
    assert (tmp_path / name).read_bytes() == b"whole"
    with new_folder(tmp_path / f"folder {name[7:]}") as folder:
        folder.mkdir()
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_dead_run_left_and_what_its_dead_workers_leave_goes_away(tmp_path):
    def leave(name):
        path = tmp_path / name
        path.write_bytes(b"half")
        return path

    before, mine = leave(".a.png.0123abcd.part.png"), leave(".notes.part.png")
    with alone(tmp_path):
        assert not before.exists()
        within = leave(".b.png.4567cdef.part.png")
        result = leave("b.png")
    assert not within.exists()
    assert mine.exists()
    assert result.exists()


def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "report.json")
    (tmp_path / "link.json").symlink_to("report.json")
    for name in ("report.json", "link.json"):
        with pytest.raises(UsageError, match=f"{name} is a pipe or a device"):
            atomic_write(tmp_path / name, b"{}")
    assert (tmp_path / "report.json").is_fifo()
    assert (tmp_path / "link.json").is_symlink()
    with pytest.raises(UsageError, match="no file can have the name"):
        atomic_write(tmp_path / "a\0b.json", b"{}")
    assert len(list(tmp_path.iterdir())) == 2
