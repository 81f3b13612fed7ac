"""``harmonize``: pictures and folders, the table of wrong inputs, what lies beside the composite."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_harmony.backends.discovery import get_backend
from edge_harmony.files import manifest
from edge_harmony.folder.run import FAILED, RECORD
from tests.unit.cli.making import COMPOSITE, MASK, run, run_json
from tests.unit.pictures.test_images import BROKEN, ICC


@pytest.fixture
def folder(tmp_path):
    """Files right and wrong, and nothing else that a failing call could leave its output in."""
    work = tmp_path / "in"
    work.mkdir()
    for name, (data, _) in BROKEN.items():
        (work / name.replace(" ", "_")).with_suffix(".png").write_bytes(data)
    picture = cv2.imread(str(COMPOSITE))
    mask = cv2.imread(str(MASK), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(work / "small_mask.png"), mask[::2, ::2])
    cv2.imwrite(str(work / "coloured.png"), picture)
    cv2.imwrite(str(work / "good.png"), picture)
    cv2.imwrite(str(work / "good_mask.png"), mask)
    cv2.imwrite(str(work / "empty_mask.png"), mask * 0)
    cv2.imwrite(str(work / "rgb_mask.png"), cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR))
    cv2.imwrite(str(work / "rgba_mask.png"), cv2.cvtColor(mask, cv2.COLOR_GRAY2BGRA))
    (work / "blocked").write_text("a file where a folder would have to be")
    (tmp_path / "out").mkdir()
    return work


WRONG = {
    "missing composite": ("absent.png", "good_mask.png", "out/a.png", 2, "does not exist"),
    "missing mask": ("good.png", "absent.png", "out/a.png", 2, "does not exist"),
    "text named png": ("text.png", "good_mask.png", "out/a.png", 1, "not a picture"),
    "truncated jpeg": ("cut_jpeg.png", "good_mask.png", "out/a.png", 1, "truncated"),
    "half jpeg": ("half_jpeg.png", "good_mask.png", "out/a.png", 1, "truncated"),
    "empty file": ("empty.png", "good_mask.png", "out/a.png", 1, "is empty"),
    "empty mask file": ("good.png", "empty.png", "out/a.png", 1, "is empty"),
    "mask of another size": ("good.png", "small_mask.png", "out/a.png", 1, "--fit-mask"),
    "coloured mask": ("good.png", "coloured.png", "out/a.png", 1, "coloured"),
    "60000 x 60000 header": ("huge.png", "good_mask.png", "out/a.png", 1, "too large"),
    "folder as mask": ("good.png", ".", "out/a.png", 2, "folder"),
    "file as mask folder": (".", "good_mask.png", "out", 2, "give a folder of masks"),
    "folder as output": ("good.png", "good_mask.png", "out", 2, "out"),
    "folder with a suffix as output": ("good.png", "good_mask.png", "out.png", 2, "is a folder"),
    "output below a file": ("good.png", "good_mask.png", "in/blocked/a.png", 2, "is no folder"),
    "output folder missing": ("good.png", "good_mask.png", "absent/a.png", 2, "does not exist"),
    "output folder not writable": ("good.png", "good_mask.png", "/proc/a.png", 2, "cannot"),
    "preview of a folder": (".", ".", "out", 2, "one picture", "--before-after", "x.png"),
    "mask with an impossible name": ("good.png", "x" * 300 + ".png", "out/a.png", 2, "cannot be read"),
    "output with an impossible name": ("good.png", "good_mask.png", "out/" + "x" * 252 + ".png", 2, "too long"),
    "unknown suffix": ("good.png", "good_mask.png", "out/a.gif", 2, "suffix"),
    "unknown model": ("good.png", "good_mask.png", "out/a.png", 2, "did you mean", "--model", "edge_s"),
    "unknown backend": ("good.png", "good_mask.png", "out/a.png", 2, "no backend", "--backend", "warp"),
    "unknown precision": ("good.png", "good_mask.png", "out/a.png", 3, "int4", "--precision", "int4"),
    "missing artifact": ("good.png", "good_mask.png", "out/a.png", 2, "no artifact", "--artifact", "x.onnx"),
    "wrong option": ("good.png", "good_mask.png", "out/a.png", 2, "--wrong", "--wrong"),
    "strength beyond 1.5": ("good.png", "good_mask.png", "out/a.png", 2, "--strength", "--strength", "1.6"),
    "strength below 0": ("good.png", "good_mask.png", "out/a.png", 2, "--strength", "--strength", "-1"),
    "no strength": ("good.png", "good_mask.png", "out/a.png", 2, "--strength", "--strength", "nan"),
    "endless strength of a folder": ("in", "in", "out", 2, "--strength", "--strength", "inf"),
    "threads below 0": ("good.png", "good_mask.png", "out/a.png", 2, "threads", "--threads", "-1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_line_and_leaves_nothing(capsys, folder, name):
    composite, mask, output, expected, message, *options = WRONG[name]
    root = folder.parent
    (root / "out.png").mkdir()
    before = sorted(str(p) for p in root.rglob("*"))
    target = root / output if not output.startswith("/") else output
    status, out, err = run(capsys, "harmonize", folder / composite, folder / mask, "-o", target, *options)
    assert status == expected
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert sorted(str(p) for p in root.rglob("*")) == before


def test_strength(capsys, tmp_path):
    made, before = {}, cv2.imread(str(COMPOSITE)).astype(float)
    for strength in (0, 0.5, 1):
        run_json(capsys, "harmonize", COMPOSITE, MASK, "-o", tmp_path / f"{strength}.png", "--strength", strength)
        made[strength] = cv2.imread(str(tmp_path / f"{strength}.png")).astype(float)
    np.testing.assert_array_equal(made[0], before)
    unclipped = (made[1] > 0) & (made[1] < 255)
    assert np.abs(made[0.5] - (before + made[1]) / 2)[unclipped].max() <= 1
    assert np.abs(made[0.5] - before).max() > 4


def test_one_picture(capsys, tmp_path):
    both = tmp_path / "both.png"
    result = run_json(capsys, "harmonize", COMPOSITE, MASK, "-o", tmp_path / "a.png", "--before-after", both)
    assert result["model"] == "edge-s"
    assert result["precision"] == "int8"
    ours, before = cv2.imread(str(tmp_path / "a.png")), cv2.imread(str(COMPOSITE))
    mask = cv2.imread(str(MASK), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(ours[mask == 0], before[mask == 0])
    assert np.abs(ours[mask > 0].astype(int) - before[mask > 0]).mean() > 0.5
    sheet = cv2.imread(str(both))
    width = before.shape[1]
    assert sheet.shape == (before.shape[0], 3 * width + 16, 3)
    np.testing.assert_array_equal(sheet[:, :width], before)
    np.testing.assert_array_equal(sheet[:, -width:], ours)


@pytest.mark.parametrize("mask", ["rgb_mask.png", "rgba_mask.png"])
def test_gray_masks_in_other_forms_do_the_same(capsys, folder, mask):
    out = folder.parent / "out"
    assert run(capsys, "harmonize", folder / "good.png", folder / "good_mask.png", "-o", out / "a.png")[0] == 0
    assert run(capsys, "harmonize", folder / "good.png", folder / mask, "-o", out / "b.png")[0] == 0
    np.testing.assert_array_equal(cv2.imread(str(out / "a.png")), cv2.imread(str(out / "b.png")))


def test_an_empty_mask_warns_and_returns_the_picture(capsys, folder):
    target = folder.parent / "out" / "a.png"
    status, _, err = run(capsys, "harmonize", folder / "good.png", folder / "empty_mask.png", "-o", target)
    assert status == 0
    assert "mask is empty" in err
    np.testing.assert_array_equal(cv2.imread(str(target)), cv2.imread(str(folder / "good.png")))


def test_fitting_a_mask(capsys, folder):
    target = folder.parent / "out" / "a.png"
    status, _, _ = run(capsys, "harmonize", folder / "good.png", folder / "small_mask.png", "-o", target, "--fit-mask")
    assert status == 0
    assert target.is_file()


def test_depth_alpha_orientation_and_profile_are_kept(capsys, tmp_path):
    picture, mask = cv2.imread(str(COMPOSITE)), cv2.imread(str(MASK), cv2.IMREAD_GRAYSCALE)
    deep = np.dstack([picture.astype(np.uint16) * 257, np.full(mask.shape, 40000, np.uint16)])
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert run(capsys, "harmonize", tmp_path / "deep.png", MASK, "-o", tmp_path / "a.png")[0] == 0
    result = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert result.dtype == np.uint16
    assert (result[..., 3] == 40000).all()
    np.testing.assert_array_equal(result[mask == 0], deep[mask == 0])
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = Image.open(COMPOSITE).transpose(Image.Transpose.ROTATE_90)
    rotated.save(tmp_path / "phone.jpg", exif=exif, icc_profile=ICC, quality=95)
    assert run(capsys, "harmonize", tmp_path / "phone.jpg", MASK, "-o", tmp_path / "b.jpg")[0] == 0
    with Image.open(tmp_path / "b.jpg") as upright:
        assert upright.size == (picture.shape[1], picture.shape[0])
        assert upright.getexif()[0x0112] == 1
        assert upright.info["icc_profile"] == ICC


def test_a_folder_goes_on_after_a_bad_file(capsys, folder, tmp_path):
    pictures, masks, out = tmp_path / "pictures", tmp_path / "masks", tmp_path / "results"
    pictures.mkdir()
    masks.mkdir()
    for name in ("a.jpg", "b_1_3.jpg", "c.jpg", "d.jpg"):
        shutil.copy(COMPOSITE, pictures / name)
    for name in ("a.png", "b_1.png", "c_mask.png"):
        shutil.copy(MASK, masks / name)
    (pictures / "c.jpg").write_bytes((pictures / "c.jpg").read_bytes()[:3000])
    (pictures / "notes.txt").write_text("no picture")
    status, text, err = run(capsys, "harmonize", pictures, masks, "-o", out, "--json")
    result = json.loads(text)
    assert status == 1
    assert result["done"] == 2
    assert [Path(f["file"]).name for f in result["failed"]] == ["c.jpg", "d.jpg"]
    assert {p.name for p in out.iterdir()} == {"a.jpg", "b_1_3.jpg", RECORD, FAILED}
    assert json.loads((out / FAILED).read_text()) == result["failed"]
    assert "truncated" in err
    assert "error: d.jpg: there is no mask for" in err
    status, _, err = run(capsys, "harmonize", pictures, masks, "-o", pictures)
    assert status == 2
    assert "is an input, which would be overwritten" in err
    (tmp_path / "none").mkdir()
    assert run(capsys, "harmonize", tmp_path / "none", masks, "-o", out)[0] == 2
    assert run(capsys, "harmonize", pictures, tmp_path / "absent", "-o", out)[0] == 2


def test_a_foreground_on_a_background(capsys, tmp_path):
    size = cv2.imread(str(COMPOSITE)).shape
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros(size, np.uint8))
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((20, 20, 3), np.uint8))
    call = ("harmonize", COMPOSITE, MASK, "-o", tmp_path / "o.png", "--background")
    run_json(capsys, *call, tmp_path / "black.png")
    result, mask = cv2.imread(str(tmp_path / "o.png")), cv2.imread(str(MASK), cv2.IMREAD_GRAYSCALE)
    assert result[mask == 0].max() == 0
    assert result[mask == 255].mean() > 10
    status, _, err = run(capsys, *call, tmp_path / "small.png")
    assert (status, "none of the foreground is on the background" in err) == (1, True)
    run_json(capsys, *call, tmp_path / "small.png", "--scale", "0.03")
    assert cv2.imread(str(tmp_path / "o.png")).shape == (20, 20, 3)
    placed = ("--scale", "0.5", "--position", "0,0", "--anchor", "top-left")
    run_json(capsys, *call, tmp_path / "black.png", *placed)
    small = cv2.imread(str(tmp_path / "o.png"))
    assert small.shape == size
    assert small[size[0] // 2 + 1 :].max() == 0
    assert small[: size[0] // 2, : size[1] // 2].max() > 10
    for wrong in ("--position=3", "--position=a,b", "--scale=0", "--anchor=middle"):
        assert run(capsys, *call, tmp_path / "black.png", wrong)[0] == 2
    status, _, err = run(capsys, *call[:-1], "--scale", "2")
    assert (status, "--background" in err) == (2, True)
    status, _, err = run(capsys, "harmonize", tmp_path, tmp_path, "-o", tmp_path / "out", "--anchor", "top")
    assert (status, "for one picture" in err) == (2, True)
    status, _, err = run(capsys, "harmonize", tmp_path, tmp_path, "-o", tmp_path / "out", "--background", "x.png")
    assert status == 2
    assert "--background" in err


def test_a_cut_out_needs_no_mask(capsys, tmp_path):
    mask = cv2.imread(str(MASK), cv2.IMREAD_GRAYSCALE)
    pixels = np.dstack([cv2.imread(str(COMPOSITE)), mask])
    cv2.imwrite(str(tmp_path / "cutout.png"), pixels)
    cv2.imwrite(str(tmp_path / "street.png"), pixels[..., :3])
    arguments = "harmonize", tmp_path / "cutout.png", "-o", tmp_path / "out.png"
    assert run(capsys, *arguments, "--background", tmp_path / "street.png")[0] == 0
    made = cv2.imread(str(tmp_path / "out.png"))
    np.testing.assert_array_equal(made[mask == 0], pixels[..., :3][mask == 0])
    assert not np.array_equal(made, pixels[..., :3])
    status, _, err = run(capsys, *arguments)
    assert (status, "--background" in err) == (2, True)
    status, _, err = run(capsys, "harmonize", tmp_path, "-o", tmp_path / "out")
    assert (status, "folder of masks" in err) == (2, True)


def test_a_class_id_is_picked(capsys, tmp_path):
    mask = cv2.imread(str(MASK), cv2.IMREAD_GRAYSCALE)
    ids = np.where(mask > 127, 15, 0).astype(np.uint8)
    ids[:3] = 2
    cv2.imwrite(str(tmp_path / "ids.png"), ids)
    cv2.imwrite(str(tmp_path / "binary.png"), np.where(mask > 127, 255, 0).astype(np.uint8) * (ids != 2))
    arguments = "harmonize", COMPOSITE, tmp_path / "ids.png", "-o", tmp_path / "out.png"
    status, _, err = run(capsys, *arguments)
    assert (status, "--mask-value" in err) == (1, True)
    assert run(capsys, *arguments, "--mask-value", 15)[0] == 0
    assert run(capsys, "harmonize", COMPOSITE, tmp_path / "binary.png", "-o", tmp_path / "wanted.png")[0] == 0
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out.png")), cv2.imread(str(tmp_path / "wanted.png")))


def test_a_folder_into_a_video_file_is_a_video(capsys, tmp_path):
    pytest.importorskip("av")
    for folder in ("frames", "masks"):
        (tmp_path / folder).mkdir()
    pixels, mask = cv2.imread(str(COMPOSITE))[:96, :128], np.zeros((96, 128), np.uint8)
    mask[20:60, 30:90] = 1
    for number in (1, 2, 10):
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), pixels)
        cv2.imwrite(str(tmp_path / "masks" / f"{number}.png"), mask)
    made = tmp_path / "out.mp4"
    found = run_json(capsys, "harmonize", tmp_path / "frames", tmp_path / "masks", "-o", made)
    assert found["frames"] == 3
    assert made.is_file()
    status, _, err = run(capsys, "harmonize", tmp_path / "frames", tmp_path / "masks", "-o", tmp_path / "out.png")
    assert (status, "not of a folder" in err) == (2, True)
    assert not (tmp_path / "out.png").exists()


def test_damage_that_a_decoder_passes_over_is_one_line(tmp_path):
    """libjpeg goes on after damage, and says so on stderr by itself."""
    whole = cv2.imencode(".jpg", cv2.imread(str(COMPOSITE)))[1].tobytes()
    (tmp_path / "p.jpg").write_bytes(whole.replace(b"\xff\xdb", b"eight by\xff\xdb", 1))
    call = [sys.executable, "-m", "edge_harmony", "harmonize", tmp_path / "p.jpg", MASK, "-o", tmp_path / "o.png"]
    done = subprocess.run([*call, "--model", "edge-n"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    warning, written = done.stderr.splitlines()
    assert "p.jpg may be damaged" in warning
    assert written.startswith("wrote ")


def test_without_o_the_result_lies_beside_the_composite(capsys, tmp_path):
    shutil.copy(COMPOSITE, tmp_path / "dog.jpg")
    call = ("harmonize", tmp_path / "dog.jpg", MASK)
    status, out, err = run(capsys, *call)
    assert (status, out) == (0, "")
    made = tmp_path / "dog_harmonized.jpg"
    assert err.startswith(f"wrote {made}: ")
    first = made.read_bytes()
    status, _, err = run(capsys, *call, "--strength", "0.5")
    assert (status, "--overwrite" in err) == (2, True)
    assert made.read_bytes() == first
    assert run(capsys, *call, "--strength", "0.5", "--overwrite")[0] == 0
    assert made.read_bytes() != first
    assert run_json(capsys, *call, "--overwrite")["output"] == str(made)
    status, _, err = run(capsys, "harmonize", tmp_path / "dog.jpg", made, "--overwrite")  # the mask has that name
    assert (status, "would be overwritten" in err) == (2, True)
    assert {path.name for path in tmp_path.iterdir()} == {"dog.jpg", "dog_harmonized.jpg"}
    long = shutil.copy(COMPOSITE, tmp_path / ("d" * 250 + ".jpg"))
    status, _, err = run(capsys, "harmonize", long, MASK)
    assert (status, "too long; choose a shorter one with -o" in err) == (2, True)


def test_a_suffix_that_is_not_written_becomes_png(capsys, tmp_path):
    from PIL import Image

    Image.open(COMPOSITE).save(tmp_path / "dog.gif")
    assert run(capsys, "harmonize", tmp_path / "dog.gif", MASK)[0] == 0
    assert (tmp_path / "dog_harmonized.png").is_file()


@pytest.mark.parametrize("composite", [".", "camera:0", "s3://bucket/composites"])
def test_what_has_no_file_beside_it_needs_o(capsys, tmp_path, monkeypatch, composite):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, "harmonize", composite, composite)
    assert (status, "name it with -o" in err) == (2, True)


def test_an_artifact_is_read_and_hashed_once(capsys, tmp_path, monkeypatch):
    artifact, hashed, sha256_of = get_backend("onnxruntime").shipped("edge-n", "int8"), [], manifest.sha256_of
    monkeypatch.setattr(manifest, "sha256_of", lambda path: hashed.append(path) or sha256_of(path))
    made = run_json(capsys, "harmonize", COMPOSITE, MASK, "-o", tmp_path / "o.png", "--artifact", artifact)
    assert (made["model"], made["precision"]) == ("edge-n", "int8")
    assert hashed == [artifact]
