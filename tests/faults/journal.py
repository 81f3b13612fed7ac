"""What a campaign has found so far, in a file: a campaign that was stopped goes on where it ended."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.inputs import Verdict
from tests.faults.known import is_known
from tests.faults.seeds import ROOT

CODE = (ROOT / "edge_harmony", ROOT / "tests" / "faults")
"""What a campaign tries, and what tries it: their processes import from here at any time."""


class CodeChangedError(RuntimeError):
    """The code was edited while a campaign ran, so that its verdicts say nothing of either state."""


def code_state() -> dict[Path, int]:
    """When each file of the code was changed."""
    return {file: file.stat().st_mtime_ns for folder in CODE for file in folder.rglob("*.py")}


@dataclass
class Journal:
    """The verdicts of a campaign, kept in ``path`` as a line of JSON each."""

    path: Path
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    code: dict[Path, int] = field(default_factory=code_state, repr=False)

    @classmethod
    def at(cls, path: Path) -> Journal:
        """Open a journal, new or begun; a last line that was cut off by a kill does not count."""
        journal = cls(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    verdict = Verdict(**json.loads(line))
                except (ValueError, TypeError):
                    continue
                journal.verdicts[verdict.number] = verdict
        return journal

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict.

        Raises:
            CodeChangedError: the code is no longer that with which the campaign began.
        """
        if code_state() != self.code:
            raise CodeChangedError("the code was changed: begin again, and from a copy of the checkout while you edit")
        self.verdicts[verdict.number] = verdict
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(verdict)) + "\n")

    @property
    def faults(self) -> list[Verdict]:
        """Verdicts of faults, those that are known left out."""
        return [verdict for verdict in self.verdicts.values() if verdict.fault and not is_known(verdict)]

    def counts(self) -> dict[str, Counter[str]]:
        """How many inputs of each kind had each outcome."""
        found: dict[str, Counter[str]] = {}
        for verdict in self.verdicts.values():
            found.setdefault(verdict.kind, Counter())[verdict.outcome] += 1
        return found

    def summary(self) -> str:
        """A table for people: by kind what was tried, read, refused and found; then each fault with its numbers."""
        lines = [f"{'kind':24}{'tried':>8}{'read':>8}{'refused':>9}{'faults':>8}"]
        for kind, found in sorted(self.counts().items()):
            tried = sum(found.values())
            lines.append(f"{kind:24}{tried:8}{found['read']:8}{found['refused']:9}{found['fault']:8}")
        total = sum(self.counts().values(), Counter())
        lines.append(f"{'all':24}{sum(total.values()):8}{total['read']:8}{total['refused']:9}{total['fault']:8}")
        by_fault: dict[tuple[str, str, bool], list[int]] = {}
        for verdict in self.verdicts.values():
            if verdict.fault:
                by_fault.setdefault((verdict.kind, verdict.fault, is_known(verdict)), []).append(verdict.number)
        for (kind, fault, known), numbers in sorted(by_fault.items()):
            some = ", ".join(map(str, numbers[:4]))
            lines.append(f"{'known: ' if known else ''}{kind}: {fault} ({len(numbers)}: {some})")
        return "\n".join(lines)
