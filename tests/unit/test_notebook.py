"""The notebook runs as it is written, and its stored outputs are those of a run."""

import base64
import json
import os
import re
import sys

import cv2
import numpy as np
import pytest

from edge_harmony.harmonizer import Harmonizer
from edge_harmony.samples import sample_pictures
from tests.unit.test_imports import ROOT

pytestmark = pytest.mark.lengthy

PATH = ROOT / "examples" / "notebook" / "first-steps.ipynb"
NOTEBOOK = json.loads(PATH.read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def outputs_of(cell):
    """What a cell shows: the decoded picture, or the text."""
    shown = []
    for output in cell["outputs"]:
        assert output["output_type"] == "execute_result", output
        data = output["data"]
        if "image/jpeg" in data:
            pixels = np.frombuffer(base64.b64decode(data["image/jpeg"]), np.uint8)
            shown.append(cv2.imdecode(pixels, cv2.IMREAD_COLOR)[..., ::-1])
        else:
            shown.append("".join(data["text/plain"]))
    return shown


def test_it_is_stored_as_it_ran():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    text = PATH.read_text(encoding="utf-8")
    assert len(text) < 400_000
    assert not re.search(r'"/(home|root|work|tmp|usr)/', text)
    links = [re.findall(r"\]\((?!https?:)(.*?)\)", "".join(cell["source"])) for cell in NOTEBOOK["cells"]]
    assert all((PATH.parent / link).exists() for found in links for link in found)
    assert sum(map(len, links)) >= 3


def test_the_stored_pictures_are_before_mask_and_after():
    (picture,) = next(outputs_of(cell) for cell in CODE if "show(composite, gray, result)" in "".join(cell["source"]))
    samples = {name: (composite, mask) for name, composite, mask in sample_pictures()}
    composite, mask = samples["hopper-china"]
    with Harmonizer.from_pretrained() as harmonizer:
        result = harmonizer(composite, mask)
    wanted = np.hstack([composite, np.dstack([np.rint(mask * 255).astype(np.uint8)] * 3), result])
    wanted = cv2.resize(wanted, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(wanted.astype(int) - picture).mean() < 3


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    scripts = os.path.dirname(sys.executable)  # noqa: PTH120  (of the link, where the scripts are)
    monkeypatch.setenv("PATH", scripts, prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for before, after in zip(CODE, ran, strict=True):
        for stored, shown in zip(outputs_of(before), outputs_of(after), strict=True):
            if isinstance(stored, str):
                assert re.sub(r"'\d.*'", "VERSION", shown) == re.sub(r"'\d.*'", "VERSION", stored)
            else:
                assert np.abs(stored.astype(int) - shown).mean() < 3
    assert list(tmp_path.iterdir()) == []
