"""examples/cpp, built against the OpenVINO and the ONNX Runtime of this environment, gives what Python gives."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.backends.base import ExportRequest, LoadRequest
from edge_harmony.backends.discovery import get_backend
from edge_harmony.samples import sample_pictures

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"


def run(*command, **more):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, check=False, **more)


def build(folder, *options, absent=None):
    """Build the example, with warnings as errors. A test is skipped where tools or, as ``absent`` says, headers are."""
    if not all(map(shutil.which, ("cmake", "c++"))):
        pytest.skip("it needs cmake and a C++ compiler")
    strict = "-DCMAKE_CXX_FLAGS=-Werror"
    for command in (["cmake", "-S", EXAMPLE, "-B", folder, strict, *options], ["cmake", "--build", folder]):
        done = run(*command)
        if absent and "no runtime was found" in done.stderr:
            pytest.skip(absent)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    openvino = pytest.importorskip("openvino")
    folder = tmp_path_factory.mktemp("cpp")
    build(folder, f"-DOpenVINO_DIR={Path(openvino.__file__).parent / 'cmake'}")
    return folder / "harmonize-openvino"


@pytest.fixture(scope="module")
def onnxruntime_program(tmp_path_factory):
    """With the library of the package on PyPI, which carries no headers: those of another version up to its own do."""
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("cpp-onnxruntime")
    library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"), None)
    if library is None:
        pytest.skip("this package of onnxruntime holds no library for C++")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):  # as it is linked, and as it is loaded
        (folder / name).symlink_to(library)
    only = ["-DCMAKE_DISABLE_FIND_PACKAGE_OpenVINO=ON", "-DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON"]
    absent = "the headers of ONNX Runtime are not there: libonnxruntime-dev of Debian 13, or CMAKE_PREFIX_PATH"
    build(folder / "build", *only, f"-DONNXRUNTIME_LIBRARY={folder / 'libonnxruntime.so'}", absent=absent)
    return folder / "build" / "harmonize-onnxruntime"


@pytest.fixture(scope="module")
def whole(edge_weights, made_once):
    request = {p: ExportRequest("edge-n", p, whole_pipeline=True) for p in ("fp32", "int8")}
    folder = made_once(
        "onnx-whole",
        lambda folder: [get_backend("onnxruntime").build(each, edge_weights, folder) for each in request.values()],
    )
    return {p: folder / f"edge-n-256x256-{p}-whole.onnx" for p in request}


def drawn(folder, size):
    """A composite and a soft mask of a size, as files and as arrays."""
    _, pixels, mask = next(iter(sample_pictures()))
    picture = cv2.resize(np.ascontiguousarray(pixels), size[::-1])
    soft = np.rint(cv2.resize(mask, size[::-1]) * 255).astype(np.uint8)
    cv2.imwrite(str(folder / "a.ppm"), picture[..., ::-1])
    cv2.imwrite(str(folder / "a.pgm"), soft)
    return picture, soft


@pytest.mark.parametrize("size", [(256, 256), (300, 401), (1080, 1920)])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_it_gives_what_python_gives(precision, size, program, whole, tmp_path):
    import openvino

    picture, soft = drawn(tmp_path, size)
    files = [tmp_path / name for name in ("a.ppm", "a.pgm", "out.ppm")]
    done = run(program, whole[precision], *files, "0.75")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{size[1]}x{size[0]}, fastest of 1: ")
    made = cv2.imread(str(tmp_path / "out.ppm"))[..., ::-1].astype(int)
    feed = {"picture": picture, "mask": soft, "strength": np.array(0.75, np.float32)}
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    python = openvino.Core().compile_model(whole[precision], "CPU", settings)(feed)["harmonized"]
    assert np.array_equal(made, python)
    runner = get_backend("onnxruntime").load(LoadRequest("edge-n", precision, artifact=whole[precision]))
    assert np.abs(made - runner.harmonize(picture, soft, 0.75)).max() <= (1 if precision == "fp32" else 2)
    assert np.array_equal(made[soft == 0], picture[soft == 0])
    assert (made != picture).any()


@pytest.mark.parametrize("size", [(256, 256), (300, 401)])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_through_onnx_runtime_it_gives_what_python_gives(precision, size, onnxruntime_program, whole, tmp_path):
    picture, soft = drawn(tmp_path, size)
    files = [tmp_path / name for name in ("a.ppm", "a.pgm", "out.ppm")]
    done = run(onnxruntime_program, whole[precision], *files, "0.75")
    assert done.returncode == 0, done.stderr
    made = cv2.imread(str(tmp_path / "out.ppm"))[..., ::-1]
    runner = get_backend("onnxruntime").load(LoadRequest("edge-n", precision, artifact=whole[precision], threads=1))
    np.testing.assert_array_equal(made, runner.harmonize(picture, soft, 0.75))
    assert (made != picture).any()
    done = run(onnxruntime_program, tmp_path / "none.onnx", *files)
    assert (done.returncode, "none.onnx" in done.stderr) == (1, True)


def test_what_is_wrong_is_one_line(program, whole, tmp_path):
    drawn(tmp_path, (300, 401))
    good, mask, out = (tmp_path / name for name in ("a.ppm", "a.pgm", "out.ppm"))
    (tmp_path / "cut.ppm").write_bytes(good.read_bytes()[:-1])
    (tmp_path / "no.ppm").write_bytes(b"P6\n-3 5\n255\n")
    cases = {
        "cannot be opened": (whole["fp32"], tmp_path / "none.ppm", mask),
        "cut off": (whole["fp32"], tmp_path / "cut.ppm", mask),
        "the header is damaged": (whole["fp32"], tmp_path / "no.ppm", mask),
        "no binary PPM": (whole["fp32"], whole["fp32"], mask),
        "both of one size": (whole["fp32"], good, good),
        "none.onnx": (tmp_path / "none.onnx", good, mask),
    }
    for said, given in cases.items():
        done = run(program, *given, out)
        assert (done.returncode, said in done.stderr) == (1, True), (said, done.stderr)
    assert run(program).returncode == 2
    assert not out.exists()


def test_without_a_runtime_cmake_says_what_to_set(tmp_path):
    if not shutil.which("cmake"):
        pytest.skip("it needs cmake")
    off = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("OpenVINO", "CUDAToolkit")]
    off.append("-DONNXRUNTIME_HEADERS=OFF")
    done = run("cmake", "-S", EXAMPLE, "-B", tmp_path, *off, env=os.environ | {"CXX": "c++"})
    assert done.returncode != 0
    assert "set OpenVINO_DIR, or ONNXRUNTIME_HEADERS" in " ".join(done.stderr.split())
