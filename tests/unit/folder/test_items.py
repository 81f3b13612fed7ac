"""The work in a folder: masks by name, and finished items."""

import os
from pathlib import Path

import pytest

from edge_harmony.errors import UsageError
from edge_harmony.folder.items import PICTURES, FileKind, Item, MaskNames, find_items, unknown_files


def test_masks_are_found_by_name():
    names = dict.fromkeys(["dog.png", "cat_mask.jpg", "cow-mask.png", "a_b.png", "x.webp", "x.png", "fox.jpg.png"], 0.0)
    for picture, mask in {
        "dog.jpg": "dog.png",
        "cat.png": "cat_mask.jpg",
        "cow.tif": "cow-mask.png",
        "a_b_c.jpg": "a_b.png",
        "x.bmp": "x.png",
        "fox.jpg": "fox.jpg.png",
        "owl.jpg": None,
    }.items():
        assert MaskNames(PICTURES, names, same=False).find(picture) == mask
    assert MaskNames(PICTURES, {"dog.png": 0.0}, same=False).find("dog.png") == "dog.png"
    assert MaskNames(PICTURES, {"dog.png": 0.0}, same=True).find("dog.png") is None


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
    assert MaskNames(kind, {"a.png": 0.0, "a.mp4": 0.0}, same=False).find("a.avi") == "a.mp4"
    assert MaskNames(kind, {"a.png": 0.0}, same=False).find("a.avi") == "a.png"


def test_capitals_and_unicode_forms_do_not_matter():
    names = ["IMG_1.PNG", "Ma\u0308dchen.png", "x.png", "X.PNG"]
    found = MaskNames(PICTURES, names, same=False)
    assert found.find("IMG_1.JPG") == "IMG_1.PNG"
    assert found.find("img_1.jpg") == "IMG_1.PNG"
    assert found.find("M\u00e4dchen.jpg") == "Ma\u0308dchen.png"
    assert (found.find("x.jpg"), found.find("X.jpg")) == ("x.png", "X.PNG")


def test_one_folder_for_pictures_and_masks(tmp_path):
    for name in ("dog.jpg", "dog_mask.png", "cat.JPG", "cat.png", "cow.png", "cow-mask.png", "owl.png", "IMG.jpg"):
        (tmp_path / name).touch()
    for number in (10, 2, 1):
        (tmp_path / f"IMG_{number}.jpg").touch()
        (tmp_path / f"IMG_{number}_mask.png").touch()
    found, _ = find_items(PICTURES, str(tmp_path), str(tmp_path), "out", since=None)
    names = {Path(item.composite).name: item.mask and Path(item.mask).name for item in found}
    assert names == {
        "IMG.jpg": None,
        "IMG_1.jpg": "IMG_1_mask.png",
        "IMG_2.jpg": "IMG_2_mask.png",
        "IMG_10.jpg": "IMG_10_mask.png",
        "cat.JPG": "cat.png",
        "cow.png": "cow-mask.png",
        "dog.jpg": "dog_mask.png",
        "owl.png": None,
    }
    assert [name for name in names if name.startswith("IMG_")] == ["IMG_1.jpg", "IMG_2.jpg", "IMG_10.jpg"]


def test_what_is_no_picture_is_named_with_its_reason(tmp_path):
    for name in ("a.jpg", "b.gif", "notes.txt", "c.raw", "README", ".hidden.raw"):
        (tmp_path / name).write_bytes(b"x")
    passed = unknown_files([PICTURES], str(tmp_path), "elsewhere")
    assert [lost.name for lost in passed] == ["README", "c.raw", "notes.txt"]
    assert passed[0].reason == "a name without suffix is no format that is read"
    assert passed[1].reason == ".raw is no format that is read"
