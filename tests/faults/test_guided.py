"""The parsers that Atheris tries: sound files and some mutants of them, and Atheris itself where it is installed."""

from pathlib import Path

import numpy as np
import pytest

from tests.faults.guided import PARSERS, is_there, run_guided, seeds_of
from tests.faults.mutators import mutate
from tests.faults.readers import mutators_of
from tests.faults.seeds import make_seeds

pytestmark = pytest.mark.lengthy


@pytest.fixture(scope="module")
def seeds(made_once):
    for module in ("coremltools", "torch", "jinja2"):
        pytest.importorskip(module)
    return made_once("fault-seeds", lambda folder: make_seeds(folder / "all")) / "all"


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_sound_files_and_mutants_raise_nothing(parser, seeds, tmp_path):
    read, rng = parser.load(), np.random.default_rng(11)
    sound = seeds_of(parser, seeds)
    for data in sound:
        read(data, tmp_path)
    known = [mutators_of(parser.kinds[0], Path(f"a{suffix}")) for suffix in parser.suffixes]
    for k in range(40):
        read(mutate(sound[k % len(sound)], rng, known[k % len(known)]), tmp_path)


def test_faults_are_found_and_kept(seeds, tmp_path, monkeypatch):
    if not is_there():
        pytest.skip("Atheris is not installed")
    (tmp_path / "seeds").symlink_to(seeds)
    monkeypatch.setattr("tests.faults.guided.PARSERS", PARSERS[3:4])
    assert run_guided(tmp_path, 50, 3) == []
    assert len(list((tmp_path / "guided" / "manifests" / "corpus").iterdir())) > 2
