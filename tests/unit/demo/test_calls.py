"""Values of calls: anybody may call the page with anything."""

import pytest

from edge_harmony.demo.calls import checked_pixels, checked_strength
from edge_harmony.errors import UsageError


def test_strengths_are_numbers():
    assert checked_strength(1) == 1.0
    for wrong in (None, "1", True, [1.0]):
        with pytest.raises(UsageError, match="no number"):
            checked_strength(wrong)


def test_masks_grow_by_a_few_pixels():
    assert [checked_pixels(pixels) for pixels in (0, -3.0, 20)] == [0, -3, 20]
    for wrong in (None, "1", True, 21, -20.5, float("nan")):
        with pytest.raises(UsageError, match="cannot grow by that"):
            checked_pixels(wrong)
