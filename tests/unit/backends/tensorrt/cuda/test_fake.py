"""The stand-in for CUDA fails where it is told."""

from __future__ import annotations

import pytest

from edge_harmony.backends.tensorrt.cuda.api import CudaError
from tests.fakes.cuda import FakeCuda


@pytest.mark.parametrize("failing", [{}, {"activate": 0}])
def test_fakes_fail_where_they_are_told(failing):
    cuda = FakeCuda(failing=failing)
    if failing:
        with pytest.raises(CudaError):
            cuda.activate()
    else:
        cuda.activate()
