"""The tables of the documents, drawn from the registry, the cards and the committed results: ``make docs``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import typer

from edge_harmony.backends.targets import read_target
from edge_harmony.benchmark.report.columns import fastest_first, heading
from edge_harmony.benchmark.report.text import markdown_table
from edge_harmony.benchmark.result import Result, is_of_suite, read_result
from edge_harmony.cli.main import app
from edge_harmony.cli.trtexec import REFUSED, WITHOUT_EFFECT
from edge_harmony.models.registry import MODELS, weights_folder

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "0.1.0"
EARLIER = (
    "`edge-s` and `edge-m` were other networks then ([decision 18](decisions/0018-one-network-at-three-sizes.md))."
)
"""Goes when what is below it has been measured again."""


def result(name: str) -> dict[str, Any]:
    """A committed result."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content


def networks_table() -> str:
    """Sizes of all networks; scores of the shipped ones on pictures without a leak at the rim, and with it."""
    sealed = {row["model"]: row for row in result("harm")["rows"] if row["preparation"] == "sealed by 2"}
    lines = [
        "| network | parameters | works at | GFLOP | scored in | sealed: gain dB | made worse | no-change fMSE | "
        "plain: PSNR dB | fMSE |",
        "|---|---:|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for entry in MODELS.values():
        card = weights_folder() / f"{entry.name}.json"
        quality = json.loads(card.read_text())["quality"] if card.is_file() else None
        size = "{} x {}".format(*entry.size)
        scores = " | ".join("-" * 6)
        if quality:
            row = sealed[entry.name]
            harm = f"{row['gain']:+.2f} | {100 * row['worse']:.0f} % | {row['no_change']:.0f}"
            scores = f"{quality['precision'].upper()} | {harm} | {quality['psnr']:.2f} | {quality['fmse']:.1f}"
        work = f"{entry.parameters / 1e6:.3f} M | {size} | {entry.flops / 1e9:.2f}"
        lines.append(f"| `{entry.name}` | {work} | {scores} |")
    quality = json.loads((weights_folder() / "edge-s.json").read_text())["quality"]
    composite = quality["composite"]
    nothing = f"0 | 0 % | 0 | {composite['psnr']:.2f} | {composite['fmse']:.1f}"
    lines.append(f"| *composite, unharmonized* | | | | | {nothing} |")
    note = f"\n{quality['images']} test pictures of LB-Harmony at native size, ONNX Runtime; means over pictures.\n"
    return "\n".join(lines) + "\n" + note


def spread(row: dict[str, float], key: str) -> str:
    """Median and quartiles of a ratio."""
    return f"{row[key]:.1f} ({row[f'{key}_q25']:.1f}-{row[f'{key}_q75']:.1f})"


def machine(content: dict[str, Any]) -> str:
    """The machine of a result."""
    facts = content["machine"]
    return f"{facts['cpu']} ({', '.join(facts['features'])})"


def suite(name: str) -> Result:
    """A committed result of a suite."""
    return read_result(RESULTS / f"{name}.json")


def speed_table() -> str:
    """The suite ``cpu``, with the rows that most readers need."""
    content = suite("cpu")
    lines = [
        "| one picture of 256 x 256 | ms | network alone, ms | times as fast (95 %) | memory, MiB |",
        "|---|---:|---:|---:|---:|",
    ]
    for m in fastest_first(content):
        c = m.contender
        if c.precision == "fp16" or (c.backend == "pytorch" and c.precision == "int8"):
            continue
        infer = f"{np.median(m.stages_ms['infer']):.1f}" if "infer" in m.stages_ms else "-"
        faster = f"{1 / m.ratio.estimate:.2f} ({1 / m.ratio.high:.2f}-{1 / m.ratio.low:.2f})" if m.ratio else "1"
        memory = f"{m.cost.peak_memory.value / 2**20:.0f}" if m.cost.peak_memory.value else "-"
        lines.append(f"| {c.name} | {m.summary.p50.estimate:.1f} | {infer} | {faster} | {memory} |")
    where = content.environment
    untrained = sorted({m.contender.model for m in content.measurements if m.contender.untrained})
    random = f"; {', '.join(untrained)} has random weights" if untrained else ""
    note = (
        f"\nMedians; picture and mask in, picture out; one thread, {where.cpu} ({', '.join(where.cpu_features)}), "
        f"all in one interleaved run (`edge-harmony benchmark cpu`); peak memory of the process{random}. "
        "This CPU has no integer dot product (VNNI): INT8 is computed exactly there, but hardly faster than FP32; "
        "OpenVINO lets sums saturate.\n"
    )
    return "\n".join(lines) + "\n" + note


def suite_tables() -> str:
    """Every committed result of a suite, with all columns."""
    parts = []
    for path in sorted(RESULTS.glob("*.json")):
        if is_of_suite(path):
            content = read_result(path)
            parts.append(f"### {content.suite}\n\n{heading(content)}\n\n{markdown_table(content)}")
    return "\n".join(parts)


def planted_table() -> str:
    """The harness's verdicts on planted slow-downs and losses."""
    content = result("planted")
    lines = ["| planted | runs | PASS | INCONCLUSIVE | FAIL | ratios found |", "|---|---:|---:|---:|---:|---:|"]
    for name in sorted({row["contender"] for row in content["repetitions"]}):
        rows = [row for row in content["repetitions"] if row["contender"] == name]
        counts = [sum(row["verdict"] == verdict for row in rows) for verdict in ("PASS", "INCONCLUSIVE", "FAIL")]
        found = [row["ratio"] for row in rows]
        lines.append(
            f"| {name} | {len(rows)} | {' | '.join(map(str, counts))} | {min(found):.3f} to {max(found):.3f} |"
        )
    accuracy = content["accuracy"]
    spoiled, whole = accuracy["parity"]["spoiled"], accuracy["parity"]["edge-n fp32 onnxruntime"]
    note = (
        f"\nTolerance {100 * content['tolerance']:.0f} %, `edge-n` with busy waiting added, one thread, interleaved; "
        "`benchmarks/planted.py`. A network whose head was rounded to a 32nd of its largest weight: "
        f"parity {spoiled:.1f} dB against {whole:.1f} dB, limit 60 dB, exit code {accuracy['exit_code']}.\n"
    )
    return "\n".join(lines) + "\n" + note


def runtimes_table() -> str:
    """Every precision on every runtime, with one thread and two."""
    one, two = result("latency--1-thread"), result("latency--2-threads")
    lines = [
        "| network, precision, runtime | 1 thread, ms | faster than HDNet-lite | faster than its FP32 | "
        "2 threads, ms | faster than HDNet-lite |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in one["network"].items():
        other = two["network"][name]
        cells = [f"{row['median_ms']:.1f}", spread(row, "times_faster"), spread(row, "times_faster_than_fp32")]
        cells += [f"{other['median_ms']:.1f}", spread(other, "times_faster")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
    note = (
        "\nOne picture at 256 x 256; times as fast as HDNet-lite in PyTorch, and as itself in FP32 there: median and "
        f"quartiles over {one['rounds']} and {two['rounds']} interleaved rounds; {machine(one)}; {versions}; "
        f"`benchmarks/latency.py`. {EARLIER}\n"
    )
    return "\n".join(lines) + "\n" + note


def precision_table() -> str:
    """The quality of every precision."""
    content = result("precision--edge-m")
    lines = [
        "| weights | precision, runtime | PSNR dB | fMSE | parity with PyTorch, dB (least) | KiB |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in content["rows"]:
        cells = [row["training"], f"{row['precision']}, {row['backend']}", f"{row['psnr']:.2f}", f"{row['fmse']:.1f}"]
        cells += [f"{row['parity_db']:.1f} ({row['parity_min_db']:.1f})", f"{row['bytes'] / 1024:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    note = (
        f"\n`{content['model']}`, {content['images']} pictures of {content['set']}; calibrated on "
        f"{content['calibration']}; parity over {content['compared']} of them; {machine(content)}; "
        f"`benchmarks/precision.py`. {EARLIER}\n"
    )
    return "\n".join(lines) + "\n" + note


def engines_table() -> str:
    """Engines of TensorRT for RTX for every network."""
    content = result("engine-builds")
    lines = [
        "| network | precision | ONNX, MB | engine, MB | seconds | engine for batches of 1 to 8, MB |",
        "|---|---|---:|---:|---:|---:|",
    ]
    rows = {(row["model"], row["precision"], row["batch"]): row for row in content["rows"]}
    for (model, precision, batch), row in rows.items():
        if batch != "1":
            continue
        if "refused" in row:
            lines.append(f"| `{model}` | {precision} | {row['refused']} | | | |")
            continue
        dynamic = rows[model, precision, "1-8"]["SM89_bytes"] / 1e6
        sizes = f"{row['onnx_bytes'] / 1e6:.1f} | {row['SM89_bytes'] / 1e6:.1f} | {row['SM89_seconds']:.1f}"
        lines.append(f"| `{model}` | {precision} | {sizes} | {dynamic:.1f} |")
    versions = content["versions"]
    note = f"\nTensorRT for RTX {versions['tensorrt_rtx_cu13']}; `benchmarks/engine_builds.py`.\n"
    return "\n".join(lines) + "\n" + note


def integers_table() -> str:
    """Obstacles to 8 and 16 bits, before and after the statistics became small means."""
    content = result("integer-friendly")
    before, after = content["rows"]["before"], content["rows"]["after"]

    def islands(row: dict[str, int], things: str) -> str:
        return f"{row['islands']} of {row[things]}"

    def masks(row: dict[str, float | None]) -> str:
        return ", ".join("not finite" if value is None else f"{value:.0f}" for value in row.values())

    counts: dict[str, Callable[[dict[str, Any]], str]] = {
        "ONNX INT8: float islands, of operators": lambda row: islands(row["onnx_int8"], "operators"),
        "Core ML INT8: float islands, of operations": lambda row: islands(row["coreml_int8"], "operations"),
        "RTX INT8: kernels": lambda row: str(row["rtx_int8"]["kernels"]),
        "RTX INT8: float islands, of kernels": lambda row: (
            f"{row['rtx_int8']['float_islands']} of {row['rtx_int8']['float_kernels']}"
        ),
        "RTX INT8: convolutions that write 8 bits": lambda row: (
            f"{row['rtx_int8']['writing_integers']} of {row['rtx_int8']['integer_convolutions']}"
        ),
        "RTX INT8: requantizing kernels (nothing else)": lambda row: (
            f"{row['rtx_int8']['requantizing']} ({row['rtx_int8']['only_requantizing']})"
        ),
        "FP16 file against FP32, dB": lambda row: f"{row['fp16_db']:.1f}",
        "every operation in 16 bits, dB": lambda row: masks(row["sixteen_bits_db"]),
    }
    lines = ["| what | network | before | after |", "|---|---|---|---|"]
    lines += [f"| {what} | `{m}` | {of(before[m])} | {of(after[m])} |" for what, of in counts.items() for m in after]
    lines += ["", "| milliseconds | before | after | ratio (quartiles) |", "|---|---:|---:|---:|"]
    for name, row in content["times"].items():
        ratio = f"{row['ratio']:.2f} ({row['ratio_q25']:.2f}-{row['ratio_q75']:.2f})"
        lines.append(f"| {name} | {row['before_ms']:.1f} | {row['after_ms']:.1f} | {ratio} |")
    versions = content["versions"]
    note = (
        "\nEvery operation in 16 bits: whole pictures changed by what the network predicts for an ordinary mask, a full"
        " and an empty one, one pixel and all but one. Core ML and ONNX: what is typed in 32 bits. TensorRT for RTX "
        f"{versions['tensorrt-rtx-cu13']} for SM89, batch 1. Times: 256 x 256, one thread, medians of "
        f"{content['rounds']} interleaved rounds on a busy machine, {machine(content)}, ONNX Runtime "
        f"{versions['onnxruntime']}, OpenVINO {versions['openvino']}; `benchmarks/integer_friendly.py`.\n"
    )
    return "\n".join(lines) + "\n" + note


def whole_table() -> str:
    """The whole pipeline as one file, in both forms, beside the pipeline."""
    content = result("whole")
    lines = [
        "| picture | file's largest difference | time, of the pipeline's | form for GPUs: largest difference "
        "| its time, of the file's | memory, MiB: file | form for GPUs | pipeline |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in content["rows"].items():
        cells = [name]
        for form, ratio in (("products", "products_of_pipeline"), ("gathers", "gathers_of_products")):
            cells += [str(row[f"{form}_largest_difference"]), spread(row, ratio)]
        cells += [f"{row[f'{kind}_peak_bytes'] / 2**20:.0f}" for kind in ("products", "gathers", "pipeline")]
        lines.append(f"| {' | '.join(cells)} |")
    note = (
        f"\n`{content['model']}`, {content['precision']}, a third of the picture foreground; levels between the file's "
        f"result and the pipeline's; CPU time as a multiple (quartiles), ONNX Runtime "
        f"{content['versions']['onnxruntime']}, one thread, {machine(content)}, {content['rounds']} interleaved "
        f"rounds; memory: what a picture adds to the peak; `benchmarks/whole.py`.\n"
    )
    return "\n".join(lines) + "\n" + note


def packages_table() -> str:
    """Packages of coremltools for every network: size, arithmetic, and agreement with PyTorch and ONNX Runtime."""
    content = result("packages")
    if "pictures" not in content:
        return _packages_alone(content)
    lines = [
        "| network | in | MB | convolutions in 8 bits | islands in 32 bits, of operations | dB against PyTorch, mean "
        "and least | against ONNX Runtime |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in content["rows"]:
        cells = [f"`{row['model']}`", row["variant"]]
        if "refused" in row:
            lines.append(f"| {' | '.join([*cells, '-', row['refused'], '-', '-', '-'])} |")
            continue
        islands = f"{row['islands']} of {row['wide_operations']}" if row["islands"] else "0"
        cells += [f"{row['bytes'] / 1e6:.1f}", f"{row['integer_convolutions']} of {row['convolutions']}", islands]
        lines.append(f"| {' | '.join([*cells, *_agreement(row)])} |")
    versions = content["versions"]
    note = (
        f"\nFP16 is compared with FP32 in PyTorch, INT8 with the fake-quantized network; ONNX files have the package's "
        f"precision. PSNR of the foreground on {content['pictures']} shipped samples, 99 where no level differs; of "
        f"whole pipelines, the largest difference from the pipeline in levels, and the share beyond one. Interpreted "
        f"(`coreml-reference`), coremltools {versions['coremltools']}, torch {versions['torch']}, ONNX Runtime "
        f"{versions['onnxruntime']}; `benchmarks/packages.py`. Nothing here has run on a Mac or a phone.\n"
    )
    return "\n".join(lines) + "\n" + note


def _packages_alone(content: dict[str, Any]) -> str:
    """Sizes and convolutions, of a result from before packages were compared; goes when it is measured again."""
    lines = ["| network | in | MB | convolutions in 8 bits |", "|---|---|---:|---:|"]
    for row in content["rows"]:
        integers = f"{row['integer_convolutions']} of {row['convolutions']}" if "bytes" in row else row["refused"]
        size = f"{row['bytes'] / 1e6:.1f}" if "bytes" in row else "-"
        lines.append(f"| `{row['model']}` | {row['variant']} | {size} | {integers} |")
    note = f"\ncoremltools {content['versions']['coremltools']}; `benchmarks/packages.py`. {EARLIER}\n"
    return "\n".join(lines) + "\n" + note


def _agreement(row: dict[str, Any]) -> list[str]:
    """The last two columns of a package."""
    if "levels" in row:
        largest, beyond = (max(one[key] for one in row["levels"]) for key in ("largest", "beyond_one"))
        return [f"{largest} ({100 * beyond:.2g} %)", "-"]
    several = len(row["pytorch"]) > 1
    found = [
        f"{one['psnr']:.0f}, {one['psnr_min']:.0f}" + (f" at {one['size'][0]}x{one['size'][1]}" if several else "")
        for one in row["pytorch"]
    ]
    return ["; ".join(found), "; ".join(f"{one['psnr']:.0f}, {one['psnr_min']:.0f}" for one in row["onnxruntime"])]


def ablation_table(name: str) -> str:
    """Quality against work and INT8 latency of every variant."""
    content = result(f"ablation--{name}")
    lines = [
        "| variant | PSNR dB | fMSE | M parameters | GFLOP | INT8 latency |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in content["rows"]:
        latency = "-" if row["int8_ms"] is None else f"{row['int8_of_reference']:.2f}"
        cells = [f"{row['group']}: {row['name']}", f"{row['psnr']:.2f}", f"{row['fmse']:.0f}"]
        cells += [f"{row['parameters'] / 1e6:.3f}", f"{row['flops'] / 1e9:.3f}", latency]
        lines.append(f"| {' | '.join(cells)} |")
    first = content["rows"][0]
    lines.append(f"| *composite, unharmonized* | {first['composite_psnr']:.2f} | {first['composite_fmse']:.0f} | | | |")
    stage = content["recipe"]["stages"][0]
    note = (
        f"\n{stage['images']:,} images each at {stage['size']} pixels; held-out pictures at native size; INT8 latency "
        "in ONNX Runtime as a share of the first row's, one thread, "
        f"{machine(content)}, {content['rounds']} rounds.\n"
    )
    return "\n".join(lines) + "\n" + note


def targets_table() -> str:
    """Device, runtime and limits of every shipped target."""
    lines = [
        "| target | device | runtime | opset | PSNR, least dB | p90, most ms |",
        "|---|---|---|---|---:|---:|",
    ]
    for path in sorted((ROOT / "export" / "targets").glob("*.toml")):
        target = read_target(str(path))
        opset = f"{target.opset} of {target.runtime.opset}" if target.runtime.opset else "-"
        cells = [f"`{path.stem}`", target.device, target.runtime.name, opset]
        cells += [f"{target.accuracy.min_psnr:g}", f"{target.latency.max_p90_ms:g}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def full_resolution_table() -> str:
    """The steps at full resolution, against a copy and PyTorch, with one thread and two."""
    one, two = result("full-resolution--1-thread"), result("full-resolution--2-threads")
    lines = [
        "| step | 1 thread, ms | 2 threads, ms | copies of the picture (quartiles) | of PyTorch's time (quartiles) |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, row in two["rows"].items():
        against = name.startswith(("pipeline", "apply"))
        share = f"{row['of_pytorch']:.2f} ({row['of_pytorch_q25']:.2f}-{row['of_pytorch_q75']:.2f})" if against else ""
        cells = [name, f"{one['rows'][name]['median_ms']:.1f}", f"{row['median_ms']:.1f}", spread(row, "copies"), share]
        lines.append(f"| {' | '.join(cells)} |")
    note = (
        f"\n{two['width']} x {two['height']}, {100 * two['foreground']:.0f} % foreground, 8 bits, `edge-s` in INT8 on "
        f"ONNX Runtime, {machine(two)}, {two['rounds']} interleaved rounds; ratios with two threads; "
        f"`benchmarks/full_resolution.py`. {EARLIER} Largest difference to float64: "
        f"{two['largest_error_levels']:.2f} levels. "
        f"In place the apply step takes {two['ms_a_megapixel']:.2f} ms for every megapixel of foreground with two "
        f"threads and {one['ms_a_megapixel']:.2f} with one; a picture adds {two['ms_of_the_rest']:.1f} "
        f"and {one['ms_of_the_rest']:.1f} ms to that "
        f"(the fitted lines explain {100 * two['explained_by_a_line']:.1f} % and "
        f"{100 * one['explained_by_a_line']:.1f} % of the variance over eight sizes).\n"
    )
    return "\n".join(lines) + "\n" + note


def video_table() -> str:
    """Frames a second, where the time goes, memory and flicker."""
    found = result("video")
    lines = ["| | frames a second | time, relative to one after the other (quartiles) |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {row['fps']:.1f} | {spread(row, 'of_one_after_the_other')} |"
        for name, row in found["rows"].items()
    ]
    lines += ["", "| step, alone | ms a frame |", "|---|---:|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in found["split_ms"].items()]
    lines += ["", "| flicker, levels | mean colour | pixels |", "|---|---:|---:|"]
    lines += [f"| keep {keep} | {row['colour']:.2f} | {row['pixels']:.2f} |" for keep, row in found["flicker"].items()]
    memory = found["memory_mib"]
    half = len(memory) // 2
    note = (
        f"\n{found['size'][0]} x {found['size'][1]}, {found['frames']} frames (foreground, background and mask: "
        f"three videos are decoded), `edge-s` in INT8 on ONNX Runtime, {found['threads']} threads, {machine(found)}, "
        f"{found['rounds']} interleaved rounds; `benchmarks/video.py`. {EARLIER} Only the row that says so encodes "
        "frames. "
        f"Memory of the process after every round of {5 * found['frames']} frames: {min(memory):.0f} to "
        f"{max(memory):.0f} MiB, "
        f"{sum(memory[:half]) / half:.0f} on average in the first half, "
        f"{sum(memory[-half:]) / half:.0f} in the second.\n"
    )
    return "\n".join(lines) + "\n" + note


def folders_table() -> str:
    """Pictures a second by one process, several and Ray."""
    found = result("folders")
    lines = ["| | pictures a second | time, relative to one process (quartiles) |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {row['pictures_a_second']:.1f} | {spread(row, 'of_one_process')} |"
        for name, row in found["rows"].items()
    ]
    note = (
        f"\n{found['pictures']} JPEG pictures of 640 x 427, decoded, harmonized and encoded, start-up included; "
        f"`edge-s` in INT8 on ONNX Runtime, {machine(found)}, {found['rounds']} interleaved rounds; "
        f"`benchmarks/folders.py`. {EARLIER}\n"
    )
    return "\n".join(lines) + "\n" + note


def startup_table() -> str:
    """Whole processes beside one that imports the libraries of every run, and the size of the base install."""
    found = result("startup")
    lines = [
        "| process | seconds | relative to the first row (quartiles) | busy, relative | peak MiB |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, row in found["rows"].items():
        label = f"`python -c '{name}'`" if name == found["base"] else name
        cells = [f"{row['seconds']:.2f}", spread(row, "of_base"), f"{row['cpu_of_base']:.1f}", f"{row['mib']:.0f}"]
        lines.append(f"| {' | '.join([label, *cells])} |")
    lines += ["", "| base install | MB on disk |", "|---|---:|"]
    lines += [f"| {name} | {size:.0f} |" for name, size in found["megabytes"].items()]
    note = (
        f"\nWhole processes on a machine that was busy with other work: compare the ratios. {machine(found)}, "
        f"{found['rounds']} interleaved rounds; *busy* are seconds of busy cores. Sizes are those of the packages that "
        "the base install brings, edge-harmony's own files left out; `benchmarks/startup.py`.\n"
    )
    return "\n".join(lines) + "\n" + note


def serve_table() -> str:
    """The HTTP service under load: times of answers, refusals, memory."""
    found = result("serve")
    lines = ["| request | answered | seconds, median | 90 % | 99 % |", "|---|---:|---:|---:|---:|"]
    answers = {tuple(key.rsplit(": ", 1)): count for key, count in found["answers"].items()}
    for kind, seconds in found["seconds"].items():
        cells = [str(answers[kind, "200"]), *(f"{seconds[key]:.2f}" for key in ("p50", "p90", "p99"))]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    busy = sum(count for (_, status), count in answers.items() if status == "503")
    hostile = sum(count for (kind, status), count in answers.items() if kind not in found["seconds"])
    memory = found["memory_mib"]
    note = (
        f"\n{found['minutes']:g} minutes of {found['clients']} clients that send their next request as soon as they "
        f"may, to a service with {found['machine']['cpus']} jobs and {found['waiting']} places to wait, on a machine "
        f"that was busy with other work ({machine(found)}): {found['results_a_second']:.1f} results a second, {busy} "
        f"answers of 503; {hostile} of the requests were damaged, too large, no form, or hung up. "
        f"{len(found['wrong']) or 'No'} answers were others than expected. Resident memory: at most "
        f"{memory['first_third_most']} MiB in the first third of the time, {memory['last_third_most']} in the last; "
        "`benchmarks/serve.py`.\n"
    )
    return "\n".join(lines) + "\n" + note


def harm_table() -> str:
    """Gain and harm of the shipped networks, plain and without a leak at the rim."""
    found = result("harm")
    lines = [
        "| network | pictures | gain dB | made worse | no-change fMSE, mean / median | chroma, all / vivid | "
        "newly clipped | hue turned (composite) | score |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["rows"]:
        cells = [
            f"`{row['model']}` {row['precision'].upper()}",
            row["preparation"],
            f"{row['gain']:+.2f}",
            f"{100 * row['worse']:.0f} %",
            f"{row['no_change']:.0f} / {row['no_change_median']:.0f}",
            f"{row['chroma']:.2f} / {row['vivid_chroma']:.2f}",
            f"{100 * row['clipped']:.1f} %",
            f"{100 * row['hue_turned']:.1f} % ({100 * row['composite_hue_turned']:.1f} %)",
            f"{row['score']:+.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    images = found["rows"][0]["images"]
    most = max(row["left_out"] for row in found["rows"])
    note = f"\n{found['set']}: {images} pictures, at most {most} left out; ONNX Runtime; `benchmarks/harm.py`.\n"
    return "\n".join(lines) + "\n" + note


def training_table() -> str:
    """Training speed on a CPU in images a second, by picture size and by variant (threads, layout, type)."""
    found = result("training-speed")
    sizes = list(found["sizes"])
    lines = [
        f"| | {' | '.join(f'{size} pixels' for size in sizes)} |",
        f"|---|{'---:|' * len(sizes)}",
    ]
    for name in found["sizes"][sizes[0]]:
        rows = [found["sizes"][size][name] for size in sizes]
        cells = [f"{row['fastest']:.0f}; {spread(row, 'of_reference_a_core_second')}" for row in rows]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    note = (
        f"\n`{found['model']}` with widths {found['options']['widths']}, batch {found['batch']}, "
        "channels last unless the row says otherwise. First number: images a second in the fastest of "
        f"{found['rounds']} interleaved turns. Second: images per second of core time, "
        "as a multiple of the first row's in its round (quartiles). "
        f"{machine(found)}, PyTorch {found['versions']['torch']}; other programs shared the cores, so absolute rates "
        "are low; `benchmarks/training_speed.py`.\n"
    )
    return "\n".join(lines) + "\n" + note


def faults_tables() -> str:
    """What the campaign of faults tried, and what it found."""
    content = result("faults")
    lines = ["| | tried | ended in a result | ended in a line | faults |", "|---|---:|---:|---:|---:|"]
    for part in ("inputs", "accidents"):
        rows = content[part]["kinds"]
        for kind, row in sorted(rows.items()):
            lines.append(f"| {kind} | {row['tried']:,} | {row['read']:,} | {row['refused']:,} | {row['faults']} |")
        total = {key: sum(row[key] for row in rows.values()) for key in ("tried", "read", "refused", "faults")}
        lines.append(
            f"| **{part}** | **{total['tried']:,}** | **{total['read']:,}** | **{total['refused']:,}** "
            f"| **{total['faults']}** |"
        )
    tried = {part: sum(row["tried"] for row in content[part]["kinds"].values()) for part in ("inputs", "accidents")}
    lines += [
        "",
        f"Campaign {content['campaign']}, {content['date']}, {content['version']}: {tried['inputs']:,} of its",
    ]
    lines[-1] += f" 10,000 inputs and {tried['accidents']:,} of its 1,000 accidents."
    lines += ["", "| found | what it was | what was done |", "|---|---|---|"]
    lines += [f"| {row['by']} | {row['what']} | {row['mended']} |" for row in content["findings"]]
    return "\n".join(lines) + "\n"


def trtexec_table() -> str:
    """Every flag of trtexec 10, and what ``edge-harmony build`` does with it."""
    command = typer.main.get_command(app).commands["build"]  # type: ignore[attr-defined]
    helps = {name: p.help for p in command.params for name in (*p.opts, *p.secondary_opts)}
    helps["--help"] = "Print all options."
    flags = (ROOT / "tests" / "golden" / "trtexec_flags.txt").read_text().splitlines()
    lines = ["| flag of trtexec | here | |", "|---|---|---|"]
    for flag in sorted((line for line in flags if not line.startswith("#")), key=str.lower):
        if f"--{flag}" in helps:
            answer, text = "taken", helps[f"--{flag}"]
        elif flag in REFUSED:
            answer, text = "refused", REFUSED[flag]
        else:
            answer, text = "without effect", WITHOUT_EFFECT[flag]
        lines.append(f"| `--{flag}` | {answer} | {str(text).replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "networks"): networks_table,
    ("README.md", "speed"): speed_table,
    ("export/README.md", "targets"): targets_table,
    ("docs/tensorrt.md", "engines"): engines_table,
    ("docs/trtexec.md", "flags"): trtexec_table,
    ("docs/decisions/0010-what-rtx-does-with-pairs.md", "integers"): integers_table,
    ("docs/benchmarking.md", "suite"): suite_tables,
    ("docs/benchmarking.md", "planted"): planted_table,
    ("docs/evaluation.md", "harm"): harm_table,
    ("docs/full-resolution.md", "full"): full_resolution_table,
    ("docs/video.md", "video"): video_table,
    ("docs/training.md", "rates"): training_table,
    ("docs/folders.md", "folders"): folders_table,
    ("docs/startup.md", "startup"): startup_table,
    ("docs/serve.md", "serve"): serve_table,
    ("docs/coreml.md", "packages"): packages_table,
    ("docs/whole-pipeline.md", "whole"): whole_table,
    ("docs/quantization.md", "precision"): precision_table,
    ("docs/quantization.md", "runtimes"): runtimes_table,
    ("docs/decisions/0004-the-edge-family.md", "schedule"): lambda: ablation_table("full-schedule"),
    ("docs/decisions/0004-the-edge-family.md", "family"): lambda: ablation_table("edge-family"),
    ("docs/reliability.md", "faults"): faults_tables,
}


def main() -> None:
    """Write the tables into their documents."""
    for (document, name), table in TABLES.items():
        path = ROOT / document
        text = path.read_text()
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        path.write_text(re.sub(pattern, lambda m, t=table: f"{m[1]}{t()}{m[2]}", text, flags=re.DOTALL))


if __name__ == "__main__":
    main()
