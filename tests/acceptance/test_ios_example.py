"""examples/ios: its Swift is Swift, and its Metal kernel, compiled as C++ with stand-ins, gives what Python gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.samples import sample_pictures

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ios"
STAND_INS = ROOT / "tests" / "fakes" / "metal"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", sorted(EXAMPLE.rglob("*.swift")), ids=lambda path: path.name)
def test_swift_is_parsed(path):
    """Apple's frameworks are on its systems only, so types are not checked."""
    swiftc = shutil.which("swiftc")
    if swiftc is None:
        pytest.skip("there is no swiftc on the path: swiftlang of Debian 13 has one")
    done = subprocess.run([swiftc, "-frontend", "-parse", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    if not shutil.which("c++"):
        pytest.skip("it needs a C++ compiler")
    folder = tmp_path_factory.mktemp("metal")
    swift = (EXAMPLE / "EdgeHarmonyApply" / "Sources" / "EdgeHarmonyApply" / "Apply.swift").read_text()
    (source,) = re.findall(r'source = """\n(.*?)"""', swift, re.DOTALL)
    (folder / "kernel.h").write_text(source)
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-attributes"]  # [[texture(0)]] and others are Metal's own
    call = ["c++", "-std=c++17", "-O1", *warnings, "-I", STAND_INS, "-I", folder, STAND_INS / "main.cc"]
    done = subprocess.run([*call, "-o", folder / "run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.mark.parametrize(("cells", "strength"), [((20, 20), 1.0), ((5, 9), 0.6), ((1, 1), 1.5)])
def test_the_kernel_gives_what_python_gives(cells, strength, kernel, tmp_path):
    _, pixels, mask = next(iter(sample_pictures()))
    picture, soft = np.ascontiguousarray(pixels[:211, :307]), np.rint(255 * mask[:211, :307]).astype(np.uint8)
    soft[50:90, 40:200] = np.arange(160, dtype=np.uint8)
    grid = np.random.default_rng(5).uniform(-0.4, 0.4, (12, *cells)).astype(np.float32)
    alpha = np.full(soft.shape, 200, np.uint8)
    for name, array in (("grid", grid), ("picture", np.dstack([picture, alpha])), ("mask", soft)):
        (tmp_path / name).write_bytes(np.ascontiguousarray(array).tobytes())
    files = [tmp_path / name for name in ("picture", "mask", "result")]
    call = [kernel, tmp_path / "grid", cells[1], cells[0], strength, soft.shape[1], soft.shape[0], *files]
    subprocess.run([*map(str, call)], check=True)
    made = np.fromfile(tmp_path / "result", np.uint8).reshape(*soft.shape, 4)
    expected = apply_grid(picture, soft, grid, strength=strength)
    assert np.abs(made[..., :3].astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(made[soft == 0], np.dstack([picture, alpha])[soft == 0])
    np.testing.assert_array_equal(made[..., 3], alpha)
    assert (made[..., :3] != picture).any()
