"""One mutated input: made from its number, read by the product, judged."""

from __future__ import annotations

import bisect
import gc
import itertools
import shutil
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from edge_harmony.errors import EdgeHarmonyError, ExitCode
from tests.faults.mutators import mutate
from tests.faults.readers import READERS, Reader, mutators_of
from tests.faults.seeds import MARK

MEMORY = 1536 << 20
"""Bytes that one small input may take, besides what the process had before."""
ADDRESSES = 4 << 30
"""Bytes of addresses that a worker may ask for while it reads one input."""
SECONDS = 30
"""Seconds of a core's time for one small input."""


@dataclass(frozen=True)
class Verdict:
    """What became of an input or an accident.

    Attributes:
        number: its number in the campaign.
        kind: of file, or of accident.
        name: of its seed, or of its scenario.
        outcome: ``read``, ``refused`` or ``fault``.
        fault: what is wrong, in a line; empty if nothing is.
        detail: a traceback, or what was printed.
    """

    number: int
    kind: str
    name: str
    outcome: str
    fault: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Input:
    """A mutated file with what is needed to read it, in a folder of its own."""

    number: int
    reader: Reader
    name: str
    folder: Path
    file: Path


def drawn(seeds: Path, campaign: int, number: int) -> tuple[np.random.Generator, Reader, Path]:
    """What the campaign's seed and the number decide: the further choices, the reader, the folder of the seed."""
    rng = np.random.default_rng((campaign, number))
    ends = list(itertools.accumulate(reader.share for reader in READERS))
    reader = READERS[bisect.bisect(ends, int(rng.integers(0, ends[-1])))]
    places = sorted((seeds / reader.kind).iterdir())
    return rng, reader, places[int(rng.integers(0, len(places)))]


def numbers_of(seeds: Path, campaign: int, pattern: str) -> Iterator[int]:
    """The numbers whose seed, ``KIND/NAME``, fits a pattern of :mod:`fnmatch`; without end."""
    for number in itertools.count():
        _, reader, place = drawn(seeds, campaign, number)
        if fnmatchcase(f"{reader.kind}/{place.name}", pattern):
            yield number


def make_input(seeds: Path, campaign: int, number: int, folder: Path) -> Input:
    """Copy a seed to ``folder`` and mutate it; the campaign's seed and the number decide how."""
    rng, reader, place = drawn(seeds, campaign, number)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place, folder)
    file = folder / (folder / MARK).read_text()
    (folder / MARK).unlink()
    (folder / "out").mkdir()
    file.write_bytes(mutate(file.read_bytes(), rng, mutators_of(reader.kind, file)))
    return Input(number, reader, place.name, folder, file)


def judge(given: Input, printed: Path) -> Verdict:
    """Read an input in this process and say what is wrong with how it was read.

    Args:
        given: the input.
        printed: the file that this process's stderr goes to; it is empty before.
    """
    before, threads = given.file.read_bytes(), threading.active_count()
    reset_peak()
    resident = status_of_process("VmRSS")
    status: int | None = None
    fault = detail = ""
    try:
        status = given.reader.read(given.folder, given.file)
        refused = bool(status)
    except EdgeHarmonyError as error:
        refused = True
        if "\n" in str(error).strip():
            fault, detail = "the error has several lines", str(error)
    except BaseException as error:
        refused = True
        fault, detail = summary_of(error), traceback.format_exc()
    said = printed.read_text(errors="replace")
    peak = status_of_process("VmHWM") - resident
    if not fault:
        fault = complaint_about(given, status, said) or changed(given, before)
        detail = said if fault else ""
    if not fault and ("not enough memory" in said or peak > MEMORY):
        fault, detail = f"took more than {MEMORY >> 20} MiB of memory", f"{peak >> 20} MiB\n{said}"
    if not fault and open_files(given.folder):
        gc.collect()  # what only circles of references hold is closed in time
        if left := open_files(given.folder):
            fault, detail = "left a file open", str(left)
    if not fault and threading.active_count() > threads + 2:  # pools that stay are started once
        fault = "left threads behind"
    outcome = "fault" if fault else "refused" if refused else "read"
    return Verdict(given.number, given.reader.kind, given.name, outcome, fault, detail)


def summary_of(error: BaseException) -> str:
    """Kind of an exception, and the innermost function of the package that it passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/edge_harmony/" in frame.filename]
    where = ""
    if frames:
        where = f" in {frames[-1].filename.rpartition('/edge_harmony/')[2]}, {frames[-1].name}"
    return f"{type(error).__name__}{where}"


def complaint_about(given: Input, status: int | None, said: str) -> str:
    """What is wrong with a verb's exit status, its words and its results; empty if nothing is."""
    if left := [path.name for path in given.folder.rglob("*") if ".part" in path.name]:
        return f"left {left[0]} behind"
    if status is None:
        return ""
    if status not in set(ExitCode):
        return f"exit status {status}"
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if "Traceback (most recent call last)" in said:
        return "printed a traceback"
    reports = given.reader.kind in ("onnx", "tflite", "run-record", "result")  # several verbs, or a line for each file
    if status and not errors and given.reader.kind != "result":  # a comparison has an exit status of its own
        return f"exit status {status} without a line"
    if len(errors) > 1 and not reports:
        return "several lines of errors"
    results = list((given.folder / "out").glob("result.*"))
    if status and results:
        return "an error, and a result all the same"
    if any(path.stat().st_size == 0 for path in results):
        return "an empty result"
    return ""


def changed(given: Input, before: bytes) -> str:
    """Whether the input is another file afterwards."""
    return "" if given.file.is_file() and given.file.read_bytes() == before else "the input was changed"


def status_of_process(field: str) -> int:
    """A number of bytes in Linux' status of this process; 0 elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)


def reset_peak() -> None:
    """Let Linux' peak of resident memory begin again."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def open_files(folder: Path) -> list[str]:
    """The files below a folder that this process holds open, where the system says."""
    held = Path("/proc/self/fd")
    names = [str(link.readlink()) for link in held.iterdir() if link.is_symlink()] if held.is_dir() else []
    return [name for name in names if name.startswith(f"{folder}/")]
