"""A picture on the page: the button, the strength, the edge of the mask, strokes."""

import re

import cv2
import numpy as np
import pytest

from edge_harmony.demo.offers import DEFAULT, Loaded
from edge_harmony.demo.picture import MaskEdge, apply_again, harmonize, painted
from edge_harmony.errors import InputError, UsageError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.mask_edges import grow_mask, refine_mask

pytestmark = pytest.mark.lengthy

RNG = np.random.default_rng(8)


def test_the_button(tmp_path):
    picture = RNG.integers(0, 256, (60, 80, 4), np.uint8)
    stroke = np.zeros((60, 80, 4), np.uint8)
    stroke[20:40, 30:50] = (255, 59, 48, 153)
    mask = np.zeros((60, 80), np.uint8)
    mask[:10] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    cv2.imwrite(str(tmp_path / "small.png"), mask[::2, ::2])
    loaded, editor = Loaded(), {"background": picture, "layers": [stroke], "composite": picture}
    with Harmonizer.from_pretrained() as harmonizer:
        weight = np.zeros((60, 80), np.float32)
        weight[20:40, 30:50] = 1
        (before, after), told, _ = harmonize(loaded, editor, None, DEFAULT)
        np.testing.assert_array_equal(before, picture[..., :3])
        np.testing.assert_array_equal(after, harmonizer.harmonize(before, weight))
        assert re.match(r"\*\*\d+ ms\*\* for 80 x 60 pixels, 8 % of them foreground: edge-s onnxruntime int8", told)
        weight[:10] = 1
        (_, after), told, _ = harmonize(loaded, editor, str(tmp_path / "mask.png"), DEFAULT)
        np.testing.assert_array_equal(after, harmonizer.harmonize(before, weight))
        assert "resized" not in told
        _, told, _ = harmonize(loaded, editor | {"layers": []}, str(tmp_path / "small.png"), DEFAULT)
        assert "resized from 40 x 30" in told
    for wrong, says in ((None, "no composite"), ({"background": None, "layers": []}, "no composite")):
        with pytest.raises(InputError, match=says):
            harmonize(loaded, wrong, None, DEFAULT)
    with pytest.raises(InputError, match="nothing is foreground"):
        harmonize(loaded, editor | {"layers": []}, None, DEFAULT)


def test_the_slider_applies_again_and_does_not_predict():
    picture = RNG.integers(60, 190, (60, 80, 4), np.uint8)
    stroke = np.zeros((60, 80, 4), np.uint8)
    stroke[20:40, 30:50] = 255
    weight = (stroke[..., 3] > 0).astype(np.float32)
    loaded, editor = Loaded(), {"background": picture, "layers": [stroke], "composite": picture}
    runner = loaded.get(DEFAULT).runner
    calls, infer = [], runner.infer
    runner.infer = lambda *given: calls.append(1) or infer(*given)
    with Harmonizer.from_pretrained() as harmonizer:
        (before, after), _, kept = harmonize(loaded, editor, None, DEFAULT, 0.5)
        np.testing.assert_array_equal(after, harmonizer.harmonize(before, weight, strength=0.5))
        assert len(calls) == 1
        for strength in (0, 0.25, 1, 1.5):
            (again, after), told = apply_again(kept, strength)
            np.testing.assert_array_equal(again, before)
            np.testing.assert_array_equal(after, harmonizer.harmonize(before, weight, strength=strength))
            assert re.match(rf"\*\*\d+ ms\*\* to apply the same prediction at strength {strength:.2f}", told)
    assert len(calls) == 1
    with pytest.raises(UsageError, match=r"strength is 1\.55"):
        apply_again(kept, 1.55)


def test_the_edge_of_the_mask_is_refined_and_grown_before_the_prediction():
    picture = RNG.integers(0, 256, (60, 80, 3), np.uint8)
    given = np.zeros((60, 80), np.float32)
    given[20:40, 30:50] = 1
    assert MaskEdge().of(given, picture) is given
    np.testing.assert_array_equal(MaskEdge(3).of(given, picture), grow_mask(given, 3))
    both = MaskEdge(-2, True).of(given, picture)
    np.testing.assert_array_equal(both, grow_mask(refine_mask(picture, given), -2))


def test_strokes_are_masks():
    layer = np.zeros((4, 6, 4), np.uint8)
    layer[1, 1, 3], layer[2, 2, 3], layer[3, 3, 3] = 153, 255, 76
    mask = painted([layer, np.zeros((9, 9, 4), np.uint8)], (4, 6))
    assert mask[1, 1] == mask[2, 2] == 1
    assert mask[3, 3] == pytest.approx(0.5, abs=0.01)
    assert mask.sum() == pytest.approx(2.5, abs=0.01)
    assert painted([], (4, 6)).sum() == 0
