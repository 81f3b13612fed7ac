"""The work in a folder: masks by name, and finished items."""

import os

import pytest

from edge_harmony.errors import UsageError
from edge_harmony.folder.items import PICTURES, FileKind, Item, find_items, find_mask


def test_masks_are_found_by_name():
    names = dict.fromkeys(["dog.png", "cat_mask.jpg", "cow-mask.png", "a_b.png", "x.webp", "x.png"], 0.0)
    for picture, mask in {
        "dog.jpg": "dog.png",
        "cat.png": "cat_mask.jpg",
        "cow.tif": "cow-mask.png",
        "a_b_c.jpg": "a_b.png",
        "x.bmp": "x.png",
        "owl.jpg": None,
    }.items():
        assert find_mask(PICTURES, names, picture, same=False) == mask
    assert find_mask(PICTURES, {"dog.png": 0.0}, "dog.png", same=False) == "dog.png"
    assert find_mask(PICTURES, {"dog.png": 0.0}, "dog.png", same=True) is None


def test_items_and_what_is_done(tmp_path):
    composites, masks, output = (tmp_path / name for name in ("composites", "masks", "out"))
    for folder in (composites, masks, output):
        folder.mkdir()
    for name in ("b.jpg", "a.jpg", "c.jpg", "notes.txt", ".hidden.jpg"):
        (composites / name).touch()
    for name in ("a.png", "b.png"):
        (masks / name).touch()
    for name in ("a.jpg", "b.jpg"):
        (output / name).touch()

    def times(**at):
        for name, seconds in at.items():
            folder, stem = name.split("_")
            path = {"i": composites / f"{stem}.jpg", "m": masks / f"{stem}.png", "o": output / f"{stem}.jpg"}[folder]
            os.utime(path, (seconds, seconds))

    folders = str(composites), str(masks), str(output)
    every = [
        Item(f"{composites}/{stem}.jpg", None if stem == "c" else f"{masks}/{stem}.png", f"{output}/{stem}.jpg")
        for stem in "abc"
    ]
    times(i_a=100, m_a=100, o_a=200, i_b=100, m_b=100, o_b=200)
    assert find_items(PICTURES, *folders, since=None) == (every, 0)
    assert find_items(PICTURES, *folders, since=150) == (every[2:], 2)
    assert find_items(PICTURES, *folders, since=250) == (every, 0)  # results of an earlier run
    times(m_b=300)
    assert find_items(PICTURES, *folders, since=150) == (every[1:], 1)  # another mask since


def test_folders_that_do_not_do(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.png").touch()
    full, absent = (str(tmp_path / name) for name in ("full", "absent"))
    for composites, masks, says in ((absent, full, "is no folder"), (full, absent, "folder of masks")):
        with pytest.raises(UsageError, match=says):
            find_items(PICTURES, composites, masks, str(tmp_path / "out"), since=None)


def test_a_kind_of_files():
    kind = FileKind((".avi", ".mp4"), (".mp4", ".png"), (".mp4",), ".mp4")
    assert kind.result("a.mp4") == "a.mp4"
    assert kind.result("a.avi") == "a.avi.mp4"  # beside a.mp4's
    assert find_mask(kind, {"a.png": 0.0, "a.mp4": 0.0}, "a.avi", same=False) == "a.mp4"
    assert find_mask(kind, {"a.png": 0.0}, "a.avi", same=False) == "a.png"
