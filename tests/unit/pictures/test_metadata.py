"""Metadata from format to format: what is kept, what agrees with the new pixels, what is named where it is lost."""

from __future__ import annotations

import io

import pytest
from PIL import Image, PngImagePlugin

from edge_harmony.pictures.encode import encode_picture
from edge_harmony.pictures.headers import jpeg_segments, png_chunks
from edge_harmony.pictures.images import Picture, decode_picture
from edge_harmony.pictures.metadata import XMP_NAME, _of_this_picture
from tests.unit.pictures.making import GAIN_MAP, SRGB, jpeg, padded, portrait, segment, with_segments
from tests.unit.pictures.test_images import smooth


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("kind", ["mpf", "gain map", "gain map first"])
def test_other_app2_segments_are_no_profile(suffix, kind):
    if kind == "mpf":
        buffer = io.BytesIO()
        second = Image.fromarray(smooth(20, 30))
        Image.fromarray(smooth()).save(buffer, "MPO", save_all=True, append_images=[second], icc_profile=SRGB)
        data = buffer.getvalue()
    else:
        data = jpeg(icc_profile=SRGB)
        place = 2 if kind == "gain map first" else jpeg_segments(data)[1] - 2
        data = (
            with_segments(data, (0xE2, GAIN_MAP))
            if place == 2
            else data.replace(b"\xff\xdb", segment(0xE2, GAIN_MAP) + b"\xff\xdb", 1)
        )
    picture = decode_picture(data, "p.jpg")
    assert picture.icc == SRGB
    assert picture.pixels.shape == (40, 60, 3)
    with Image.open(io.BytesIO(encode_picture(picture, suffix))) as made:
        assert made.info["icc_profile"] == SRGB


def test_parts_of_a_profile_in_any_order_and_any_length():
    profile = padded(SRGB, 150_000)
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        made = encode_picture(Picture(smooth(), icc=profile), suffix)
        assert decode_picture(made, suffix).icc == profile
        with Image.open(io.BytesIO(made)) as opened:
            assert opened.info["icc_profile"] == profile
    parts = [profile[start : start + 60_000] for start in range(0, len(profile), 60_000)]
    named = [(0xE2, b"ICC_PROFILE\0" + bytes((k + 1, len(parts))) + part) for k, part in enumerate(parts)]
    assert decode_picture(with_segments(jpeg(), *named[::-1]), "p.jpg").icc == profile
    assert decode_picture(with_segments(jpeg(), *named[1:]), "p.jpg").icc is None


@pytest.mark.parametrize(("suffix", "left_out"), [(".jpg", "EXIF, XMP"), (".bmp", "EXIF, ICC profile, XMP")])
def test_metadata_that_do_not_fit_are_dropped_with_one_line(suffix, left_out, caplog):
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    full = Picture(smooth(), exif=exif.tobytes()[6:], icc=SRGB, xmp=b"<x:xmpmeta/>" + b" " * 70_000)
    decode_picture(encode_picture(full, suffix), suffix)
    assert [record.message for record in caplog.records] == [f"{suffix} cannot hold the picture's {left_out}: left out"]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_agrees_with_what_is_written(suffix):
    """No preview of the old picture, sizes and orientation of the new one, the rest kept."""
    block, preview = portrait()
    picture = decode_picture(jpeg(exif=b"Exif\0\0" + block), "p.jpg")
    assert picture.turned == 6
    assert picture.pixels.shape == (60, 40, 3)
    made = encode_picture(picture, suffix)
    assert preview not in made
    with Image.open(io.BytesIO(made)) as opened:
        exif = opened.getexif()
        assert opened.size == (40, 60)
        assert exif.get(0x0112, 1) == 1
        assert exif[0x010F] == "Maker"
        assert not exif.get_ifd(1)
        inner, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert (inner[0xA002], inner[0xA003], inner[0x9003]) == (40, 60, "2026:01:02 03:04:05")
    assert place[1] == "N"
    assert [float(x) for x in place[2]] == [48, 8, 1.5]
    again = decode_picture(made, suffix)
    assert again.turned == 1
    assert again.exif is not None


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_xmp_iptc_and_resolution_go_from_format_to_format(source, suffix, caplog):
    iptc = b"\x1c\x02\x69\0\x05hello"
    full = Picture(smooth(), xmp=b"<x:xmpmeta>title</x:xmpmeta>", iptc=iptc, density=(300.0, 150.0))
    first = decode_picture(encode_picture(full, source), source)
    second = decode_picture(encode_picture(first, suffix), suffix)
    assert second.xmp == full.xmp
    if ".webp" in (source, suffix):
        assert "IPTC" in caplog.text
        return
    assert second.iptc == iptc
    assert second.density == pytest.approx(full.density, rel=1e-4)
    assert not caplog.records


def test_resolution_of_a_bitmap():
    made = encode_picture(Picture(smooth(), density=(300.0, 150.0)), ".bmp")
    assert decode_picture(made, ".bmp").density == pytest.approx((300, 150), rel=1e-3)


def test_texts_and_colours_of_a_png(caplog):
    """tEXt, zTXt, iTXt and cICP are kept in PNG, and named where they are lost."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a dog, steps: 20")
    texts.add_text("Title", "Hund", zip=True)
    texts.add_itxt("Author", "Jürgen")
    texts.add(b"cICP", bytes((12, 13, 0, 1)))
    buffer = io.BytesIO()
    Image.fromarray(smooth()).save(buffer, "PNG", pnginfo=texts)
    picture = decode_picture(buffer.getvalue(), "p.png")
    made = encode_picture(picture, ".png")
    assert (b"cICP", bytes((12, 13, 0, 1))) in png_chunks(made)[0]
    with Image.open(io.BytesIO(made)) as opened:
        opened.load()
        assert opened.text == {"parameters": "a dog, steps: 20", "Title": "Hund", "Author": "Jürgen"}
    assert not caplog.records
    encode_picture(picture, ".jpg")
    assert "(cICP; colours look wrong without it), PNG text: left out" in caplog.text


def test_xmp_says_nothing_of_what_results_have_not():
    xmp = b"""<rdf:Description tiff:Orientation="6" hdrgm:Version="1.0" GCamera:MotionPhoto="1" dc:title="a">
      <Container:Directory><rdf:Seq><rdf:li Item:Semantic="GainMap"/></rdf:Seq></Container:Directory>
    </rdf:Description>"""
    kept = decode_picture(with_segments(jpeg(), (0xE1, XMP_NAME + xmp)), "p.jpg").xmp
    assert b'tiff:Orientation="1"' in kept
    assert b'dc:title="a"' in kept
    for gone in (b"hdrgm", b"MotionPhoto", b"GainMap"):
        assert gone not in kept


@pytest.mark.parametrize("name", ["Container:Directory", "GContainer:Directory", "xmp:Thumbnails"])
def test_elements_without_an_end_are_searched_for_once(name):
    """A search to the end from each of a million beginnings would take days."""
    begin, end = f"<{name} ".encode(), f"</{name} >".encode()
    assert _of_this_picture(begin * 1_000_000) == begin * 1_000_000
    whole = b"<a/>" + begin + begin + b"x" + end + b"<b/>" + end + begin + end + b"<c/>" + begin
    assert _of_this_picture(whole) == b"<a/><b/>" + end + b"<c/>" + begin
    attributes = b' hdrgm:a="' * 1_000_001
    assert _of_this_picture(attributes) == b' hdrgm:a="'
