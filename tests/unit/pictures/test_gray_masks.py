"""Masks of one channel are read without looking for colours, which files of three channels are searched for."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_harmony.errors import InputError
from edge_harmony.pictures import images
from edge_harmony.pictures.images import decode_mask

WEIGHTS = (np.add.outer(np.arange(40), np.arange(60)) * 255 // 98).astype(np.uint8)
KINDS = {
    "PNG": (".png", WEIGHTS),
    "PNG of 16 bits": (".png", WEIGHTS.astype(np.uint16) * 257),
    "JPEG": (".jpg", WEIGHTS),
    "TIFF": (".tif", WEIGHTS),
    "TIFF of 16 bits": (".tif", WEIGHTS.astype(np.uint16) * 257),
    "BMP": (".bmp", WEIGHTS),
}


@pytest.fixture
def searched(monkeypatch):
    """The names of masks that were searched for colours."""
    names = []
    search = images.refuse_coloured
    monkeypatch.setattr(images, "refuse_coloured", lambda pixels, name: names.append(name) or search(pixels, name))
    return names


@pytest.mark.parametrize("kind", KINDS)
def test_gray_files_are_not_searched(kind, searched):
    suffix, levels = KINDS[kind]
    data = cv2.imencode(suffix, levels)[1].tobytes()
    weight = decode_mask(data, "gray")
    wanted = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert weight.dtype == levels.dtype
    np.testing.assert_array_equal(weight, wanted)
    assert searched == []


def test_a_file_of_one_bit_is_not_searched(searched):
    file = io.BytesIO()
    Image.fromarray(WEIGHTS > 100).save(file, "png")
    np.testing.assert_array_equal(decode_mask(file.getvalue(), "bits"), (WEIGHTS > 100) * np.uint8(255))
    assert searched == []


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_files_of_three_channels_are_searched(suffix, searched):
    gray = np.dstack([WEIGHTS] * 3)
    coloured = gray.copy()
    coloured[20, 30, 0] ^= 128
    weight = decode_mask(cv2.imencode(suffix, gray)[1].tobytes(), "gray")
    np.testing.assert_array_equal(weight, WEIGHTS)
    with pytest.raises(InputError, match="cannot be a mask"):
        decode_mask(cv2.imencode(suffix, coloured)[1].tobytes(), "coloured")
    assert searched == ["gray", "coloured"]
