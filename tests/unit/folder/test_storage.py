"""Paths and addresses give equal answers."""

import sys

import pytest

from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.files.identity import is_address
from edge_harmony.folder.storage import join, list_files, make, read, suffix_of, write


@pytest.fixture(params=["path", "address"])
def root(request, tmp_path):
    return str(tmp_path) if request.param == "path" else f"file://{tmp_path}"


def test_writing_listing_reading(root, tmp_path):
    folder = join(root, "new/deep")
    assert list_files(folder) is None
    make(folder)
    assert list_files(folder) == {}
    write(join(folder, "a.png"), b"one")
    write(join(folder, "a.png"), b"two")
    make(join(folder, "below"))
    assert read(join(folder, "a.png")) == b"two"
    names = list_files(folder)
    assert set(names) == {"a.png"}
    assert names["a.png"] == pytest.approx((tmp_path / "new/deep/a.png").stat().st_mtime, abs=1e-3)
    assert [path.name for path in (tmp_path / "new/deep").iterdir() if path.is_file()] == ["a.png"]


def test_what_is_not_there(root):
    with pytest.raises(UsageError):
        read(join(root, "absent.png"))
    with pytest.raises(UsageError):
        write(join(root, "absent/a.png"), b"x")


def test_names():
    assert is_address("s3://bucket/a")
    assert not is_address("/a/b")
    assert join("s3://bucket/a/", "b.png") == "s3://bucket/a/b.png"
    assert suffix_of("s3://bucket/a.JPG") == ".jpg"


def test_addresses_that_nothing_opens(monkeypatch):
    with pytest.raises(UsageError, match="cannot be opened"):
        read("warp://a/b")
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)
    for use in (read, list_files):
        with pytest.raises(CapabilityError, match=r"pip install .*\[ray\]"):
            use("s3://a/b")


def test_a_zero_byte_in_an_address_is_one_line(tmp_path):
    address = f"file://{tmp_path}/a%00b"
    for act in (list_files, read, make, lambda name: write(name, b"")):
        with pytest.raises(UsageError, match=r"a(%00|\\x00)b"):
            act(address)
