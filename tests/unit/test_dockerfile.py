"""The CPU image, as far as it can be checked without a Docker daemon: its files, extras, user and entry point exist."""

import fnmatch
import json
import re

import pytest

from edge_harmony.files.toml import tomllib
from tests.unit.test_imports import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = re.sub(r"\\\n\s*", "", "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))).splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COPIED = [word for line in LINES if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]]


def arguments(instruction):
    return [line.split(" ", 1)[1] for line in LINES if line.startswith(f"{instruction} ")]


@pytest.mark.parametrize("source", COPIED)
def test_what_is_copied_exists_and_is_sent_to_the_daemon(source):
    assert (ROOT / source).exists()
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert any(fnmatch.fnmatch(source, pattern) or source.startswith(f"{pattern}/") for pattern in sent)


def test_all_that_the_wheel_is_built_from_is_copied():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], "pyproject.toml", PROJECT["project"]["readme"]}
    needed |= {pattern.removesuffix("/*") for pattern in PROJECT["project"]["license-files"]}
    needed.add(wheel["hooks"]["custom"]["path"].partition("/")[0])
    assert needed <= set(COPIED)


def test_extras_and_the_entry_point_exist():
    (extras,) = re.findall(r"/src\[([\w,-]+)\]", TEXT)
    assert set(extras.split(",")) <= PROJECT["project"]["optional-dependencies"].keys()
    assert [json.loads(text) for text in arguments("ENTRYPOINT")] == [["edge-harmony"]]
    assert "edge-harmony" in PROJECT["project"]["scripts"]


def test_it_is_slim_and_runs_without_root():
    images = [text.split()[0] for text in arguments("FROM")]
    assert len(set(images)) == 1
    assert images[0].endswith("-slim")
    last = max(k for k, line in enumerate(LINES) if line.startswith("USER "))
    assert LINES[last] != "USER root"
    assert not any(line.startswith("RUN") for line in LINES[last:])
    user = LINES[last].split()[1]
    assert any("useradd" in line and user in line for line in LINES[:last])


def test_the_python_of_the_image_is_one_that_is_supported():
    version = re.search(r"python:(3\.\d+)", TEXT)[1]
    assert f"Programming Language :: Python :: {version}" in PROJECT["project"]["classifiers"]
