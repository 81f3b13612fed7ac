"""Pictures as programs have them, and results in their form."""

import numpy as np
import pytest
from PIL import Image

from edge_harmony.errors import InputError, UsageError
from edge_harmony.pictures.images import read_mask, read_picture
from edge_harmony.pictures.inputs import as_composite, as_mask
from edge_harmony.samples import sample_files

RNG = np.random.default_rng(28)
PIXELS = RNG.integers(0, 256, (12, 16, 3), np.uint8)
MASK = RNG.integers(0, 2, (12, 16), np.uint8) * np.uint8(255)


def test_arrays_stay_as_they_are():
    array, back = as_composite(PIXELS)
    assert array is PIXELS
    assert back(PIXELS) is PIXELS
    assert as_mask(MASK) is MASK


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK"])
def test_images_come_back_as_images(mode):
    image = Image.fromarray(PIXELS).convert(mode)
    array, back = as_composite(image)
    assert array.shape == (12, 16, 4 if mode.endswith("A") else 3)
    np.testing.assert_array_equal(array, np.asarray(image.convert("RGBA" if mode.endswith("A") else "RGB")))
    assert array.flags.writeable
    assert isinstance(back(array), Image.Image)
    np.testing.assert_array_equal(np.asarray(back(array)), array)


def test_a_palette_with_transparency_keeps_it():
    image = Image.fromarray(PIXELS).convert("P")
    image.info["transparency"] = 0
    assert as_composite(image)[0].shape == (12, 16, 4)


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_images_of_more_than_eight_bits_are_not_cut_off(mode):
    with pytest.raises(InputError, match=f"of the mode {mode}"):
        as_composite(Image.new(mode, (16, 12)))


def test_masks_are_images_of_any_mode():
    np.testing.assert_array_equal(as_mask(Image.fromarray(MASK)), MASK)
    np.testing.assert_array_equal(as_mask(Image.fromarray(MASK).convert("RGB")), MASK)
    np.testing.assert_array_equal(as_mask(Image.fromarray(MASK).convert("1")), MASK > 0)
    deep = as_mask(Image.fromarray(MASK.astype(np.uint16) * 257))
    assert deep.dtype == np.uint16
    assert deep.max() == 65535


def test_paths_are_read():
    composite, mask = next(iter(sample_files()))
    for kind in (str, lambda path: path):
        np.testing.assert_array_equal(as_composite(kind(composite))[0], read_picture(composite).pixels)
        np.testing.assert_array_equal(as_mask(kind(mask)), read_mask(mask))
    with pytest.raises(UsageError, match=r"none\.png"):
        as_composite("none.png")


def test_tensors_with_channels_first_or_last_come_back_in_their_order():
    torch = pytest.importorskip("torch")
    for tensor in (torch.from_numpy(PIXELS), torch.from_numpy(PIXELS).permute(2, 0, 1)):
        array, back = as_composite(tensor)
        np.testing.assert_array_equal(array, PIXELS)
        assert torch.equal(back(array), tensor)
    ambiguous = torch.zeros(3, 5, 4)
    assert as_composite(ambiguous)[0].shape == (5, 4, 3)  # first, as everywhere in torch
    trained = torch.rand(3, 6, 8, requires_grad=True)
    assert as_composite(trained)[0].dtype == np.float32
    for mask in (torch.from_numpy(MASK), torch.from_numpy(MASK)[None]):
        np.testing.assert_array_equal(as_mask(mask), MASK)


@pytest.mark.parametrize("wrong", [None, 3, {"a": 1}, b"bytes"])
def test_what_is_no_picture(wrong):
    for take in (as_composite, as_mask):
        with pytest.raises(InputError, match=f"is a {type(wrong).__name__}; give a NumPy array"):
            take(wrong)
