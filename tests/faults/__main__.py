"""``python -m tests.faults``: run the campaign, a part of it, or one of its inputs or accidents again."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date
from itertools import islice
from pathlib import Path

from tests.faults.seeds import ROOT

PORT = 8099


def main() -> int:
    """Run what is asked for; the exit status is 1 if there are faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("what", choices=("inputs", "guided", "accidents", "stream", "crowd", "losses", "record"))
    parser.add_argument("--count", type=int, help="how many inputs, accidents, frames, requests, pictures")
    parser.add_argument("--first", type=int, default=0, help="number of the first input or accident")
    parser.add_argument("--only", metavar="KIND/NAME", help="inputs of some seeds, such as 'tflite/*', 'picture/*-psd'")
    parser.add_argument("--seed", type=int, default=1, help="of the campaign")
    parser.add_argument("--workers", type=int, default=2, help="processes that read inputs")
    parser.add_argument("--out", type=Path, default=Path("out/faults"), help="folder of journal and failing cases")
    arguments = parser.parse_args()
    parts = {
        "inputs": inputs,
        "guided": guided,
        "accidents": accidents,
        "stream": stream,
        "crowd": crowd,
        "losses": losses,
    }
    return (parts | {"record": record})[arguments.what](arguments)


def inputs(arguments: argparse.Namespace) -> int:
    """Mutated inputs."""
    from tests.faults.input_campaign import run_inputs
    from tests.faults.inputs import numbers_of
    from tests.faults.seeds import make_seeds

    numbers: Iterable[int] = range(arguments.first, arguments.first + (arguments.count or 10_000))
    if arguments.only:
        make_seeds(arguments.out / "seeds")
        numbers = islice(numbers_of(arguments.out / "seeds", arguments.seed, arguments.only), arguments.count or 10_000)
    journal = run_inputs(arguments.out, arguments.seed, numbers, arguments.workers)
    print(journal.summary())
    return 1 if journal.faults else 0


def guided(arguments: argparse.Namespace) -> int:
    """Inputs for our own parsers, guided by coverage."""
    from tests.faults.guided import is_there, run_guided

    if not is_there():
        print("guided inputs are left out: pip install atheris")
        return 0
    faults = run_guided(arguments.out, arguments.count or 20_000, arguments.seed)
    print("\n".join(faults))
    return 1 if faults else 0


def accidents(arguments: argparse.Namespace) -> int:
    """Accidents."""
    from tests.faults.accidents import run_accidents

    numbers = range(arguments.first, arguments.first + (arguments.count or 1_000))
    journal = run_accidents(arguments.out, arguments.seed, numbers)
    print(journal.summary())
    return 1 if journal.faults else 0


def record(arguments: argparse.Namespace) -> int:
    """Write what the campaign's folder holds into the committed result; people write the findings in it, which stay."""
    import edge_harmony
    from tests.faults.journal import Journal

    path = ROOT / "benchmarks" / "results" / "0.1.0" / "faults.json"
    content = json.loads(path.read_text()) if path.exists() else {"findings": []}
    content |= {"campaign": arguments.seed, "date": f"{date.today():%Y-%m-%d}", "version": edge_harmony.__version__}
    for part in ("inputs", "accidents"):
        counts = Journal.at(arguments.out / f"{part}-{arguments.seed}.jsonl").counts()
        content[part] = {
            "kinds": {
                kind: {
                    "tried": sum(found.values()),
                    "read": found["read"],
                    "refused": found["refused"],
                    "faults": found["fault"],
                }
                for kind, found in sorted(counts.items())
            }
        }
    for part in ("stream", "crowd", "losses"):
        if (kept := arguments.out / f"{part}.json").exists():
            content[part] = json.loads(kept.read_text())
    path.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def keep(out: Path, part: str, found: object) -> None:
    """Write what a part found into the campaign's folder, for :func:`record`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{part}.json").write_text(json.dumps(found, indent=1) + "\n")


def stream(arguments: argparse.Namespace) -> int:
    """An hour of frames in three ways, at once."""
    from tests.faults.long_stream import run_ways

    found = run_ways(arguments.out.resolve(), arguments.count or 100_000)
    keep(arguments.out, "stream", {way: asdict(held) for way, held in found.items()})
    for way, held in found.items():
        print(f"{way}: {asdict(held)}")
    return 0 if all(held.is_flat for held in found.values()) else 1


def crowd(arguments: argparse.Namespace) -> int:
    """Requests to the demo page, a tenth of them hostile."""
    from tests.faults.demo_crowd import meet

    requests = arguments.count or 200
    met = meet(arguments.out.resolve() / "demo", PORT, requests)
    hostile = requests // 10
    keep(
        arguments.out, "crowd", {"requests": requests, "hostile": hostile, "answers": met.answers, "memory": met.memory}
    )
    print(f"{met.answers} answered, at most {met.memory >> 20} MiB more than after the first picture")
    print("\n".join(met.wrong))
    return 1 if met.wrong or "Traceback" in met.printed else 0


def losses(arguments: argparse.Namespace) -> int:
    """A Ray cluster that loses a worker, then one that loses a node."""
    from tests.faults.ray_losses import lose
    from tests.unit.folder.making import make_folders

    failed, kept = 0, []
    count = arguments.count or 400
    for node in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            found = lose(*make_folders(Path(folder), count), node=node)
        once = set(found.outcomes.values()) == {1} and len(found.results) == count
        print(f"lost {found.lost}: {len(found.results)} results, {len(found.errors)} errors, each once: {once}")
        failed += bool(found.errors) or not once
        part = "a node" if node else "a worker"
        kept.append({"lost": part, "pictures": count, "results": len(found.results), "each once": once})
    keep(arguments.out, "losses", kept)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
