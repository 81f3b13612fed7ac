"""The JavaScript module in Node, against the package: shrinking, masks, pasting, the apply step, all of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge_harmony
from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import InputError, UsageError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.models.registry import weights_folder
from edge_harmony.pictures.alpha import straight
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.pictures.paste import paste
from edge_harmony.pictures.placement import ANCHORS, Placement
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.samples import sample_pictures

MODULE = Path(__file__).parents[4] / "examples" / "web" / "harmonize"
CASES = Path(__file__).parent / "cases.mjs"
PACKAGES = ("onnxruntime-node@1.30.0", "typescript@7.0.2")
EDGE_S = weights_folder() / "edge-s-160x160-int8.onnx"
EDGE_N = weights_folder() / "edge-n-256x256-int8.onnx"
RNG = np.random.default_rng(29)


def test_the_package_has_the_version_of_the_project_and_every_module_its_types():
    package = json.loads((MODULE / "package.json").read_text())
    assert package["version"] == edge_harmony.__version__
    assert (MODULE / package["main"]).is_file()
    assert {path.stem for path in MODULE.glob("*.js")} == {
        path.name.removesuffix(".d.ts") for path in (MODULE / "types").glob("*.d.ts")
    }
    for path in MODULE.glob("*.js"):
        for name in re.findall(r'from "\./(.*)"', path.read_text()):
            assert (MODULE / name).is_file(), path


@pytest.fixture(scope="module")
def packages(made_once):
    """A folder with the Node packages, from npm; their scripts would download libraries for GPUs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no Node with npm on the path")

    def install(folder):
        (folder / "package.json").write_text('{"private": true}')
        call = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", *PACKAGES]
        done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
        (folder / "said").write_text("" if done.returncode == 0 else done.stderr or "npm failed")

    folder = made_once("node-packages", install)
    if said := (folder / "said").read_text():
        pytest.skip(f"npm did not install {' and '.join(PACKAGES)}: {said.splitlines()[-1]}")
    return folder


class Cases:
    """Calls of the module, which one Node process then makes."""

    def __init__(self, folder):
        self.folder, self.cases, self.expected = folder, [], {}

    def file(self, name, array):
        """A description of an array as the module takes it; RGB gets an opaque alpha."""
        if array.ndim == 3 and array.shape[2] == 3:
            array = np.dstack([array, np.full(array.shape[:2], 255, np.uint8)])
        (self.folder / name).write_bytes(np.ascontiguousarray(array).tobytes())
        return {"file": name, "height": array.shape[0], "width": array.shape[1]}

    def add(self, name, call, expected, **arguments):
        """A case; arrays become files."""
        name = f"{call} {name}".replace(" ", "-")
        given = {
            key: self.file(f"{name}-{key}", value) if isinstance(value, np.ndarray) else value
            for key, value in arguments.items()
        }
        self.cases.append({"name": name, "call": call, **given})
        self.expected[name] = expected

    def run(self, packages):
        (self.folder / "cases.json").write_text(json.dumps(self.cases))
        call = ["node", CASES, self.folder, MODULE / "harmonize.js", packages]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
        assert set(answers) == set(self.expected)
        return answers

    def out(self, name, dtype=np.uint8):
        return np.fromfile(self.folder / f"{name}.out", dtype)


def cut(pixels, mask, size):
    """A part of a sample with some of its foreground: (H, W, 3) and (H, W)."""
    rows, columns = np.nonzero(mask > 127)
    top = min(max(int(rows.mean()) - size[0] // 2, 0), mask.shape[0] - size[0])
    left = min(max(int(columns.mean()) - size[1] // 2, 0), mask.shape[1] - size[1])
    part = slice(top, top + size[0]), slice(left, left + size[1])
    return np.ascontiguousarray(pixels[part]), np.ascontiguousarray(mask[part])


def as_levels(mask):
    return mask if mask.dtype == np.uint8 else np.rint(255 * mask).astype(np.uint8)


def cut_outs():
    """Cut-outs with soft edges: straight and premultiplied, of colours that tell which, and of those that do not."""
    y, x = np.mgrid[:70, :90].astype(np.float32)
    inside = 255 * np.clip(30 - np.hypot(y - 33, x - 44), -3, 3) / 6 + 127.5
    alpha = np.rint(inside)[..., None]
    colours = {
        "bright": np.full((70, 90, 3), 230),
        "dark": np.full((70, 90, 3), 6),
        "textured": SAMPLES[0][1][:70, :90],
    }
    found = {}
    for name, colour in colours.items():
        found[name] = np.concatenate([colour, alpha], 2).astype(np.uint8)
        found[f"{name} premultiplied"] = np.concatenate([np.rint(colour * (alpha / 255)), alpha], 2).astype(np.uint8)
    found["a wide edge"] = found["bright premultiplied"][30:37, 10:80]
    found["nothing soft"] = np.concatenate([colours["bright"], np.where(alpha > 127, 255, 0)], 2).astype(np.uint8)
    return found


SAMPLES = [(name, pixels, as_levels(mask)) for name, pixels, mask in sample_pictures()]


@pytest.mark.slow
def test_node_computes_what_python_computes(packages, tmp_path):
    cases = Cases(tmp_path)
    _, composite, mask = SAMPLES[0]
    for size in ((400, 500), (160, 160), (90, 300), (161, 163), (320, 320), (1, 1), (30, 20)):
        small = cut(composite, mask, size)
        planes = to_working_size(*small, (160, 160))
        cases.add(f"{size}", "shrink", planes, picture=small[0], mask=small[1], size={"width": 160, "height": 160})

    grids = {c: RNG.uniform(-0.4, 0.4, (c, 5, 7)).astype(np.float32) for c in (3, 6, 12)}
    grids |= {12.5: RNG.uniform(-0.4, 0.4, (12, 1, 1)).astype(np.float32)}
    for kind, grid in grids.items():
        for strength in (0, 0.35, 1, 1.5):
            pixels = RNG.integers(0, 256, (67, 45, 4), np.uint8)
            weight = np.where(RNG.random((67, 45)) < 0.5, RNG.integers(0, 256, (67, 45)), 0).astype(np.uint8)
            given = {"channels": len(grid), "height": grid.shape[1], "width": grid.shape[2], "file": f"grid-{kind}"}
            (tmp_path / f"grid-{kind}").write_bytes(grid.tobytes())
            changed = apply_grid(np.ascontiguousarray(pixels[..., :3]), weight, grid, strength=strength)
            expected = np.dstack([changed, pixels[..., 3]])
            cases.add(
                f"{kind} {strength}", "apply", expected, picture=pixels, mask=weight, grid=given, strength=strength
            )

    masks = {
        "two values": np.where(RNG.random((20, 30)) < 0.3, 3, 1),
        "one and zero": np.where(RNG.random((20, 30)) < 0.3, 1, 0),
        "all ones": np.ones((20, 30)),
        "nothing": np.zeros((20, 30)),
        "class ids": RNG.integers(0, 5, (20, 30)),
        "faint": RNG.integers(0, 100, (20, 30)),
        "soft": RNG.integers(0, 256, (20, 30)),
        "void": np.pad(np.pad(np.full((8, 10), 15), 2, constant_values=255), 5),
        "two ids and void": np.pad(np.pad(np.repeat([[2] * 9 + [7] * 9], 8, 0), 2, constant_values=255), 3),
        "soft edge": np.pad(np.pad(np.full((8, 10), 255), 1, constant_values=40), 5),
    }  # fmt: skip
    for name, values in masks.items():
        levels = values.astype(np.uint8)
        try:
            expected = as_levels(MaskReader().read(levels))
        except InputError:
            expected = None
        cases.add(name, "mask", expected, picture=np.repeat(levels[..., None], 3, 2))
    cases.add("coloured", "mask", None, picture=RNG.integers(0, 256, (9, 9, 3), np.uint8))

    front, front_mask = cut(composite, mask, (200, 160))
    behind = SAMPLES[1][1][:300, :280]
    places = [
        (None, 1.0, "center"),
        (None, 0.6, "center"),
        ((10, 20), 1.0, "center"),
        ((270, 290), 1.4, "center"),
        ((140, 150), 0.05, "center"),
        ((-500, 5), 1.0, "center"),
        *((None, 0.7, anchor) for anchor in ANCHORS),
        *(((131, 77), 0.93, anchor) for anchor in ANCHORS),
        ((131, 77), 1.0, "middle"),
    ]
    for position, scale, anchor in places:
        given = {"scale": scale, "anchor": anchor} | ({"position": position} if position else {})
        try:
            placed, weight = Placement(position, scale, anchor).place(front, front_mask, (280, 300))
            expected = np.dstack([paste(placed, behind, weight), np.full((300, 280), 255, np.uint8)]), weight
        except (InputError, UsageError):
            expected = None
        cases.add(
            f"{position} {scale} {anchor}",
            "paste",
            expected,
            picture=front,
            mask=front_mask,
            background=behind,
            placement=given,
        )

    for name, cut_out in cut_outs().items():
        cases.add(name, "straight", straight(cut_out), picture=cut_out)

    for model in (EDGE_S, EDGE_N):
        with Harmonizer.from_pretrained(artifact=model) as harmonizer:
            for name, pixels, weight in SAMPLES:
                for strength in (1.0, 0.6) if model is EDGE_S else (1.0,):
                    expected = harmonizer.harmonize(pixels, weight, strength=strength)
                    cases.add(f"{model.stem} {name} {strength}", "harmonize", expected, picture=pixels, mask=weight,
                              strength=strength, model=str(model))  # fmt: skip
    with Harmonizer.from_pretrained(artifact=EDGE_S) as harmonizer:
        for size in ((200, 133), (160, 107), (64, 64)):
            pixels, weight = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (composite, mask))
            expected = harmonizer.harmonize(pixels, weight)
            cases.add(f"{size}", "harmonize", expected, picture=pixels, mask=weight, strength=1, model=str(EDGE_S))
    empty = np.zeros_like(mask)
    cases.add("an empty mask", "harmonize", composite, picture=composite, mask=empty, model=str(EDGE_S))
    cases.add("no strength", "harmonize", composite, picture=composite, mask=mask, strength=0, model=str(EDGE_S))
    cases.add("too strong", "harmonize", None, picture=composite, mask=mask, strength=1.6, model=str(EDGE_S))
    cases.add("another size", "harmonize", None, picture=composite, mask=mask[1:], model=str(EDGE_S))

    answers = cases.run(packages)
    for one in cases.cases:
        name, expected = one["name"], cases.expected[one["name"]]
        if expected is None:
            assert answers[name].get("error", "").startswith("InputError: "), (name, answers[name])
            continue
        assert "error" not in answers[name], (name, answers[name])
        if one["call"] == "shrink":
            flat = np.concatenate([part.ravel() for part in expected])
            difference = np.abs(cases.out(name, np.float32) - flat)
            # OpenCV adds in another order where pictures are small, and halves become other numbers
            assert difference[: expected[0].size].max() <= 1.001 / 255, name
            assert (difference[: expected[0].size] > 0.5 / 255).mean() < 0.01, name
            assert difference[expected[0].size :].max() < 1e-4, name
        elif one["call"] == "paste":
            found = cases.out(name).astype(int)
            flat = np.concatenate([part.ravel() for part in expected]).astype(int)
            assert np.abs(found - flat).max() <= 1, name
        elif one["call"] in ("mask", "straight"):
            np.testing.assert_array_equal(cases.out(name), expected.ravel(), err_msg=name)
        else:
            found = cases.out(name).reshape(*expected.shape[:2], 4)
            difference = np.abs(found[..., : expected.shape[2]].astype(int) - expected)
            assert difference.max() <= 1, (name, difference.max())
            if one["call"] == "harmonize":
                assert (difference > 0).mean() < 0.1, name
            if one.get("strength") == 0:
                assert not difference.any(), name


@pytest.mark.slow
def test_a_network_that_paints(packages, made_once, tmp_path):
    pytest.importorskip("torch")
    from edge_harmony.export.onnx import export_onnx

    def export(folder):
        export_onnx("hdnet-lite", weights_folder() / "hdnet-lite.safetensors", folder)

    (model,) = made_once("hdnet-lite-onnx", export).glob("*.onnx")
    cases = Cases(tmp_path)
    _, composite, mask = SAMPLES[1]
    with load_runner(artifact=model) as runner:
        expected = Harmonizer(runner).harmonize(composite, mask)
    cases.add("painted", "harmonize", expected, picture=composite, mask=mask, model=str(model))
    answers = cases.run(packages)
    assert answers == {"harmonize-painted": {"width": composite.shape[1], "height": composite.shape[0]}}
    found = cases.out("harmonize-painted").reshape(*mask.shape, 4)[..., :3]
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert np.abs(found.astype(int) - composite)[mask > 0].mean() > 1


@pytest.mark.slow
def test_the_types_are_those_of_the_code(packages, tmp_path):
    call = [packages / "node_modules" / ".bin" / "tsc", "-p", MODULE, "--outDir", tmp_path]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    made = {path.name: path.read_text() for path in tmp_path.glob("*.d.ts")}
    assert made == {path.name: path.read_text() for path in (MODULE / "types").glob("*.d.ts")}, (
        "tsc -p examples/web/harmonize"
    )
