"""Fixtures: small data from photographs in installed packages, small weights, the development data if it is there.

Files that take seconds to make are made once per run and shared by all of its processes, see ``made_once``. torch is
imported where it is used; ``--without-torch`` skips the tests that need it.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import pickle
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from filelock import FileLock

from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.manifest import IOSpec, Manifest, write_manifest
from edge_harmony.models.registry import build_model
from edge_harmony.samples import sample_pictures

DATA = "EDGE_HARMONY_TEST_DATA"
_HOMES = itertools.count()


class SkipsTorch(MetaPathFinder):
    """Finder that skips a test, or a module of tests, when it imports torch or looks for it."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "torch":
            pytest.skip("it needs torch", allow_module_level=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-torch", action="store_true", help="skip the tests that need torch")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # of torch too; several workers share the cores
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore, and children too
    if config.getoption("--without-torch"):
        if "torch" in sys.modules:
            raise pytest.UsageError("a conftest or a plug-in imports torch, so no test can be skipped for it")
        sys.meta_path.insert(0, SkipsTorch())


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A function that returns a named folder; the first process of the run that asks for it fills it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # every worker has its own folder within the run's
        root = root.parent

    def folder(name: str, fill: Callable[[Path], object]) -> Path:
        target, full = root / name, root / f"{name}.full"
        with FileLock(root / f"{name}.lock"):
            if not full.exists():
                shutil.rmtree(target, ignore_errors=True)  # of one that failed halfway
                target.mkdir()
                fill(target)
                full.touch()
        return target

    return folder


def _kernels() -> list[str]:
    from edge_harmony.pictures import kernels

    if not kernels.NATIVE:
        return ["numpy"]
    from edge_harmony.pictures import _native

    return ["numpy", *_native.instructions()]


@pytest.fixture(scope="module", params=_kernels())
def each_kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each implementation of the loops over pixels in turn: NumPy's, and the compiled ones that this CPU can run."""
    from edge_harmony.pictures import kernels, numpy_kernels

    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            for name in ("change_pixels", "shrink_rows", "paste_rows"):
                patch.setattr(kernels, name, getattr(numpy_kernels, name))
            yield request.param
            return
        from edge_harmony.pictures import _native

        _native.use(request.param)
        yield request.param
        _native.use(_native.instructions()[-1])


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch) -> None:
    """A folder of its own for what a test builds into the cache: none finds what another built, or a user."""
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path_factory.getbasetemp() / f"home-{next(_HOMES)}"))


@pytest.fixture(scope="session", autouse=True)
def exporter(made_once) -> Iterator[Callable[..., Any] | None]:
    """Replaces torch's ONNX exporter, which takes seconds per network, by one that reuses equal exports of the run.

    Returns the real exporter.
    """
    if "torch" not in sys.modules:
        yield None
        return
    import onnx
    import torch

    real = torch.onnx.export

    class Pickler(pickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            if not isinstance(value, torch.Tensor):  # whose own pickles hold addresses
                return NotImplemented
            return bytes, (value.detach().contiguous().numpy().tobytes(), str((value.dtype, value.shape)))

    def content(model: Any) -> bytes:
        stream = io.BytesIO()
        Pickler(stream).dump(model)
        return stream.getvalue()

    def export(model: Any, inputs: Any, **options: Any) -> SimpleNamespace:
        shapes = [(tuple(x.shape), x.dtype) for x in inputs]
        key = hashlib.sha256(content(model) + repr((shapes, sorted(options.items()))).encode()).hexdigest()

        def fill(folder: Path) -> None:
            onnx.save(real(model, inputs, **options).model_proto, folder / "traced.onnx")

        return SimpleNamespace(model_proto=onnx.load(made_once(f"traced-{key[:24]}", fill) / "traced.onnx"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", export)
        yield real


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The development data; tests that need it skip without it."""
    if DATA not in os.environ:
        pytest.skip(f"{DATA} does not name the development data")
    return Path(os.environ[DATA])


def write_triplet(root: Path, subset: str, name: str, composite, mask, real) -> None:
    """Write one sample in the iHarmony4 layout; ``name`` is ``a_b_c``."""
    stem, region, _ = name.rsplit("_", 2)
    for folder in ("composite_images", "masks", "real_images"):
        (root / subset / folder).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / subset / "composite_images" / f"{name}.jpg"), composite[..., ::-1])
    cv2.imwrite(str(root / subset / "masks" / f"{stem}_{region}.png"), mask)
    cv2.imwrite(str(root / subset / "real_images" / f"{stem}.jpg"), real[..., ::-1])


@pytest.fixture(scope="session", autouse=True)
def own_ray() -> Iterator[None]:
    """Ray announces its clusters in a folder of the machine: without one of its own, a test joins another's cluster."""
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", folder)
        yield


@pytest.fixture(scope="session")
def mini_root(made_once) -> Path:
    """A root of 24 small samples in two sub-sets with awkward names, cut from the shipped photographs."""
    return made_once("mini", write_mini_root)


def write_mini_root(root: Path) -> None:
    rng = np.random.default_rng(7)
    samples = {name: pixels for name, pixels, _ in sample_pictures()}
    pictures = [samples[name] for name in ("flower-china", "hopper-china", "pagoda-cold")]
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for k in range(24):
        source = pictures[k % len(pictures)]
        top, left = rng.integers(0, source.shape[0] - 160), rng.integers(0, source.shape[1] - 200)
        real = source[top : top + 160, left : left + 200]
        mask = np.zeros((160, 200), np.uint8)
        cv2.ellipse(mask, (100, 80), (30 + k, 40), 15.0 * k, 0, 360, 255, -1)
        gain = rng.uniform(0.6, 1.4, 3)
        changed = np.clip(real * gain, 0, 255).astype(np.uint8)
        composite = np.where(mask[..., None] > 0, changed, real)
        subset = ("HCOCO", "Hday2night")[k % 2]
        name = f"c-{k:03d}_x_1_2" if k % 3 else f"d{k:03d}_1_4"
        write_triplet(root, subset, name, composite, mask, real)
        lists["test" if k % 4 == 3 else "train"].append(f"{subset}/composite_images/{name}.jpg")
    for split, lines in lists.items():
        (root / f"IHD_{split}.txt").write_text("\n".join(lines) + "\n")
        for subset in ("HCOCO", "Hday2night"):
            own = [line.rsplit("/", 1)[1] for line in lines if line.startswith(subset)]
            (root / subset / f"{subset}_{split}.txt").write_text("\n".join(own) + "\n")


@pytest.fixture(scope="session")
def edge_weights(made_once) -> Path:
    """Weights of a small, untrained but not trivial edge network with activation ranges."""

    def fill(folder: Path) -> None:
        import torch

        from edge_harmony.models.layers.conv_unit import fold_norms
        from edge_harmony.models.weights_file import save_weights
        from edge_harmony.quantization.prepare import observe_with, prepare_qat

        torch.manual_seed(3)
        options = {"widths": [8, 8, 16, 16, 24], "hidden": 16}
        model = build_model("edge-n", **options)
        torch.nn.init.normal_(model.head.weight, std=0.02)
        model.train()
        for _ in range(4):
            model(torch.rand(4, 3, 64, 64), (torch.rand(4, 1, 64, 64) > 0.5).float())
        model = prepare_qat(fold_norms(model.eval()))
        batches = [(torch.rand(2, 3, 256, 256), (torch.rand(2, 1, 256, 256) > 0.5).float()) for _ in range(2)]
        observe_with(model, batches)
        save_weights(folder / "edge-n.safetensors", model, name="edge-n", options=options)

    return made_once("weights", fill) / "edge-n.safetensors"


@pytest.fixture(scope="session")
def trained(mini_root, made_once) -> Path:
    """The folder of a finished run with the small recipe of the trainer's tests; do not write there."""

    def fill(folder: Path) -> None:
        from edge_harmony.training.trainer import Trainer
        from tests.unit.training.making import WORLD, recipe

        Trainer(recipe(mini_root), folder, WORLD).run()

    return made_once("trained", fill)


@pytest.fixture(scope="session")
def exported(edge_weights, made_once) -> dict[str, Path]:
    """ONNX files of these weights: ``fp32``, ``fp16``, ``int8`` (unsigned) and ``signed``."""

    def fill(folder: Path) -> None:
        from edge_harmony.export.onnx import export_onnx

        for precision in ("fp32", "fp16", "int8"):
            export_onnx("edge-n", edge_weights, folder, precision=precision)
        export_onnx("edge-n", edge_weights, folder, precision="int8", flavour="signed")

    folder = made_once("onnx", fill)
    files = {p: folder / f"edge-n-256x256-{p}.onnx" for p in ("fp32", "fp16", "int8")}
    return files | {"signed": folder / "edge-n-256x256-int8-signed.onnx"}


@pytest.fixture(scope="session")
def small_networks(tmp_path_factory) -> dict[str, Path]:
    """Two convolutions of plain ONNX operators, with the inputs of our networks: ``fp32`` and ``signed``.

    They are for code that reads a file but does not run it, such as the stand-ins for TensorRT.
    """
    root = tmp_path_factory.mktemp("small")
    return {kind: write_small_network(root / kind, quantized=kind == "signed") for kind in ("fp32", "signed")}


def write_small_network(folder: Path, *, quantized: bool, size: int = 64) -> Path:
    """Write the file and its manifest; a quantized file has signed Q/DQ pairs, as from our exporter."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng, nodes, constants = np.random.default_rng(0), [], {}

    def add(operator: str, *inputs: str, **attributes: object) -> str:
        name = f"{operator}_{len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(name: str, value: np.ndarray) -> str:
        constants[name] = value
        return name

    def rounded(value: str) -> str:
        if not quantized:
            return value
        scale = constant("scale", np.float32(0.02)), constant("zero", np.int8(0))
        return add("DequantizeLinear", add("QuantizeLinear", value, *scale), *scale)

    def convolution(value: str, inputs: int, outputs: int, name: str) -> str:
        weight = constant(f"{name}.weight", rng.normal(0, 0.1, (outputs, inputs, 3, 3)).astype(np.float32))
        if quantized:
            constant(weight, rng.integers(-127, 128, (outputs, inputs, 3, 3), np.int8))
            scales = constant(f"{name}.scales", np.full(outputs, 0.01, np.float32))
            zeros = constant(f"{name}.zeros", np.zeros(outputs, np.int8))
            weight = add("DequantizeLinear", weight, scales, zeros, axis=0)
        return add("Conv", rounded(value), weight, pads=[1] * 4)

    value = convolution(add("Concat", "composite", "mask", axis=1), 4, 12, "first")
    nodes.append(helper.make_node("Identity", [convolution(value, 12, 12, "second")], ["transform"], name="last"))
    planes = {"composite": 3, "mask": 1, "transform": 12}
    values = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, size, size]) for n, c in planes.items()}
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    ends = [values["composite"], values["mask"]], [values["transform"]]
    model = helper.make_model(
        helper.make_graph(nodes, "small", *ends, initializers),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.checker.check_model(model, full_check=True)
    precision = "int8" if quantized else "fp32"
    folder.mkdir(parents=True)
    path = folder / f"edge-n-{size}x{size}-{precision}.onnx"
    onnx.save(model, path)
    manifest = Manifest(
        model="edge-n",
        precision=precision,
        backend="onnx",
        flavour="signed" if quantized else None,
        io=IOSpec(height=size, width=size, output="affine"),
        file_sha256=sha256_of(path),
        weights_sha256="0" * 64,
    )
    write_manifest(path, manifest)
    return path


@pytest.fixture(scope="module")
def browser():
    """A started Chromium, for tests of pages."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium on the path")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()
