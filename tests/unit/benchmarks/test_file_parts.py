"""The parts that are timed are those of the call: put together they give its bytes."""

import sys

import pytest

from edge_harmony.harmonizer import Harmonizer
from tests.unit.test_imports import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import file_parts


@pytest.mark.parametrize("label", file_parts.FORMATS)
def test_the_parts_make_the_file(label):
    suffix, kind = file_parts.FORMATS[label]
    with Harmonizer.from_pretrained(threads=1) as harmonizer:
        parts = file_parts.parts_of(harmonizer, (96, 64), suffix, kind)
        assert parts["whole"]() == parts["write"]()
        assert parts["read picture"]().pixels.dtype == kind
        assert parts["read mask"]().shape == (64, 96)
        assert parts["predict"]().shape[0] == 12
        assert parts["apply"]().shape == (64, 96, 3)
        *decoded, (_, encoded) = parts["codecs"]()
        assert [pixels.shape for pixels in decoded] == [(64, 96, 3), (64, 96)]
        assert encoded.tobytes() == parts["whole"]()


def test_every_choice_of_an_encoder_is_measured():
    found = file_parts.encodings((96, 64), 1)
    assert found.keys() == file_parts.choices().keys()
    assert all(row["megabytes"] > 0 for row in found.values())
    assert found["TIFF, 16 bits, none"]["megabytes"] == pytest.approx(96 * 64 * 6 / 1e6, abs=0.01)
