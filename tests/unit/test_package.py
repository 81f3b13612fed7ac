"""The wheel and the documents."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer

import edge_harmony
from docs.tables import TABLES, result
from edge_harmony.cli.main import app
from edge_harmony.files.atomic import sha256_of
from edge_harmony.models.registry import MODELS, bundled_weights, weights_folder

pytestmark = pytest.mark.lengthy

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "edge_harmony"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=600)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


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
