"""The folder that export writes, and where onnxruntime-web comes from.

Stand-ins for npm and its package, and for the network; ``test_page.py`` has them all.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.backends.onnxruntime_web import runtime
from edge_harmony.backends.onnxruntime_web.page import PARTS
from edge_harmony.backends.targets import read_target
from edge_harmony.cli.main import main
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError
from edge_harmony.export.names import onnx_name


def packed(names, content=b"of ONNX Runtime"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as package:
        for name in names:
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def package(monkeypatch):
    """The bytes of a package, whose hash is the expected one."""
    made = packed([*runtime.WASM, *runtime.WEBGPU])
    monkeypatch.setattr(runtime, "SHA512", base64.b64encode(hashlib.sha512(made).digest()).decode())
    return made


@pytest.fixture
def kept(package):
    """The package, where one that was fetched by hand is put."""
    path = runtime.package_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(package)
    return path


@pytest.fixture
def build(kept, small_networks, monkeypatch):
    """A function that builds a page around a small network, which is not exported first."""

    def export(request, source, folder, *, flavour):
        name = onnx_name(request.model, request.working_size, request.precision, keep_float=request.keep_float)
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in ("", ".json"):
            shutil.copy(f"{small_networks['fp32']}{suffix}", folder / f"{name}{suffix}")
        return folder / name

    monkeypatch.setattr("edge_harmony.backends.onnxruntime_web.backend.export_file", export)

    def make(target, folder, **options):
        found = read_target(target)
        return get_backend(found.backend).build(found.request("edge-n", **options), Path("weights"), folder)

    return make


def write_npm(folder, lines):
    """An npm of one's own, first on the path."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!{sys.executable}\nimport shutil, sys\n{lines}\n")
    (folder / "npm").chmod(0o755)


def site_of(folder):
    """What the page reads."""
    found = re.fullmatch(r"// [^\n]*\nself.SITE = (.*);\n", (folder / "site.js").read_text(), re.DOTALL)
    return json.loads(found[1])


def test_the_folder_is_a_page(build, tmp_path):
    out = tmp_path / "site"
    artifact = build("web-int8", out)
    assert artifact == out / "edge-n-256x256-int8.onnx"
    site = site_of(out)
    assert site["models"] == [{"name": "edge-n", "precision": "fp32", "file": artifact.name}]
    assert set(site["runtimes"]) == {"wasm"}
    assert all((out / name).is_file() for name in [*site["files"][1:], *site["runtimes"]["wasm"].values()])
    assert "./" in site["files"]
    assert "service-worker.js" not in site["files"]
    for pattern in PARTS:
        assert list(out.glob(pattern)), pattern
    assert (out / "samples" / "CREDITS.md").is_file()
    assert (out / "onnxruntime" / "LICENSE").is_file()
    named = re.findall(r'(?:src|href)="([\w./-]+)"', (out / "index.html").read_text())
    manifest = json.loads((out / "manifest.webmanifest").read_text())
    assert len(named) > 5
    assert {*named, *(icon["src"] for icon in manifest["icons"])} <= set(site["files"])
    for path in out.rglob("*.js"):
        for name in re.findall(r'(?:from|import) "(\./[^"]*|\.\./[^"]*)"', path.read_text()):
            assert (path.parent / name).resolve().relative_to(out.resolve()).as_posix() in site["files"], path

    before = (out / "site.js").read_bytes()
    build("web-int8", out)
    assert (out / "site.js").read_bytes() == before
    build("web-int8", out, keep_float=("head",))
    again = site_of(out)
    assert [model["file"] for model in again["models"]][1] == artifact.name  # the newest is the first choice
    assert again["version"] != site["version"]


def test_a_runtime_for_gpus(build, tmp_path):
    build("web-fp32", tmp_path)
    site = site_of(tmp_path)
    assert set(site["runtimes"]) == {"wasm", "webgpu"}
    for files in site["runtimes"].values():
        assert all((tmp_path / name).read_bytes() == b"of ONNX Runtime" for name in files.values())
    assert not set(site["runtimes"]["webgpu"].values()) & set(site["files"])  # kept when it is used
    assert set(site["runtimes"]["wasm"].values()) <= set(site["files"])


def test_the_page_of_others_is_not_overwritten(build, tmp_path):
    (tmp_path / "index.html").write_text("<title>Home</title>")
    with pytest.raises(UsageError, match=r"holds an index\.html that is not of this page; choose another folder"):
        build("web-int8", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    (tmp_path / "index.html").unlink()
    build("web-int8", tmp_path)
    (tmp_path / "site.js").unlink()  # as a kill leaves it
    build("web-int8", tmp_path)


def test_what_it_does_not_do(build, tmp_path):
    target = read_target("web-int8")
    backend = get_backend(target.backend)
    assert not backend.probe().available
    for call in (
        lambda: backend.steps(target.request("edge-n", whole_pipeline=True)),
        lambda: build("web-int8", tmp_path, whole_pipeline=True),
    ):
        with pytest.raises(UsageError, match="takes no whole pipeline"):
            call()
    assert not list(tmp_path.iterdir())
    made = build("web-fp32", tmp_path)
    assert main(["check", str(made), "--target", "web-fp32"]) == 0
    with pytest.raises(CapabilityError, match="runs in browsers; open the page"):
        load_runner(artifact=made, backend="onnxruntime-web")
    with load_runner(artifact=made) as runner:  # the backend of its manifest is ONNX Runtime
        assert runner.io_spec.output == "affine"


def test_without_npm_the_plan_and_the_export_say_where_the_package_goes(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    call = ["export", "edge-n", "--target", "web-int8", "-o", str(tmp_path / "out")]
    assert main([*call, "--dry-run"]) == 0
    assert f"save {runtime.URL} as {runtime.package_path()}" in capsys.readouterr().out
    pytest.importorskip("torch")
    assert main(call) == 3
    said = capsys.readouterr().err
    assert "npm fetches, and there is no npm; install Node" in " ".join(said.split())
    assert not (tmp_path / "out").exists()


def test_npm_fetches_it_once(package, monkeypatch, tmp_path):
    (tmp_path / "sent.tgz").write_bytes(package)
    place = "sys.argv[sys.argv.index('--pack-destination') + 1]"
    write_npm(tmp_path / "bin", f"shutil.copy({str(tmp_path / 'sent.tgz')!r}, {place} + '/{runtime.PACKAGE}')")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert runtime.runtime_files(runtime.WASM) == dict.fromkeys(runtime.WASM, b"of ONNX Runtime")
    (tmp_path / "bin" / "npm").unlink()
    assert set(runtime.runtime_files(runtime.WEBGPU)) == set(runtime.WEBGPU)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("print('npm error 404 no such package', file=sys.stderr); sys.exit(1)", r"\(npm error 404 no such package\)"),
        ("", r"\(it wrote no package\)"),
    ],
)
def test_an_npm_that_fails(lines, said, monkeypatch, tmp_path):
    write_npm(tmp_path / "bin", lines)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(CapabilityError, match=rf"npm cannot fetch onnxruntime-web [\d.]+ {said}"):
        runtime.runtime_files(runtime.WASM)
    assert not runtime.package_path().exists()


def test_another_package_is_not_taken(kept):
    kept.write_bytes(packed(runtime.WASM, b"something else"))
    with pytest.raises(ArtifactError, match=r"is not the package https://.*; remove it"):
        runtime.runtime_files(runtime.WASM)
    kept.write_bytes(b"")
    with pytest.raises(ArtifactError, match="is not the package"):
        runtime.runtime_files(runtime.WASM)
