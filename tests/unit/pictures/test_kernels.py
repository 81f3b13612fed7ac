"""Compiled loops on systems without a writable folder, and with a cache that is damaged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import edge_harmony
from edge_harmony.pictures import kernels

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


def _doubled(values):
    for k in range(len(values)):
        values[k] *= 2


@pytest.mark.parametrize("kind", ["cut off", "empty", "no pickle", "nothing"])
@pytest.mark.parametrize("which", [".nbi", ".nbc"])
def test_a_damaged_cache_is_compiled_again(tmp_path, monkeypatch, kind, which):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def run():
        values = np.arange(4.0)
        compiled = kernels._compile(_doubled)
        compiled(values)
        np.testing.assert_array_equal(values, [0, 2, 4, 6])
        return sum(compiled.stats.cache_hits.values())

    assert run() == 0
    (path,) = tmp_path.rglob(f"*{which}")
    data = path.read_bytes()
    damaged = {"cut off": data[: len(data) // 2], "empty": b"", "no pickle": b"text" * 20, "nothing": data}[kind]
    path.write_bytes(damaged)
    assert run() == (1 if kind == "nothing" else 0)
    assert run() == 1  # it was written anew
