"""``python -m tests.faults``: run the campaign, or one of its inputs or accidents again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.faults.input_campaign import run_inputs


def main() -> int:
    """Run what is asked for; the exit status is 1 if there are faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("what", choices=("inputs",))
    parser.add_argument("--count", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=1, help="of the campaign")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=Path("out/faults"), help="folder of journal and failing cases")
    arguments = parser.parse_args()
    numbers = range(arguments.first, arguments.first + arguments.count)
    journal = run_inputs(arguments.out, arguments.seed, numbers, arguments.workers)
    print(journal.summary())
    return 1 if journal.faults else 0


if __name__ == "__main__":
    sys.exit(main())
