"""What runtimes leave behind, and tell others, when this package uses them."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from edge_harmony.backends.discovery import get_backend
from edge_harmony.harmonizer import Harmonizer
assert get_backend(sys.argv[1]).probe().available
with Harmonizer.from_pretrained("edge-n", backend=sys.argv[1], threads=1) as harmonizer:
    harmonizer.harmonize(np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32))
"""
SILENCED = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "XDG_CACHE_HOME")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_no_identifier_is_kept_and_nothing_is_reported(backend, tmp_path):
    pytest.importorskip(backend)
    environment = {name: value for name, value in os.environ.items() if name not in SILENCED}
    call = [sys.executable, "-c", PROGRAM, backend]
    subprocess.run(call, env=environment | {"HOME": str(tmp_path)}, check=True, capture_output=True)
    assert list(tmp_path.rglob("*")) == []
