"""The wheel and the documents."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer

import edge_harmony
from docs.tables import TABLES
from docs.tabulated.results import result
from edge_harmony.cli.main import app
from edge_harmony.files.atomic import sha256_of
from edge_harmony.models.registry import MODELS, bundled_weights, weights_folder
from edge_harmony.pictures import kernels

pytestmark = pytest.mark.lengthy

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "edge_harmony"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]


def build_wheel(folder, **environment):
    """A wheel in ``folder``; the process that built it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done = build_wheel(folder, EDGE_HARMONY_NATIVE="no")
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_a_wheel_for_every_platform_holds_no_compiled_code(wheel):
    assert wheel.filename.endswith("-py3-none-any.whl")
    assert not [name for name in wheel.namelist() if name.endswith((".so", ".pyd", ".cpp", ".h"))]


@pytest.mark.skipif(sys.platform == "win32", reason="compilers are found in another way there")
def test_without_a_compiler_the_package_is_built_all_the_same(tmp_path):
    """A compiler that fails is like one that is missing; only where the extension is required it is an error."""
    broken = {"CC": "false", "CXX": "false"}
    done = build_wheel(tmp_path, **broken)
    assert done.returncode == 0, done.stderr
    assert "the loops over pixels are not compiled" in done.stdout + done.stderr
    (path,) = tmp_path.glob("*.whl")
    assert path.name.endswith("-py3-none-any.whl")
    path.unlink()
    assert build_wheel(tmp_path, EDGE_HARMONY_NATIVE="required", **broken).returncode != 0
    assert build_wheel(tmp_path, EDGE_HARMONY_NATIVE="perhaps").returncode != 0
    assert not list(tmp_path.glob("*.whl"))


@pytest.mark.slow
@pytest.mark.skipif(not kernels.NATIVE, reason="the loops are not compiled here, perhaps for want of a compiler")
def test_a_compiled_wheel_is_for_this_platform_and_for_later_versions_of_python(tmp_path):
    done = build_wheel(tmp_path, EDGE_HARMONY_NATIVE="required")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.whl")
    tag = "cp311-abi3" if sys.version_info >= (3, 11) else f"cp3{sys.version_info[1]}-cp3{sys.version_info[1]}"
    assert tag in path.name
    assert "any" not in path.name
    (compiled,) = [info for info in zipfile.ZipFile(path).infolist() if info.filename.endswith((".so", ".pyd"))]
    assert compiled.filename.startswith("edge_harmony/pictures/_native.")
    assert compiled.file_size < 1e6


def test_the_wheel_holds_the_package_and_its_data_only(wheel):
    names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {
        "edge_harmony",
        f"edge_harmony-{edge_harmony.__version__}.dist-info",
    }
    for target in (ROOT / "export" / "targets").glob("*.toml"):
        assert f"edge_harmony/shipped/targets/{target.name}" in names
    for kind in ("suites", "budgets"):
        for path in (ROOT / "benchmarks" / kind).glob("*.toml"):
            assert f"edge_harmony/shipped/{kind}/{path.name}" in names
    for part in (
        "training/recipes/edge-s.toml",
        "models/weights/edge-s-160x160-int8.onnx",
        "samples/CREDITS.md",
        "py.typed",
    ):
        assert f"edge_harmony/{part}" in names
    for path in (ROOT / "examples" / "web").rglob("*.*"):
        assert f"edge_harmony/shipped/web/{path.relative_to(ROOT / 'examples' / 'web').as_posix()}" in names
    assert sum(info.file_size for info in wheel.infolist()) < 24e6


def test_the_base_install_does_not_need_torch(tmp_path):
    """Importing the API and the command line, and running INT8, without torch, onnx and safetensors."""
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'safetensors', 'onnxscript'): sys.modules[name] = None\n"
        "from edge_harmony.cli.main import main\n"
        "from edge_harmony.samples import sample_files\n"
        "composite, mask = next(iter(sample_files()))\n"
        "assert main(['harmonize', str(composite), str(mask), '-o', sys.argv[1]]) == 0\n"
        "assert main(['models', '--json']) == 0\n"
        "for call in (['train', 'edge-s'], ['export', 'edge-s', '--target', 'cpu-onnxruntime-int8', '-o', 'x'],\n"
        "             ['harmonize', str(composite), str(mask), '-o', sys.argv[1], '--backend', 'pytorch']):\n"
        "    assert main(call) == 3, call\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 3
    assert all("pip install" in line for line in errors)


def test_no_module_is_a_drawer_of_odds_and_ends():
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_documents_exist(path):
    group = typer.main.get_command(app)
    for line in re.findall(r"^    (?:torchrun .* -m edge_harmony|edge-harmony) (.*)$", path.read_text(), re.MULTILINE):
        verb, *words = line.split("#")[0].split()
        command = group
        if verb.startswith("-"):
            words.insert(0, verb)
        else:
            command = group.commands[verb]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options, line


def between(text, name):
    return re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL).group(1)


def test_harm_was_measured_with_the_shipped_weights():
    for row in result("harm")["rows"]:
        assert row["weights_sha256"] == sha256_of(bundled_weights(row["model"])), row["model"]


@pytest.mark.parametrize(("document", "name"), TABLES, ids="-".join)
def test_tables_are_those_of_the_cards_and_results(document, name):
    assert between((ROOT / document).read_text(), name) == TABLES[document, name]()


def test_the_card_of_every_shipped_network_names_its_figures():
    for path in weights_folder().glob("*.json"):
        if path.stem in MODELS:
            facts = json.loads(path.read_text())
            text = path.with_suffix(".md").read_text()
            for key, digits in (("psnr", 2), ("fmse", 1)):
                assert f"{facts['quality'][key]:.{digits}f}" in text
                assert f"{facts['quality']['composite'][key]:.{digits}f}" in text
