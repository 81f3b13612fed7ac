"""Calls of the command line within this process, on a sample."""

import json

from edge_harmony.cli.main import main
from edge_harmony.samples import sample_files

COMPOSITE, MASK = next(iter(sample_files()))


def run(capsys, *arguments):
    status = main([str(a) for a in arguments])
    streams = capsys.readouterr()
    return status, streams.out, streams.err


def run_json(capsys, *arguments):
    status, out, err = run(capsys, *arguments, "--json")
    assert status == 0, err
    return json.loads(out)
