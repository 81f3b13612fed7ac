"""HEIC and AVIF, in and out: depth, alpha, which way up, colours, what is left alone, what is missing or damaged."""

import io
import struct
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_harmony.errors import CapabilityError, InputError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures import heif
from edge_harmony.pictures.encode import check_holds, check_writable, encode_picture
from edge_harmony.pictures.headers import png_chunks
from edge_harmony.pictures.heif_boxes import heif_kind, main_picture
from edge_harmony.pictures.images import Picture, decode_mask, decode_picture, match_mask, read_picture
from edge_harmony.pictures.orientation import upright
from tests.unit.pictures.test_images import ICC, smooth
from tests.unit.pipeline.test_harmonize import FakeRunner

KINDS = (".heic", ".avif")
XMP = b"<x:xmpmeta>title</x:xmpmeta>"


def needs(suffix):
    if suffix == ".avif":
        if not heif._writes_avif():
            pytest.skip("this Pillow does not write AVIF")
    else:
        pytest.importorskip("pillow_heif")


def exif_of(description):
    exif = Image.Exif()
    exif[0x010E] = description
    return exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("channels", [3, 4])
def test_there_and_back(suffix, channels, caplog):
    needs(suffix)
    pixels = smooth(channels=channels)
    full = Picture(pixels, exif=exif_of("a dog"), icc=ICC, xmp=XMP)
    made = encode_picture(full, suffix)
    again = decode_picture(made, f"p{suffix}")
    assert again.pixels.shape == pixels.shape
    assert np.abs(again.pixels.astype(int) - pixels).mean() < 3
    assert (again.icc, again.xmp, again.turned) == (ICC, XMP, 1)
    with Image.open(io.BytesIO(encode_picture(again, ".jpg"))) as opened:
        assert opened.getexif()[0x010E] == "a dog"
    assert len(caplog.records) == (channels == 4)  # JPEG has no alpha


def test_ten_bits_stay_ten_bits(caplog):
    """HEIC as cameras write it (.HIF)."""
    needs(".heic")
    levels = np.rint(smooth(peak=1023, dtype=np.uint16)).astype(np.uint16)
    pixels = np.rint(levels * (65535 / 1023)).astype(np.uint16)
    made = encode_picture(Picture(pixels), ".HIF")
    assert main_picture(made).bits == 10
    again = decode_picture(made, "p.hif").pixels
    assert again.dtype == np.uint16
    assert np.abs(again.astype(int) - pixels).mean() < 65535 / 255
    assert not caplog.records
    encode_picture(Picture(pixels + 7), ".heic")
    assert "10 bits" in caplog.text


def test_deep_avif_is_read(caplog):
    pixels = smooth(peak=1023, dtype=np.uint16)
    done, data = cv2.imencode(".avif", pixels, [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 100])
    assert done
    found = decode_picture(data.tobytes(), "p.avif").pixels
    assert found.dtype == np.uint16
    assert np.abs(found[..., ::-1] / 65535 - pixels / 1023).mean() < 0.01
    encode_picture(Picture(found), ".avif")
    assert "8 bits" in caplog.text


def turned_file(suffix, pixels, orientation):
    """With the properties ``irot`` and ``imir`` that an encoder makes of an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    if suffix == ".avif":
        Image.fromarray(pixels).save(out, "AVIF", quality=95, subsampling="4:4:4", exif=exif)
    else:
        module = pytest.importorskip("pillow_heif")
        file = module.from_bytes("RGB", pixels.shape[1::-1], pixels.tobytes())
        file.save(out, quality=95, chroma="444", exif=exif.tobytes())
    return out.getvalue()


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright(suffix, orientation):
    needs(suffix)
    stored = np.zeros((64, 96, 3), np.uint8)
    stored[:32, :48], stored[:32, 48:], stored[32:, :48] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    data = turned_file(suffix, stored, orientation)
    picture = decode_picture(data, f"p{suffix}")
    wanted = upright(stored, orientation)
    assert picture.pixels.shape == wanted.shape
    assert np.abs(picture.pixels.astype(int) - wanted).mean() < 6
    assert picture.turned == orientation
    mask = match_mask((stored[..., 0] > 0).astype(np.float32), picture, "m.png") if orientation > 4 else None
    assert mask is None or np.array_equal(mask, wanted[..., 0] > 0)
    again = decode_picture(encode_picture(picture, ".jpg"), "p.jpg")
    assert again.pixels.shape == wanted.shape
    assert again.turned == 1


@pytest.mark.parametrize("target", [".png", ".heic"])
def test_colours_that_boxes_tell_are_kept_or_named(target, caplog):
    """``nclx`` of Display P3 without a profile is the ``cICP`` of a PNG."""
    needs(".heic")
    wide = Picture(smooth(), colour=((b"cICP", bytes((12, 13, 0, 1))),))
    picture = decode_picture(encode_picture(wide, ".heic"), "p.heic")
    assert picture.colour == wide.colour
    made = encode_picture(picture, target)
    if target == ".png":
        assert wide.colour[0] in png_chunks(made)[0]
    else:
        assert main_picture(made).colour == (12, 13)
    assert not caplog.records
    encode_picture(picture, ".jpg")
    assert "cICP" in caplog.text


@pytest.mark.parametrize("suffix", KINDS)
def test_masks_and_gray(suffix):
    needs(suffix)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:50] = 255
    data = encode_picture(Picture(np.dstack([mask] * 3)), suffix)
    assert np.abs(decode_mask(data, f"m{suffix}") - mask.astype(float)).max() < 51
    if suffix == ".avif":
        out = io.BytesIO()
        Image.fromarray(mask).save(out, "AVIF", quality=95)
        assert np.abs(decode_mask(out.getvalue(), "m.avif") - mask.astype(float)).max() < 51


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_is_harmonized(suffix, tmp_path):
    needs(suffix)
    pixels = smooth()
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:50] = 255
    names = [tmp_path / f"{name}{suffix}" for name in ("c", "b", "o")]
    for name in names[:2]:
        name.write_bytes(encode_picture(Picture(pixels), suffix))
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    with Harmonizer(FakeRunner(value=0.1)) as harmonizer:
        harmonizer.harmonize_file(names[0], tmp_path / "m.png", names[2], background=names[1])
    change = read_picture(names[2]).pixels.astype(int) - read_picture(names[0]).pixels
    assert change[12:28, 22:48].mean() > 15
    assert abs(change[:, :18].mean()) < 2


def test_auxiliary_pictures_are_left_alone():
    """A second picture in the file, and a preview."""
    module = pytest.importorskip("pillow_heif")
    pixels = smooth(64, 96)
    file = module.from_bytes("RGB", (96, 64), pixels.tobytes())
    file.add_frombytes("RGB", (32, 16), smooth(16, 32).tobytes())
    file[0].info["thumbnails"] = [32]
    out = io.BytesIO()
    file.save(out, quality=95, primary_index=0)
    assert decode_picture(out.getvalue(), "p.heic").pixels.shape == (64, 96, 3)


@pytest.mark.parametrize("suffix", KINDS)
def test_the_limit_of_pixels_comes_before_decoding(suffix, monkeypatch):
    needs(suffix)
    data = encode_picture(Picture(smooth()), suffix)
    monkeypatch.setenv("EDGE_HARMONY_MAX_PIXELS", "2399")
    monkeypatch.setattr(heif.HeifFile, "pixels", None)
    with pytest.raises(InputError, match="60 x 40 pixels, the limit is 2,399"):
        decode_picture(data, "p")


@pytest.mark.parametrize("suffix", KINDS)
def test_damaged_files_are_refused(suffix):
    needs(suffix)
    data = encode_picture(Picture(smooth(), exif=exif_of("a"), icc=ICC), suffix)
    for cut in (40, len(data) // 2, len(data) - 3):
        with pytest.raises(InputError, match="truncated or damaged"):
            decode_picture(data[:cut], "p")
    rng = np.random.default_rng(1)
    for _ in range(60):
        made = bytearray(data)
        for at in rng.integers(12, len(data), 4):
            made[at] = rng.integers(0, 256)
        try:
            picture = decode_picture(bytes(made), "p")
        except InputError:
            continue
        assert picture.pixels.ndim == 3


def brand(name):
    return struct.pack(">I4s4sI4s", 20, b"ftyp", name, 0, name)


@pytest.mark.parametrize("name", [b"heic", b"heix", b"mif1", b"hevc"])
def test_without_the_package_the_line_says_how(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = brand(name)
    with pytest.raises(CapabilityError, match=r"p.heic is HEIC.*pip install .*\[heif\]'"):
        decode_picture(data, "p.heic")
    with pytest.raises(CapabilityError, match=r"pip install .*\[heif\]'"):
        check_holds(".HEIC", (60, 40))


def test_without_a_codec_the_line_says_how(monkeypatch, tmp_path):
    monkeypatch.setattr(heif.features, "check", lambda name: False)
    heif._writes_avif.cache_clear()
    try:
        with pytest.raises(CapabilityError, match=r"Pillow from 11.3 on.*\[heif\]"):
            decode_picture(brand(b"avif"), "p.avif")
        with pytest.raises(CapabilityError, match="written"):
            check_writable(tmp_path / "o.avif")
    finally:
        heif._writes_avif.cache_clear()


def test_a_sequence_without_a_still_is_named():
    with pytest.raises(InputError, match="sequence"):
        decode_picture(brand(b"hevc") + struct.pack(">I4s", 8, b"moov"), "p.heic")


def test_kinds_are_told_by_brands():
    assert heif_kind(struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mif1", 0, b"mif1", b"avif")) == "AVIF"
    assert heif_kind(struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mif1", 0, b"mif1", b"heic")) == "HEIC"
    assert heif_kind(struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"mp42")) is None
    assert heif_kind(b"\x89PNG\r\n\x1a\n") is None
