"""Reading and writing: depth, alpha, orientation, profiles, and everything that is not a picture."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from edge_harmony.errors import InputError, UsageError
from edge_harmony.pictures.encode import write_picture
from edge_harmony.pictures.images import Picture, read_mask, read_picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RNG = np.random.default_rng(0)


def smooth(height=40, width=60, channels=3, peak=255, dtype=np.uint8):
    coarse = RNG.random((4, 6, channels), dtype=np.float32)
    return np.clip(cv2.resize(coarse, (width, height)) * peak, 0, peak).astype(dtype)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_round_trip(tmp_path, suffix, channels, dtype):
    pixels = smooth(channels=channels, peak=np.iinfo(dtype).max, dtype=dtype)
    path = tmp_path / f"a{suffix}"
    write_picture(path, Picture(pixels, icc=ICC))
    again = read_picture(path)
    assert again.pixels.dtype == dtype
    np.testing.assert_array_equal(again.pixels, pixels)
    assert again.icc == ICC
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_stay_close_and_keep_the_profile(tmp_path, suffix):
    pixels = smooth()
    write_picture(tmp_path / f"a{suffix}", Picture(pixels, icc=ICC))
    again = read_picture(tmp_path / f"a{suffix}")
    assert np.abs(again.pixels.astype(int) - pixels).mean() < 3
    assert again.icc == ICC


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright_and_keep_their_exif(tmp_path, kind, orientation):
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24], upright[:16, 24:], upright[16:, :24] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    inverse = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    stored = Image.fromarray(upright)
    if orientation > 1:
        method = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[inverse[orientation]]
        stored = stored.transpose(Image.Transpose(method))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    source, target = tmp_path / f"a.{kind.lower()}", tmp_path / f"b.{kind.lower()}"
    source = source.with_suffix({"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif"}[kind])
    target = target.with_suffix(source.suffix)
    stored.save(source, kind, exif=exif, **({"quality": 100, "subsampling": 0} if kind == "JPEG" else {}))
    picture = read_picture(source)
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels.astype(int) - upright).max() < 12
    write_picture(target, picture)
    with Image.open(target) as again:
        assert again.getexif().get(0x0112, 1) == 1
        assert again.size == (48, 32)
        if kind != "TIFF":
            assert again.getexif()[0x010F] == "Maker"


def test_gray_and_palette_pictures_become_rgb(tmp_path):
    Image.fromarray(smooth(channels=3)[..., 0]).save(tmp_path / "gray.png")
    Image.fromarray(smooth()).convert("P").save(tmp_path / "palette.png")
    for name in ("gray.png", "palette.png"):
        assert read_picture(tmp_path / name).pixels.shape == (40, 60, 3)


@pytest.mark.parametrize("form", ["gray", "rgb", "rgba", "alpha", "deep", "binary", "jpeg", "bilevel"])
def test_masks_in_every_form_people_save(tmp_path, form):
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:50] = 255
    path = tmp_path / ("m.jpg" if form == "jpeg" else "m.png")
    if form == "alpha":
        Image.fromarray(np.dstack([np.full((40, 60, 3), 7, np.uint8), mask])).save(path)
    elif form == "deep":
        cv2.imwrite(str(path), mask.astype(np.uint16) * 257)
    elif form == "binary":
        cv2.imwrite(str(path), mask // 255)
    elif form == "bilevel":
        Image.fromarray(mask).convert("1").save(path)
    else:
        mode = {"gray": "L", "rgb": "RGB", "rgba": "RGBA", "jpeg": "RGB"}[form]
        Image.fromarray(mask).convert(mode).save(path)
    result = read_mask(path)
    assert result.dtype == np.float32
    assert np.abs(result - mask / 255).max() < (0.2 if form == "jpeg" else 1e-6)


def test_coloured_masks_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "m.png"), smooth())
    with pytest.raises(InputError, match="coloured"):
        read_mask(tmp_path / "m.png")


def png_header(width, height):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def encoded(kind="JPEG"):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (100, 150, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


BROKEN = {
    "empty": (b"", "empty"),
    "text": (b"this is not a picture", "not a picture"),
    "cut jpeg": (encoded()[:-40], "truncated"),
    "half jpeg": (encoded()[: len(encoded()) // 2], "truncated"),
    "cut png": (encoded("PNG")[:-30], "truncated|not a picture|damaged"),
    "cut webp": (encoded("WEBP")[:-200], "damaged|not a picture|decoded"),
    "cut tiff": (encoded("TIFF")[:1000], "damaged|not a picture|decoded"),
    "huge": (png_header(60000, 60000), "too large"),
    "large": (png_header(20000, 20000), "too large"),
    "flipped bit": (
        encoded("PNG")[:500] + bytes([encoded("PNG")[500] ^ 1]) + encoded("PNG")[501:],
        "damaged|not a picture",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_are_no_pictures(tmp_path, capfd, name):
    data, message = BROKEN[name]
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_picture(path)
    assert capfd.readouterr().err == ""  # the libraries below keep quiet: the error is one line


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        read_picture(tmp_path / "absent.png")
    with pytest.raises(UsageError, match="folder"):
        read_picture(tmp_path)


def test_float_pictures_must_be_in_range(tmp_path):
    good, bad = tmp_path / "good.tif", tmp_path / "bad.tif"
    values = RNG.random((8, 8, 3), dtype=np.float32)
    cv2.imwrite(str(good), values)
    cv2.imwrite(str(bad), values * 3)
    np.testing.assert_allclose(read_picture(good).pixels, values[..., ::-1], atol=1e-6)
    with pytest.raises(InputError, match="float values"):
        read_picture(bad)


def test_a_damaged_exif_block_is_no_reason_to_refuse(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth()).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_picture(path).pixels.shape == (40, 60, 3)


def test_the_limit_can_be_set(tmp_path, monkeypatch):
    Image.fromarray(smooth()).save(tmp_path / "a.png")
    monkeypatch.setenv("EDGE_HARMONY_MAX_PIXELS", "2000")
    with pytest.raises(InputError, match="limit is 2,000"):
        read_picture(tmp_path / "a.png")
    monkeypatch.setenv("EDGE_HARMONY_MAX_PIXELS", "many")
    with pytest.raises(UsageError, match="number of pixels"):
        read_picture(tmp_path / "a.png")


def test_a_tiff_under_another_name_is_turned_once(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth(40, 60)).save(tmp_path / "a.tif", exif=exif)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.tif").read_bytes())
    named, renamed = read_picture(tmp_path / "a.tif").pixels, read_picture(tmp_path / "a.jpg").pixels
    assert named.shape == (60, 40, 3)
    np.testing.assert_array_equal(renamed, named)
