"""examples/android, compiled for the JVM with stand-ins for Android and LiteRT, gives what Python gives."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.samples import sample_pictures

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMPILER = "kotlin-compiler@2.4.20"
SIZE, CELLS = 160, 20


@pytest.fixture(scope="module")
def program(made_once):
    """A JAR of the example and the stand-ins; the compiler is JetBrains' package on npm."""
    npm, java = shutil.which("npm"), shutil.which("java")
    if npm is None or java is None:
        pytest.skip("it needs npm, for Kotlin's compiler, and Java")

    def compile_it(folder):
        (folder / "package.json").write_text('{"private": true}')
        call = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", COMPILER]
        done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            (folder / "missing").write_text(f"npm did not install {COMPILER}: {done.stderr[-200:]}")
            return
        jars = folder / "node_modules" / "kotlin-compiler" / "lib"
        sources = [*(ROOT / "examples" / "android").glob("*.kt"), *(ROOT / "tests" / "fakes" / "android").glob("*.kt")]
        compiler = [java, "-cp", jars / "kotlin-preloader.jar", "org.jetbrains.kotlin.preloading.Preloader"]
        compiler += ["-cp", jars / "kotlin-compiler.jar", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-Werror"]
        compiler += [*sources, "-include-runtime", "-d", folder / "example.jar"]
        done = subprocess.run([*map(str, compiler)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    folder = made_once("kotlin", compile_it)
    if (folder / "missing").exists():
        pytest.skip((folder / "missing").read_text())
    return [java, "-cp", str(folder / "example.jar"), "org.edgeharmony.example.MainKt"]


@pytest.mark.parametrize(
    ("sample", "part", "strength"),
    [("flower-china", (..., ...), 1.0), ("hopper-china", (300, 401), 0.6), ("pagoda-cold", (160, 333), 1.5)],
)
def test_it_gives_what_python_gives(sample, part, strength, program, tmp_path):
    pixels, mask = {name: pair for name, *pair in sample_pictures()}[sample]
    rows, columns = (slice(None) if side is ... else slice(side) for side in part)
    picture, soft = np.ascontiguousarray(pixels[rows, columns]), np.rint(255 * mask[rows, columns]).astype(np.uint8)
    grid = np.random.default_rng(len(sample)).uniform(-0.3, 0.3, (CELLS, CELLS, 12)).astype(np.float32)
    for name, array in (("grid", grid), ("picture", picture), ("mask", np.repeat(soft[..., None], 3, 2))):
        (tmp_path / name).write_bytes(array.tobytes())
    height, width = soft.shape
    files = [tmp_path / name for name in ("picture", "mask", "result")]
    call = [*program, tmp_path / "grid", SIZE, strength, width, height, *files]
    done = subprocess.run([*map(str, call)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    planes, small_mask = to_working_size(picture, soft, (SIZE, SIZE))
    composite, weights = (np.fromfile(tmp_path / f"grid.{k}", np.float32) for k in range(2))
    difference = np.abs(composite.reshape(SIZE, SIZE, 3) - planes[0].transpose(1, 2, 0))
    assert difference.max() <= 1.001 / 255  # halves are rounded after sums in another order
    assert (difference > 0.5 / 255).mean() < 0.01
    assert np.abs(weights.reshape(SIZE, SIZE) - small_mask[0, 0]).max() < 1e-4
    made = np.fromfile(tmp_path / "result", np.uint8).reshape(picture.shape)
    expected = apply_grid(picture, soft, np.ascontiguousarray(grid.transpose(2, 0, 1)), strength=strength)
    assert np.abs(made.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(made[soft == 0], picture[soft == 0])
    assert (made != picture).any()


def test_what_does_not_fit_is_refused(program, tmp_path):
    for name in ("grid", "picture", "mask"):
        (tmp_path / name).write_bytes(bytes(3 * 100 * 200))
    call = [
        *program,
        tmp_path / "grid",
        SIZE,
        1,
        100,
        200,
        *(tmp_path / name for name in ("picture", "mask", "result")),
    ]
    done = subprocess.run([*map(str, call)], capture_output=True, text=True, check=False)
    assert (done.returncode, "the picture must be at least 160 x 160" in done.stderr) == (1, True)
