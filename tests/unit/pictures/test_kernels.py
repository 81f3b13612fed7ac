"""Compiled loops on systems without a writable folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edge_harmony

pytestmark = pytest.mark.lengthy


def test_they_run_where_nothing_can_be_kept(tmp_path):
    """Without a folder for the cache, the loops are compiled for this process alone."""
    package = tmp_path / "edge_harmony"
    (package / "pictures").mkdir(parents=True)
    for name in ("__init__.py", "pictures/__init__.py", "pictures/kernels.py"):
        shutil.copy(Path(edge_harmony.__file__).parent / name, package / name)
    code = (
        "import numba.core.caching as caching\n"
        "caching.FunctionCache._impl_class._locator_classes = []\n"
        "import numpy as np\n"
        "from edge_harmony.pictures.kernels import shrink_rows\n"
        "out = np.zeros((1, 1), np.float32)\n"
        "shrink_rows(np.full((2, 2), 7, np.uint8), np.array([0.0, 2.0]), np.array([0.0, 2.0]), 1, out, 0, 1)\n"
        "assert out[0, 0] == 7\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(package.rglob("__pycache__/kernels.shrink_rows*.nb*"))
