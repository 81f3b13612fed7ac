"""A process in which libFuzzer tries inputs on one parser of :mod:`tests.faults.guided`, and which it ends."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["edge_harmony"]):  # before anything else imports a module of the package
    from tests.faults.guided import PARSERS
    from tests.faults.mutators import mutate
    from tests.faults.readers import mutators_of


def main(name: str, folder: Path, options: list[str]) -> None:
    """Try inputs until libFuzzer has had enough."""
    parser = next(parser for parser in PARSERS if parser.name == name)
    with atheris.instrument_imports(include=["edge_harmony"]):
        read = parser.load()
    known = [mutators_of(parser.kinds[0], Path(f"a{suffix}")) for suffix in parser.suffixes]

    def change(data: bytes, longest: int, seed: int) -> bytes:
        """libFuzzer's mutations and those of the format, in turns."""
        rng = np.random.default_rng(seed)
        if rng.random() < 0.5:
            changed: bytes = atheris.Mutate(data, longest)
            return changed
        return mutate(bytes(data), rng, known[int(rng.integers(len(known)))])[:longest]

    atheris.Setup([sys.argv[0], *options], lambda data: read(data, folder), custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
