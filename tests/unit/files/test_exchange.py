"""Paths that are exchanged in one step, and what dead processes left."""

import sys

import pytest

from edge_harmony.files import exchange as module
from edge_harmony.files.atomic import new_file, new_folder
from edge_harmony.files.exchange import exchange
from edge_harmony.files.lock import alone


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="the system has no such call")
def test_folders_and_files_are_exchanged(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_text(name)
    (tmp_path / "file").write_text("a file")
    assert exchange(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one" / "content").read_text() == "other"
    assert (tmp_path / "other" / "content").read_text() == "one"
    assert exchange(tmp_path / "file", tmp_path / "one")
    assert (tmp_path / "one").read_text() == "a file"
    assert (tmp_path / "file" / "content").read_text() == "other"


@pytest.mark.parametrize("can", [True, False])
def test_a_folder_is_replaced_in_one_step_where_the_system_can(tmp_path, monkeypatch, can):
    def replaced(content):
        with new_folder(tmp_path / "package") as made:
            made.mkdir()
            (made / "content").write_text(content)
        return (tmp_path / "package" / "content").read_text()

    assert replaced("old") == "old"
    if not can:
        monkeypatch.setattr("edge_harmony.files.atomic.exchange", lambda one, other: False)
    elif sys.platform in ("linux", "darwin"):  # no moment without the one or the other
        monkeypatch.setattr("pathlib.Path.rename", lambda *_: pytest.fail("it was renamed"))
    assert replaced("new") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_what_a_dead_process_left_is_removed_and_nothing_else(tmp_path):
    with new_file(tmp_path / "weights.safetensors") as temporary, new_file(tmp_path / "bare") as other:
        temporary.write_text("half")
        other.write_text("half")
    names = ["weights.safetensors", "bare", ".hidden", ".a.12345678.part.d", "b.12345678.part.png"]
    (tmp_path / names[3]).mkdir()
    for name in (temporary.name, other.name, names[2], names[4]):
        (tmp_path / name).write_text("x")
    with alone(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_what_cannot_be_exchanged_stays(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    assert not exchange(tmp_path / "one", tmp_path / "absent")
    assert not exchange(tmp_path / "absent", tmp_path / "one")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    monkeypatch.setattr(module.sys, "platform", "win32")
    (tmp_path / "two").mkdir()
    assert not exchange(tmp_path / "one", tmp_path / "two")
