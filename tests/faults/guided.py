"""Inputs that are guided by coverage, for parsers that are our own: Atheris finds what random mutations do not.

Atheris (https://github.com/google/atheris) is a fuzzer for Python on LLVM's libFuzzer, and optional here. A parser has
a process of its own, which libFuzzer ends, and a corpus, from which the next run goes on.
"""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.seeds import MARK, ROOT, make_seeds

Read = Callable[[bytes, Path], None]
"""Reads bytes, for which it may write files into a folder; raises what is a fault."""
LONGEST = 1 << 18
"""Bytes of an input."""


@dataclass(frozen=True)
class Parser:
    """A parser of ours.

    Attributes:
        name: of the parser.
        kinds: of the seeds that it reads.
        suffixes: of their files, by which mutators that know their format are found.
        load: imports it and returns what reads bytes; Atheris watches the modules that it imports.
        prepare: what becomes of a seed before it is read.
    """

    name: str
    kinds: tuple[str, ...]
    suffixes: tuple[str, ...]
    load: Callable[[], Read]
    prepare: Callable[[bytes], bytes] = bytes


def headers() -> Read:
    """Kinds, sizes, segments, chunks, boxes and EXIF blocks of pictures: none of these functions raises."""
    from edge_harmony.pictures import exif, heif_boxes
    from edge_harmony.pictures.headers import jpeg_segments, png_chunks, png_pixels, tiff_numbers, webp_chunks

    def read(data: bytes, folder: Path) -> None:
        blocks = [data]
        for _, content in jpeg_segments(data)[0]:
            if content.startswith(exif.PREFIX):
                blocks.append(content.removeprefix(exif.PREFIX))
        png_chunks(data)
        assert len(png_pixels(data)) <= len(data)
        blocks += webp_chunks(data).values()
        tiff_numbers(data)
        heif_boxes.heif_kind(data)
        heif_boxes.is_whole(data)
        heif_boxes.is_sequence(data)
        assert 1 <= heif_boxes.main_picture(data).turned <= 8
        for block in blocks:
            assert 1 <= exif.read_orientation(block) <= 8
            changed = exif.settled(block, (64, 48))
            assert changed is None or len(changed) <= len(block)

    return read


def onnx_parts() -> Read:
    """The tensors of an ONNX file that are in other files."""
    from edge_harmony.files.onnx_parts import external_files

    def read(data: bytes, folder: Path) -> None:
        path = folder / "network.onnx"
        path.write_bytes(data)
        external_files(path)

    return read


def tensors() -> Read:
    """Weights: the header of a safetensors file, and what it says of a network."""
    from edge_harmony.errors import EdgeHarmonyError
    from edge_harmony.models.weights_file import read_weights

    def read(data: bytes, folder: Path) -> None:
        path = folder / "edge-n.safetensors"
        path.write_bytes(data)
        with contextlib.suppress(EdgeHarmonyError):
            read_weights(path)

    return read


def manifests() -> Read:
    """Manifests of artifacts."""
    from edge_harmony.errors import EdgeHarmonyError
    from edge_harmony.files.manifest import manifest_path, read_manifest

    def read(data: bytes, folder: Path) -> None:
        artifact = folder / "network.onnx"
        artifact.write_bytes(b"")
        manifest_path(artifact).write_bytes(data)
        with contextlib.suppress(EdgeHarmonyError):
            read_manifest(artifact)

    return read


def targets() -> Read:
    """Targets, with the options of their backends."""
    from edge_harmony.backends.targets import read_target
    from edge_harmony.errors import EdgeHarmonyError

    def read(data: bytes, folder: Path) -> None:
        path = folder / "target.toml"
        path.write_bytes(data)
        with contextlib.suppress(EdgeHarmonyError):
            read_target(str(path))

    return read


def results() -> Read:
    """Results of benchmarks: their statistics, compared with those of a sound one, and their reports."""
    from edge_harmony.benchmark.comparison import compare_results
    from edge_harmony.benchmark.report.html import page
    from edge_harmony.benchmark.report.text import as_csv, complaints, markdown
    from edge_harmony.benchmark.result import read_result
    from edge_harmony.errors import EdgeHarmonyError

    sound = read_result(ROOT / "benchmarks" / "results" / "0.1.0" / "cpu.json")

    def read(data: bytes, folder: Path) -> None:
        path = folder / "result.json"
        path.write_bytes(data)
        with contextlib.suppress(EdgeHarmonyError):
            found = read_result(path)
            for report in (as_csv, complaints, markdown, page):
                report(found)
            for pair in ((sound, found), (found, sound)):
                with contextlib.suppress(EdgeHarmonyError):
                    compare_results(*pair, 0.05)

    return read


def in_parts(data: bytes) -> bytes:
    """An ONNX file whose tensors are in another file."""
    import onnx

    model = onnx.load_from_string(data)
    onnx.external_data_helper.convert_model_to_external_data(model, location="parts.bin", size_threshold=0)
    serialized: bytes = model.SerializeToString()
    return serialized


PARSERS = (
    Parser("headers", ("picture", "mask"), (".jpg", ".png", ".webp", ".tif", ".avif"), headers),
    Parser("onnx-parts", ("onnx",), (".onnx",), onnx_parts, in_parts),
    Parser("tensors", ("weights",), (".safetensors",), tensors),
    Parser("manifests", ("manifest",), (".json",), manifests),
    Parser("targets", ("target",), (".toml",), targets),
    Parser("results", ("result",), (".json",), results),
)


def seeds_of(parser: Parser, seeds: Path) -> list[bytes]:
    """The sound files that a parser reads."""
    places = [place for kind in parser.kinds for place in sorted((seeds / kind).iterdir())]
    return [parser.prepare((place / (place / MARK).read_text()).read_bytes()) for place in places]


def run_guided(out: Path, count: int, seed: int) -> list[str]:
    """Try inputs on each parser; an input that fails is ``out/failed/guided-PARSER-...``.

    Args:
        out: folder of the campaign.
        count: inputs for each parser.
        seed: of the campaign.

    Returns:
        What is wrong, a line for each parser with a fault.
    """
    out = out.resolve()
    make_seeds(out / "seeds")
    (out / "failed").mkdir(exist_ok=True)
    faults = []
    for parser in PARSERS:
        home = out / "guided" / parser.name
        corpus = home / "corpus"
        if not corpus.exists():
            corpus.mkdir(parents=True)
            for k, data in enumerate(seeds_of(parser, out / "seeds")):
                (corpus / f"{k:03d}").write_bytes(data)
        options: dict[str, object] = {
            "runs": count,
            "seed": seed,
            "max_len": LONGEST,
            "timeout": 1200,
            "rss_limit_mb": 2048,
        }
        options["artifact_prefix"] = out / "failed" / f"guided-{parser.name}-"
        command = [sys.executable, "-m", "tests.faults.guided_worker", parser.name, home, corpus]
        command += [f"-{name}={value}" for name, value in options.items()]
        with (home / "said.txt").open("w") as said:
            status = subprocess.run(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT).returncode
        if status:
            faults.append(f"{parser.name}: exit status {status}, see {home / 'said.txt'}")
        else:
            print(f"{parser.name}: {count} inputs, {len(list(corpus.iterdir()))} of them reach something new")
    return faults


def is_there() -> bool:
    """Whether Atheris is installed."""
    return importlib.util.find_spec("atheris") is not None
