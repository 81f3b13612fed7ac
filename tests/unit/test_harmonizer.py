"""One object for everybody: several threads at a time, files, bytes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edge_harmony.errors import InputError, UsageError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.images import decode_picture
from edge_harmony.samples import sample_files, sample_pictures

RNG = np.random.default_rng(9)


@pytest.mark.parametrize(("backend", "precision"), [("onnxruntime", "int8"), ("openvino", "int8"), ("pytorch", "fp32")])
def test_several_threads_use_one(backend, precision):
    pictures = [RNG.integers(0, 256, (64 + k, 80, 3), np.uint8) for k in range(24)]
    masks = [np.uint8(255) * (RNG.random((64 + k, 80)) > 0.5) for k in range(24)]
    with Harmonizer.from_pretrained("edge-n", backend=backend, precision=precision) as harmonizer:
        alone = [harmonizer.harmonize(*pair) for pair in zip(pictures, masks, strict=True)]
        with ThreadPoolExecutor(6) as pool:
            together = list(pool.map(harmonizer.harmonize, pictures, masks))
    for result, wanted in zip(together, alone, strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_bytes_to_bytes():
    composite, mask = next(iter(sample_files()))
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        made = harmonizer.harmonize_bytes(composite.read_bytes(), mask.read_bytes(), ".png")
        _, pixels, weight = next(iter(sample_pictures()))
        np.testing.assert_allclose(decode_picture(made, "made").pixels, harmonizer.harmonize(pixels, weight), atol=1)
        half = harmonizer.harmonize_bytes(composite.read_bytes(), mask.read_bytes(), ".png", strength=0.5)
        wanted = harmonizer.harmonize(pixels, weight, strength=0.5)
        np.testing.assert_allclose(decode_picture(half, "half").pixels, wanted, atol=1)
        assert not np.array_equal(wanted, harmonizer.harmonize(pixels, weight))
        with pytest.raises(InputError, match=r"letter\.png is not a picture"):
            harmonizer.harmonize_bytes(b"dear madam", mask.read_bytes(), ".png", names=("letter.png", "mask"))
        with pytest.raises(UsageError, match="suffix"):
            harmonizer.harmonize_bytes(composite.read_bytes(), mask.read_bytes(), ".gif")
