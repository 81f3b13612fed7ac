"""The journal of a campaign."""

import os

import pytest

from tests.faults import journal as module
from tests.faults.inputs import Verdict
from tests.faults.journal import CodeChangedError, Journal


def test_verdicts_of_code_that_was_changed_do_not_count(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    file = tmp_path / "code" / "a.py"
    file.write_text("x = 1")
    monkeypatch.setattr(module, "CODE", (tmp_path / "code",))
    journal = Journal.at(tmp_path / "journal.jsonl")
    journal.add(Verdict(1, "kind", "name", "read", "", ""))
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    with pytest.raises(CodeChangedError, match="begin again"):
        journal.add(Verdict(2, "kind", "name", "fault", "an error of the edit", ""))
    assert list(Journal.at(tmp_path / "journal.jsonl").verdicts) == [1]
    (tmp_path / "code" / "b.py").touch()
    with pytest.raises(CodeChangedError):
        journal.add(Verdict(3, "kind", "name", "read", "", ""))
