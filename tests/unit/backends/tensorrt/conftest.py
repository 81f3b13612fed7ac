"""What the tests of TensorRT share: a stand-in of the machine, and a file to build from."""

import pytest

from tests.fakes.tensorrt import World


@pytest.fixture
def world():
    """A machine with one GPU; a test that needs another defines its own."""
    return World()


@pytest.fixture
def onnx_file(small_networks):
    """A small network in INT8, in the signed flavour."""
    return small_networks["signed"]
