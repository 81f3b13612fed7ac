"""The iHarmony4 layout as published, and its broken forms."""

import shutil

import cv2
import numpy as np
import pytest

from edge_harmony.data.calibration_set import CalibrationFile, CalibrationSet
from edge_harmony.data.iharmony4 import SUBSETS, read_split
from edge_harmony.data.photos import read_photos
from edge_harmony.errors import InputError, UsageError
from edge_harmony.quality.evaluation import evaluate, score_samples
from edge_harmony.quality.preparation import Preparation
from edge_harmony.quality.relit import drawn_light, relight
from tests.unit.pipeline.test_harmonize import FakeRunner


def test_all_four_subsets_with_their_names(tmp_path):
    names = {"HCOCO": "c37 _12_3", "HAdobe5k": "a0041_1_5", "HFlickr": "f1521_1_1", "Hday2night": "d90000014-10_1_7"}
    lines = []
    for subset in SUBSETS:
        name = names[subset]
        real, region, _ = name.rsplit("_", 2)
        for folder, file in (
            ("composite_images", f"{name}.jpg"),
            ("masks", f"{real}_{region}.png"),
            ("real_images", f"{real}.jpg"),
        ):
            (tmp_path / subset / folder).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / subset / folder / file), np.full((8, 8, 3), 255, np.uint8))
        lines.append(f"{subset}/composite_images/{name}.jpg")
    (tmp_path / "IHD_train.txt").write_text("\r\n".join(lines) + "\r\n\r\n")
    triplets = read_split(tmp_path, "train")
    assert [t.subset for t in triplets] == list(SUBSETS)
    assert triplets[3].real.name == "d90000014-10.jpg"
    assert triplets[3].mask.name == "d90000014-10_1.png"
    assert all(triplet.load()[0].shape == (8, 8, 3) for triplet in triplets)


def test_lists_of_subsets_when_the_whole_list_is_missing(mini_root, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(mini_root, root)
    whole = {t.name for t in read_split(root, "test")}
    (root / "IHD_test.txt").unlink()
    assert {t.name for t in read_split(root, "test")} == whole


def test_missing_files_are_named_in_one_error(mini_root, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(mini_root, root)
    gone = [t.mask for t in read_split(root, "train")][:2]
    for path in gone:
        path.unlink()
    with pytest.raises(InputError) as caught:
        read_split(root, "train")
    assert "2 files are missing" in caught.value.message
    assert all(path.name in caught.value.message for path in gone)


@pytest.mark.parametrize("name", ["x" * 100_000 + "_1_1.jpg", "a\x00b_1_1.jpg"])
def test_names_that_no_file_can_have_are_missing_files(mini_root, tmp_path, name):
    shutil.copytree(mini_root, tmp_path / "root")
    (tmp_path / "root" / "IHD_test.txt").write_text(f"HCOCO/composite_images/{name}\n")
    with pytest.raises(InputError, match="are missing below"):
        read_split(tmp_path / "root", "test")
    entry = CalibrationFile(composite=name, composite_sha256="0" * 64, mask=name, mask_sha256="0" * 64)
    named = CalibrationSet(description="d", source="s", licence="l", files=(entry,))
    with pytest.raises(InputError, match="2 files of the calibration set are missing"):
        named.verify(tmp_path)


def test_broken_files_are_named_in_one_error(mini_root, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(mini_root, root)
    triplets = read_split(root, "train")
    triplets[0].real.write_bytes(triplets[0].real.read_bytes()[:200])
    triplets[1].composite.write_text("no picture")
    with pytest.raises(InputError) as caught:
        evaluate(FakeRunner(), triplets)
    assert "2 samples" in caught.value.message
    assert triplets[0].real.name in caught.value.message
    assert triplets[1].composite.name in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"), [("", "empty"), ("HCOCO/composite_images/nothing.jpg\n", "not of the form"), (None, "no list")]
)
def test_lists_that_cannot_be_used(tmp_path, text, message):
    if text is not None:
        (tmp_path / "IHD_test.txt").write_text(text)
    with pytest.raises((InputError, UsageError), match=message):
        read_split(tmp_path, "test")


def test_a_root_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="not a folder"):
        read_split(tmp_path / "absent", "test")


@pytest.mark.data
def test_the_real_sets(test_data):
    assert len(read_split(test_data / "lbharmony", "train")) == 2165
    assert len(read_split(test_data / "lbharmony", "test")) == 612
    sample = read_split(test_data / "iharmony4_sample", "test")
    assert len(sample) == 4
    assert (2848, 4272) in [triplet.load()[1].shape for triplet in sample]


def make_photos(root, names, masks):
    for folder, files in (("photos", names), ("masks", masks)):
        (root / folder).mkdir(parents=True)
        for file in files:
            cv2.imwrite(str(root / folder / file), np.full((8, 8, 3), 200, np.uint8))


def test_own_photographs_pair_with_their_masks(tmp_path):
    make_photos(tmp_path, ["dog.jpg", "cat.png"], ["dog_1.png", "dog_2.png", "cat.png"])
    pairs = read_photos(tmp_path)
    assert [(p.photo.name, p.mask.name) for p in pairs] == [
        ("cat.png", "cat.png"),
        ("dog.jpg", "dog_1.png"),
        ("dog.jpg", "dog_2.png"),
    ]


def test_a_photograph_is_its_own_truth_until_it_is_relit(tmp_path):
    make_photos(tmp_path, ["dog.jpg"], ["dog_1.png", "dog_2.png"])
    mask = np.zeros((8, 8), np.uint8)
    mask[1:7, 2:8] = 255
    cv2.imwrite(str(tmp_path / "masks" / "dog_1.png"), mask)
    cv2.imwrite(str(tmp_path / "masks" / "dog_2.png"), mask[:4])
    first, second = read_photos(tmp_path)
    assert first.name != second.name
    (row,) = score_samples(lambda composite, mask: composite, [first], preparation=Preparation(1, relit=True))
    expected = drawn_light("dog_1.png")
    assert row.share == 4 * 5 / 64  # the edge of the picture is no rim
    assert row.composite.fmse == pytest.approx(np.square(relight(first.load()[2], expected).astype(int) - 200).mean())
    with pytest.raises(InputError, match=r"dog_2\.png and dog\.jpg differ in size"):
        second.load()


def test_photographs_without_partners_are_named(tmp_path):
    make_photos(tmp_path, ["dog.jpg", "fox.jpg"], ["dog.png", "owl.png"])
    with pytest.raises(InputError, match=r"owl\.png.*fox\.jpg"):
        read_photos(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        read_photos(tmp_path / "photos")
