"""Inputs that would be overwritten are told by what they are, not by how they are written."""

import os
from pathlib import Path

import pytest

from edge_harmony.errors import UsageError
from edge_harmony.files.identity import check_outputs, local_path


@pytest.fixture
def place(tmp_path, monkeypatch):
    """``in/c.png``, and other names for it."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "c.png").write_bytes(b"original")
    (tmp_path / "soft.png").symlink_to(folder / "c.png")
    os.link(folder / "c.png", tmp_path / "hard.png")
    (tmp_path / "folder").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ALIKE = [
    "in/c.png",
    "./in/../in/c.png",
    "soft.png",
    "hard.png",
    "folder/c.png",
    "file://{root}/in/c.png",
    "FILE://localhost{root}/in/%63.png",
]


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("way", ["output", "input"])
def test_one_file_by_any_name(place, name, way):
    other = name.format(root=place)
    pair = ([other], [Path("in/c.png")]) if way == "output" else (["in/c.png"], [other])
    with pytest.raises(UsageError, match="would be overwritten; choose another output"):
        check_outputs(*pair)
    assert (place / "in" / "c.png").read_bytes() == b"original"


def test_folders_are_files_too(place):
    for other in ("folder", "in/", f"file://{place}/in", place / "in"):
        with pytest.raises(UsageError, match=r"is the input in|is an input"):
            check_outputs([other], ["in"])
    check_outputs(["in/below", "inn", "out"], ["in"])


def test_two_results_in_one_file(place):
    for outputs in (
        ["o.png", "./o.png"],
        ["o.png", "O.PNG"],
        ["new/o.png", "new/../new/o.png"],
        ["soft.png", "hard.png"],
    ):
        with pytest.raises(UsageError, match="written twice"):
            check_outputs(outputs, [None])
    check_outputs(["o.png", None, "o.jpg", "in/o.png"], ["in/c.png", "absent.png"])


def test_a_file_system_without_capitals(place, monkeypatch):
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **options: real(Path(str(path).lower()), **options))
    monkeypatch.chdir("/")
    lower = place / "lower"
    if str(lower) != str(lower).lower():
        pytest.skip("the folder of the tests has capitals")
    lower.mkdir()
    (lower / "c.png").touch()
    with pytest.raises(UsageError, match="would be overwritten"):
        check_outputs([lower / "C.PNG"], [lower / "c.png"])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("s3://bucket/a", "s3://bucket/a/", True),
        ("s3://bucket/a", "S3://bucket//b/../a", True),
        ("s3://key:secret@bucket/a?region=eu", "s3://bucket/a?scheme=http", True),
        ("gs://bucket/a b", "gcs://bucket/a%20b", True),
        ("s3://bucket/a", "s3://bucket/b", False),
        ("s3://bucket/a", "s3://other/a", False),
        ("s3://bucket/a", "gs://bucket/a", False),
        ("s3://bucket/a?endpoint_override=one:9000", "s3://bucket/a?endpoint_override=two:9000", False),
        ("s3://bucket/in", "s3://bucket/in/out", False),
    ],
)
def test_addresses(one, other, same):
    for pair in ((one, other), (other, one)):
        if same:
            with pytest.raises(UsageError, match="would be overwritten"):
                check_outputs(pair[:1], pair[1:])
        else:
            check_outputs(pair[:1], pair[1:])


def test_names_that_no_file_can_have(place):
    check_outputs(["out.png"], ["in/c.png", "y" * 300, "a\0b.png", "camera:0"])
    for name in ("x" * 300 + ".png", "a\0b.png", f"file://{place}/{'x' * 300}/c.png"):
        with pytest.raises(UsageError, match=r"is too long|no file can have the name"):
            check_outputs([name], ["in/c.png"])


def test_paths_of_addresses():
    assert local_path("/a/b c") == Path("/a/b c")
    assert local_path("file:///a/b%20c") == Path("/a/b c")
    assert local_path("s3://bucket/a") is None
