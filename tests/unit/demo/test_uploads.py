"""What visitors upload is removed after its time, whatever became of the upload."""

import contextlib
import http.client
import os
import socket
import time
from pathlib import Path

import pytest

from edge_harmony.demo import offers as offers_module
from edge_harmony.demo import page as module
from edge_harmony.demo.offers import DEFAULT
from edge_harmony.demo.uploads import Uploads, sweep
from edge_harmony.samples import sample_files
from tests.demo_visitor import Visitor

HOUR = 3600


def names_of_files(folder):
    """Below a folder, also while folders in it are being removed, at which ``rglob`` raises."""
    return {name for _, _, files in os.walk(folder) for name in files}


def aged(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2)
    return path


@pytest.fixture
def changed_then(monkeypatch):
    """Files count as changed when they were written: nobody can set back the time of a change."""
    monkeypatch.setattr("edge_harmony.demo.uploads._changed", lambda path: path.lstat().st_mtime)


def test_what_is_old_is_removed_and_what_is_not_stays(tmp_path, changed_then):
    for name in ("a/old.png", "a/new.png", "b/old.png", "b/kept.png", "c/old.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        if "new" not in name:
            aged(tmp_path / name, HOUR)
    (tmp_path / "tmp123").touch()
    aged(tmp_path / "tmp123", HOUR)
    sweep(tmp_path, time.time() - 60, {str(tmp_path / "b/kept.png")})
    assert names_of_files(tmp_path) == {"new.png", "kept.png"}
    aged(tmp_path / "c", HOUR)
    sweep(tmp_path, time.time() - 60, {str(tmp_path / "b/kept.png")})
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_nothing_outside_is_touched(tmp_path, changed_then):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    for folder in (outside, inside):
        folder.mkdir()
    (outside / "x").touch()
    aged(outside / "x", HOUR)
    (inside / "link").symlink_to(outside)
    sweep(inside, time.time() - 60)
    assert (outside / "x").exists()


def test_the_folder_ends_with_the_page():
    uploads = Uploads()
    assert os.environ["GRADIO_TEMP_DIR"] == uploads.folder
    (Path(uploads.folder) / "x").touch()
    if os.name == "posix":
        assert Path(uploads.folder).stat().st_mode & 0o077 == 0
    uploads.close()
    assert not Path(uploads.folder).exists()


@pytest.mark.lengthy
def test_uploads_of_every_kind_are_removed_and_samples_stay(monkeypatch):
    pytest.importorskip("gradio")
    from edge_harmony.demo.server import serve

    monkeypatch.setattr(offers_module, "find_offers", lambda: [DEFAULT])
    monkeypatch.setattr(module, "_KEPT_SECONDS", 3.0)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.1)
    port = 7896 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    page = serve("127.0.0.1", port)
    try:
        folder, visitor = Path(page.uploads.folder), Visitor(f"http://127.0.0.1:{port}")
        samples = {path.name for path, _ in sample_files()}
        visitor.upload(b"whole", "whole.png")
        part = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="x.png"\r\n\r\n' + b"x" * 1000 + b"\r\n"
        visitor.ask("/gradio_api/upload", part % b"other" + b"--b--\r\n", "multipart/form-data; boundary=b")
        while list(folder.glob("tmp*")):
            pass
        with socket.create_connection(("127.0.0.1", port)) as cut:
            cut.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n")
            cut.sendall(b"content-type: multipart/form-data; boundary=b\r\n\r\n" + part % b"files" + part % b"files")
            while not list(folder.glob("tmp*")):
                pass
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as later:
            while names_of_files(folder) != samples:
                later.request("GET", "/config")
                assert later.getresponse().read()
    finally:
        page.close()
