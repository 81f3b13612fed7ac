"""What ONNX Runtime leaves behind, and tells others, when this package uses it."""

import os
import subprocess
import sys

HARMONIZES = """
import numpy as np
from edge_harmony.harmonizer import Harmonizer
with Harmonizer.from_pretrained("edge-n", threads=1) as harmonizer:
    harmonizer.harmonize(np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32))
"""
SILENCED = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "XDG_CACHE_HOME")


def test_no_identifier_and_no_events_are_kept(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in SILENCED}
    call = [sys.executable, "-c", HARMONIZES]
    subprocess.run(call, env=environment | {"HOME": str(tmp_path)}, check=True, capture_output=True)
    assert list(tmp_path.rglob("*")) == []
