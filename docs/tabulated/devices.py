"""Tables of engines, packages, whole pipelines and targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from docs.tabulated.results import ROOT, machine, result, row_of, spread, text_of
from edge_harmony.backends.targets import read_target
from edge_harmony.cli.main import app
from edge_harmony.cli.trtexec import REFUSED, WITHOUT_EFFECT


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
    return text_of(lines, note)


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
    return text_of(lines, note)


def browser_tables() -> str:
    """The page's module in Chromium and Node: agreement with Python and PyTorch, times in turns, sizes."""
    content = result("browser")
    versions = content["versions"]
    names = {
        "python": f"Python, ONNX Runtime {versions['onnxruntime']}",
        "chromium": f"Chromium, onnxruntime-web {versions['onnxruntime-web']}",
        "node": f"Node, onnxruntime-node {versions['onnxruntime-node']}",
    }
    lines = [
        "| | precision | largest difference from Python, levels | samples that differ | dB against PyTorch in FP32, "
        "mean and least |",
        "|---|---|---:|---:|---:|",
    ]
    for row in content["agreement"]:
        cells = [names[row["contender"]], row["precision"].upper(), str(row["largest_levels"])]
        cells += [f"{100 * row['samples_that_differ']:.3g} %", f"{row['psnr']:.1f}, {row['psnr_least']:.1f}"]
        lines.append(row_of(*cells))
    lines.append(
        f"\n{content['samples']} shipped samples of {content['model']}; PSNR of the foreground, 99 where no level "
        "differs.\n"
    )
    lines += [
        "| picture | step | precision | Python, ms | Chromium, of Python | Node, of Python |",
        "|---|---|---|" + "---:|" * 3,
    ]
    steps = {"shrink": "to the working size", "predict": "that, and the network", "apply": "apply", "all": "all of it"}
    found = {(row["picture"], row["part"], row["precision"], row["contender"]): row for row in content["times"]}
    for picture, part, precision in dict.fromkeys(key[:3] for key in found):
        row = {name: found[picture, part, precision, name] for name in names}
        cells = [picture, steps[part], precision.upper(), f"{row['python']['median_ms']:.1f}"]
        lines.append(f"| {' | '.join([*cells, *(spread(row[name], 'of_python') for name in ('chromium', 'node'))])} |")
    lines.append(
        f"\nMedians, and quartiles of the ratios; one thread each, {machine(content)}, {content['rounds']} rounds in "
        f"turns while the machine did other work too, Chromium {versions['chromium']}, Node {versions['node']}; "
        "`benchmarks/browser.py`. Chromium ran without a GPU.\n"
    )
    lines += ["| part | MB | compressed, MB |", "|---|---:|---:|"]
    for row in content["sizes"]:
        name = f"`{row['part']}`" if row["part"].endswith(".onnx") else row["part"]
        lines.append(f"| {name} | {row['bytes'] / 1e6:.2f} | {row['compressed'] / 1e6:.2f} |")
    return text_of(lines)


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
        lines.append(row_of(*cells))
    note = (
        f"\n`{content['model']}`, {content['precision']}, a third of the picture foreground; levels between the file's "
        f"result and the pipeline's; CPU time as a multiple (quartiles), ONNX Runtime "
        f"{content['versions']['onnxruntime']}, one thread, {machine(content)}, {content['rounds']} interleaved "
        f"rounds; memory: what a picture adds to the peak; `benchmarks/whole.py`.\n"
    )
    return text_of(lines, note)


def packages_table() -> str:
    """Packages of coremltools for every network: size, arithmetic, and agreement with PyTorch and ONNX Runtime."""
    content = result("packages")
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
        f"whole pipelines, the largest difference from the pipeline in levels, and the share beyond one. Networks that "
        f"ship no weights have random ones. Interpreted "
        f"(`coreml-reference`), coremltools {versions['coremltools']}, torch {versions['torch']}, ONNX Runtime "
        f"{versions['onnxruntime']}; `benchmarks/packages.py`. Nothing here has run on a Mac or a phone.\n"
    )
    return text_of(lines, note)


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
        lines.append(row_of(*cells))
    return text_of(lines)


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
    return text_of(lines)
