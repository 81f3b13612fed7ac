"""TIFF as cameras, scanners and scientific tools write it: deep samples, planes, alpha, compression."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from edge_harmony.errors import InputError
from edge_harmony.pictures.images import decode_picture
from tests.unit.pictures.test_images import smooth


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize(("mode", "premultiplied"), [("RGBA", False), ("RGBA", True), ("CMYK", False)])
def test_tiffs_that_pillow_decodes(mode, premultiplied, orientation):
    """Straight alpha stays straight, multiplied colours are divided, and each is turned once."""
    upright = np.zeros((40, 60, 4), np.uint8)
    upright[..., 3], upright[:20, :30, :3], upright[20:, 30:, 0] = 128, (100, 60, 20), 80
    turns = {1: 0, 3: 2, 6: 1}[orientation]
    stored = np.ascontiguousarray(np.rot90(upright, turns))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture = Image.fromarray(stored)
    picture = picture.convert("RGB").convert("CMYK") if mode == "CMYK" else picture
    picture.save(buffer, "TIFF", exif=exif)
    data = buffer.getvalue()
    if premultiplied:  # the tag ExtraSamples says so
        data = data.replace(struct.pack("<HHIHH", 338, 3, 1, 2, 0), struct.pack("<HHIHH", 338, 3, 1, 1, 0))
    pixels = decode_picture(data, "p.tif").pixels
    scale = 255 / 128 if premultiplied else 1
    assert pixels.shape[:2] == (40, 60)
    assert pixels.flags.writeable
    assert np.abs(pixels[..., :3] - upright[..., :3] * scale).max() < 3


def tiff(samples, *, big=False, order="<", apart=False, extra=None, photometric=2):
    """An uncompressed TIFF of samples ``(H, W, C)``, as tools of laboratories and printers write them."""
    height, width, channels = samples.shape
    planes = np.moveaxis(samples, 2, 0) if apart else samples
    body = planes.astype(planes.dtype.newbyteorder(order)).tobytes()
    short, long = ("H", "Q") if big else ("H", "I")
    head = 16 if big else 8
    bits = head + len(body)  # places of the lists behind the pixels
    places = bits + 2 * channels
    counts = places + struct.calcsize(long) * channels
    split = channels if apart else 1
    strip = len(body) // split
    lists = struct.pack(f"{order}{channels}{short}", *[8 * samples.itemsize] * channels)
    lists += struct.pack(f"{order}{split}{long}", *(head + strip * k for k in range(split)))
    lists += bytes(counts - bits - len(lists)) + struct.pack(f"{order}{split}{long}", *[strip] * split)
    kind = 16 if big else 4
    room = 8 if big else 4

    def entry(tag, of, values, where=None):
        packed = where is not None and struct.pack(f"{order}{long}", where)
        packed = packed or struct.pack(f"{order}{len(values)}{ {3: 'H', 4: 'I', 16: 'Q'}[of] }", *values)
        return struct.pack(f"{order}HH{long}", tag, of, len(values)) + packed.ljust(room, b"\0")

    fits = 2 * channels <= room  # a list that fits stands in its entry
    entries = [
        entry(256, 3, [width]),
        entry(257, 3, [height]),
        entry(258, 3, [8 * samples.itemsize] * channels, None if fits else bits),
        entry(259, 3, [1]),
        entry(262, 3, [photometric]),
        entry(273, kind, [head] * split, places if apart else None) if apart else entry(273, kind, [head]),
        entry(277, 3, [channels]),
        entry(278, 3, [height]),
        entry(279, kind, [strip] * split, counts) if apart else entry(279, kind, [strip]),
        entry(284, 3, [2 if apart else 1]),
        *([] if extra is None else [entry(338, 3, [extra])]),
        entry(339, 3, [3 if samples.dtype.kind == "f" else 1] * channels, None),
    ]
    if len(entries[-1]) > len(entries[0]):  # the list of formats does not fit: one for all channels
        entries[-1] = entry(339, 3, [3 if samples.dtype.kind == "f" else 1])
    start = head + len(body) + len(lists)
    sign = b"II" if order == "<" else b"MM"
    first = (
        struct.pack(f"{order}2sHHHQ", sign, 43, 8, 0, start) if big else struct.pack(f"{order}2sHI", sign, 42, start)
    )
    count = struct.pack(f"{order}{'Q' if big else 'H'}", len(entries))
    return first + body + lists + count + b"".join(entries) + bytes(room)


def deep(channels=3):
    pixels = smooth().astype(np.uint16) * 200
    return pixels if channels == 3 else np.dstack([pixels, np.full_like(pixels[..., :1], 32768)])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tiffs_of_16_bits_and_their_alpha(order, big):
    """OpenCV leaves colours of 16 bits as they are stored: multiplied ones are divided here."""
    whole = deep(4)
    opaque = np.ascontiguousarray(whole[..., :3])
    np.testing.assert_array_equal(decode_picture(tiff(opaque, order=order, big=big), "p.tif").pixels, opaque)
    np.testing.assert_array_equal(decode_picture(tiff(whole, order=order, big=big, extra=2), "p.tif").pixels, whole)
    multiplied = whole.copy()
    multiplied[..., :3] //= 2
    found = decode_picture(tiff(multiplied, order=order, big=big, extra=1), "p.tif").pixels
    assert np.abs(found.astype(int) - whole).max() <= 3


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_planes_of_a_channel_each(kind, order, big):
    """OpenCV makes noise of them above 8 bits, and says nothing."""
    eight = smooth()
    np.testing.assert_array_equal(decode_picture(tiff(eight, apart=True, order=order, big=big), "p").pixels, eight)
    samples = deep() if kind is np.uint16 else (eight / 255).astype(np.float32)
    with pytest.raises(InputError, match=r"each channel by itself, with (16|32) bits.*interleaved"):
        decode_picture(tiff(samples, apart=True, order=order, big=big), "p.tif")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_gray_with_0_for_white(kind):
    """OpenCV makes a negative of those above 8 bits, and says nothing."""
    gray = smooth(channels=1)[..., None].astype(kind) if kind is np.uint8 else deep()[..., :1].astype(kind)
    gray = gray / np.float32(65535) if kind is np.float32 else gray
    peak = 1 if kind is np.float32 else np.iinfo(kind).max
    found = decode_picture(tiff(peak - gray, photometric=0), "p.tif").pixels
    np.testing.assert_allclose(found, np.repeat(gray, 3, axis=2), atol=1e-6)


def test_alpha_of_deep_gray(caplog):
    """A PNG's transparent level of 16 bits becomes alpha; a TIFF's second channel is dropped with a line."""
    gray = deep()[..., 0]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in gray)
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in (
        (b"IHDR", struct.pack(">IIBBBBB", 60, 40, 16, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", gray[5, 5])),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        data += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    pixels = decode_picture(data, "p.png").pixels
    np.testing.assert_array_equal(pixels[..., 0], gray)
    np.testing.assert_array_equal(pixels[..., 3], np.where(gray == gray[5, 5], 0, 65535))
    assert not caplog.records
    decode_picture(tiff(np.dstack([gray, gray[::-1]]), extra=2, photometric=1), "p.tif")
    (record,) = caplog.records
    assert record.message == "p.tif is gray of 16 bits with transparency: read with 8 bits, without it"


def test_more_channels_than_colours_and_alpha():
    with pytest.raises(InputError, match="5 channels of 16 bits"):
        decode_picture(tiff(np.dstack([deep(), deep()[..., :2]])), "p.tif")


def test_half_precision_is_not_called_damaged():
    with pytest.raises(InputError, match="floating-point samples of 16 bits; save it with 32 bits"):
        decode_picture(tiff((smooth() / 255).astype(np.float16)), "p.tif")
    single = (smooth() / 255).astype(np.float32)
    np.testing.assert_array_equal(decode_picture(tiff(single), "p.tif").pixels, single)


@pytest.mark.parametrize("compression", ["zstd", "lzma", "tiff_lzw", "packbits"])
def test_tiffs_compressed_in_any_way(compression):
    """OpenCV does not know all of them; they are not damaged for that."""
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth()).save(out, "TIFF", compression=compression, exif=exif)
    assert decode_picture(out.getvalue(), "p.tif").pixels.shape == (60, 40, 3)
