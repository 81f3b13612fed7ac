"""A seeded part of the campaign of inputs, and what its parts promise each other."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from edge_harmony.errors import UsageError
from edge_harmony.files.lock import alone
from tests.faults import input_campaign
from tests.faults.containers import fields_of
from tests.faults.input_campaign import Worker, run_inputs, write_failing
from tests.faults.inputs import Verdict, make_input
from tests.faults.journal import Journal
from tests.faults.known import KNOWN
from tests.faults.mutators import mutate
from tests.faults.readers import READERS, mutators_of
from tests.faults.seeds import MARK, make_seeds

pytestmark = pytest.mark.lengthy

CAMPAIGN = 7


@pytest.fixture(scope="module")
def seeds(made_once):
    pytest.importorskip("coremltools")
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("torch")
    return made_once("fault-seeds", lambda folder: make_seeds(folder / "all")) / "all"


@pytest.mark.slow
def test_three_hundred_inputs_end_in_a_result_or_in_a_line(seeds, tmp_path):
    (tmp_path / "seeds").symlink_to(seeds)
    journal = run_inputs(tmp_path, CAMPAIGN, range(300), 1)
    assert len(journal.verdicts) == 300
    assert journal.faults == [], journal.summary()
    counts = journal.counts()
    assert len(counts) == len(READERS), "every kind of file has its turn"
    assert sum(found["refused"] for found in counts.values()) > 60
    assert sum(found["read"] for found in counts.values()) > 30


def test_what_is_known_is_nothing():
    assert KNOWN == ()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.kind)
def test_sound_files_are_read(seeds, tmp_path, reader):
    """Else nothing but refusals would be tried."""
    wanted = {"result": {0, 6}, "public-checkpoint": {1}}.get(reader.kind, {0, None})  # the latter holds a part only
    for place in (seeds / reader.kind).iterdir():
        folder = tmp_path / place.name
        shutil.copytree(place, folder)
        (folder / "out").mkdir()
        assert reader.read(folder, folder / (folder / MARK).read_text()) in wanted, place.name


def test_an_input_is_made_from_its_number_alone(seeds, tmp_path):
    for number in range(40):
        one, other = (make_input(seeds, CAMPAIGN, number, tmp_path / name) for name in ("one", "other"))
        assert one.file.read_bytes() == other.file.read_bytes()
        assert one.reader is other.reader


@pytest.mark.parametrize("kind", [reader.kind for reader in READERS])
def test_mutants_of_every_seed_differ_from_it_and_from_each_other(seeds, kind):
    rng = np.random.default_rng(3)
    for place in (seeds / kind).iterdir():
        file = place / (place / MARK).read_text()
        sound = file.read_bytes()
        mutants = {mutate(sound, rng, mutators_of(kind, file)) for _ in range(12)}
        assert len(mutants - {sound}) > 6


def test_mutators_that_know_a_format_do_not_give_up_on_a_sound_file(seeds):
    """One that fails on a sound file would leave only blind bytes."""
    rng = np.random.default_rng(5)
    for reader in READERS:
        for place in (seeds / reader.kind).iterdir():
            file = place / (place / MARK).read_text()
            for change in mutators_of(reader.kind, file):
                made = [change(file.read_bytes(), rng) for _ in range(8)]
                assert any(data != file.read_bytes() for data in made), (file, change)


def test_fields_of_a_protocol_buffer_are_those_of_the_library(seeds):
    onnx = pytest.importorskip("onnx")
    data = (seeds / "onnx" / "fp32" / "edge-n-64x64-fp32.onnx").read_bytes()
    wanted = [descriptor.number for descriptor, _ in onnx.load_from_string(data).ListFields()]
    assert sorted({number for number, _, _ in fields_of(data)}) == sorted(wanted)


def test_a_worker_that_dies_is_a_fault_and_is_replaced(seeds, tmp_path):
    worker = Worker(seeds, CAMPAIGN, tmp_path / "worker")
    try:
        worker.hand(0)
        worker.process.kill()
        assert worker.answer() is None
        worker.hand(1)
        verdict = worker.answer()
        assert (verdict.number, verdict.fault) == (1, "")
    finally:
        worker.end()


def test_a_slow_worker_is_not_blocked_and_one_that_waits_is(monkeypatch):
    now, used = [0.0], [0.0]
    process = SimpleNamespace(cpu_times=lambda: (used[0], 0.0, 7.0))
    monkeypatch.setattr(input_campaign, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(input_campaign, "psutil", SimpleNamespace(Process=lambda pid: process))
    worker = Worker.__new__(Worker)
    worker.process, worker._used, worker._since = SimpleNamespace(pid=1), 0.0, 0.0
    for now[0], used[0], blocked in ((500, 1, False), (1000, 2, False), (1500, 2, False), (1601, 2, True)):
        assert worker.is_blocked() is blocked


def test_a_campaign_has_its_folder_to_itself(tmp_path):
    with alone(tmp_path), pytest.raises(UsageError, match="another run"):
        run_inputs(tmp_path, CAMPAIGN, [], 1)


def test_a_journal_goes_on_after_a_kill_in_the_middle_of_a_line(tmp_path):
    journal = Journal.at(tmp_path / "journal.jsonl")
    journal.add(Verdict(1, "picture", "png", "read"))
    journal.add(Verdict(2, "picture", "png", "fault", "hang", "words"))
    with journal.path.open("a") as file:
        file.write('{"number": 3, "kind"')
    again = Journal.at(journal.path)
    assert set(again.verdicts) == {1, 2}
    assert [verdict.number for verdict in again.faults] == [2]
    assert "picture: hang (1: 2)" in again.summary()


def test_a_failing_input_is_written_as_files(seeds, tmp_path):
    (tmp_path / "seeds").symlink_to(seeds)
    write_failing(tmp_path, CAMPAIGN, Verdict(3, "picture", "png", "fault", "hang", "words"))
    (folder,) = (tmp_path / "failed").iterdir()
    assert (folder / "verdict.txt").read_text().startswith("hang")
    assert len(list(folder.iterdir())) > 2
