"""A process that reads one mutated input after the other: numbers in, verdicts out, a line of JSON each.

Its memory, its files and the processor time for each input are limited by the system. A crash or a limit ends the
process, and whoever started it knows the number.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import typer.main

import edge_harmony.cli.main as command_line
from edge_harmony.backends.onnxruntime import runner
from edge_harmony.models.registry import weights_folder
from tests.faults.inputs import ADDRESSES, SECONDS, judge, make_input, status_of_process

FILES = 256


def main(seeds: Path, campaign: int, home: Path) -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    printed = home / "printed"
    with printed.open("ab") as target:
        for descriptor in (1, 2):
            os.dup2(target.fileno(), descriptor)
    cv2.setNumThreads(1)
    keep_warm()
    os.environ["EDGE_HARMONY_HOME"] = str(home / "home")
    tempfile.tempdir = str(home)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    for line in sys.stdin:
        given = make_input(seeds, campaign, int(line), home / "input")
        os.truncate(printed, 0)
        limit()
        verdict = judge(given, printed)
        sys.stdout.flush()
        print(json.dumps(asdict(verdict)), file=answers)


def keep_warm() -> None:
    """Make once what no input changes: the parser of the command line, and sessions of the shipped networks."""
    real, kept = runner.open_session, {}

    def open_session(path: Path, options: Any) -> Any:
        if path.parent != weights_folder():
            return real(path, options)
        key = path, options.intra_op_num_threads
        if key not in kept:
            kept[key] = real(path, options)
        return kept[key]

    vars(runner)["open_session"] = open_session
    vars(command_line)["app"] = typer.main.get_command(command_line.app)


def limit() -> None:
    """Allow so much more of the processor's time and of addresses."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, (status_of_process("VmSize") + ADDRESSES, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
