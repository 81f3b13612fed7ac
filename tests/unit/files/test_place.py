"""Places where nothing can be written are told before the work, and asking changes nothing."""

import os
from pathlib import Path

import pytest

from edge_harmony.errors import UsageError
from edge_harmony.files.place import check_place


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"in the way")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere.png").symlink_to("absent.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 256, "is too long"),
        (f"absent/{'x' * 256}/c.png", "is too long"),
        ("ü" * 128, "is too long"),
        ("file/c.png", r"cannot write file.c\.png"),
        ("file/absent/c.png", "cannot write"),
        ("/".join(["x" * 200] * 30), "cannot write"),
        ("a\0b", "no file can have the name"),
    ],
)
def test_where_nothing_can_be_written(place, name, said):
    before = sorted(place.rglob("*"))
    with pytest.raises(UsageError, match=said) as caught:
        check_place(Path(name))
    assert caught.value.hint
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["c.png", "file", "folder", "absent/new/c.png", "nowhere.png", "x" * 255, "../new.png"]
)
def test_where_something_can(place, name):
    before = sorted(place.rglob("*"))
    check_place(Path(name))
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("name", ["folder", "folder/c.png", "folder/absent/c.png"])
def test_a_folder_without_the_right_to_write(place, name, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "access", lambda path, right: asked.append((str(path), right)))  # root may write anywhere
    with pytest.raises(UsageError, match="the folder folder cannot be written"):
        check_place(Path(name))
    assert asked == [("folder", os.W_OK | os.X_OK)]
