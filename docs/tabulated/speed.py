"""Tables of time and memory on CPUs."""

from __future__ import annotations

import numpy as np

from docs.tabulated.results import RESULTS, machine, result, row_of, spread, suite, text_of
from edge_harmony.benchmark.report.columns import fastest_first, heading
from edge_harmony.benchmark.report.text import markdown_table
from edge_harmony.benchmark.result import is_of_suite, read_result


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
        f"{_integers(where.cpu_features)}\n"
    )
    return text_of(lines, note)


def _integers(features: list[str]) -> str:
    """What the CPU's instructions mean for INT8."""
    if any("vnni" in feature for feature in features):
        return "This CPU has an integer dot product (VNNI); without it INT8 is hardly faster than FP32."
    return (
        "This CPU has no integer dot product (VNNI): INT8 is computed exactly there, but hardly faster than FP32; "
        "OpenVINO lets sums saturate."
    )


def boards_table() -> str:
    """LiteRT beside ONNX Runtime: time, and agreement with PyTorch."""
    content = suite("boards")
    found = {(m.contender.model, m.contender.precision, m.contender.backend): m for m in content.measurements}
    lines = [
        "| network | | LiteRT, ms | ONNX Runtime, ms | ratio (quartiles) | LiteRT: PSNR, mean and least dB "
        "| ONNX Runtime |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for (model, precision, backend), ours in found.items():
        if backend != "litert":
            continue
        theirs = found[model, precision, "onnxruntime"]
        pairs = list(zip(ours.turns(), theirs.turns(), strict=False))
        low, middle, high = np.percentile([a / b for a, b in pairs], (25, 50, 75))
        cells = [f"`{model}`", str(precision).upper(), f"{ours.summary.p50.estimate:.1f}"]
        cells += [f"{theirs.summary.p50.estimate:.1f}", f"{middle:.2f} ({low:.2f}-{high:.2f})"]
        cells += [f"{m.parity.psnr:.1f}, {m.parity.least:.1f}" if m.parity else "-" for m in (ours, theirs)]
        lines.append(row_of(*cells))
    where, versions = content.environment, content.environment.versions
    note = (
        f"\nThe network alone, one thread, {where.cpu} ({', '.join(where.cpu_features)}), in turns; PSNR of the "
        "foreground on the shipped pictures, against PyTorch in FP32; ai-edge-litert "
        f"{versions.get('ai-edge-litert', '?')}, ONNX Runtime {versions['onnxruntime']}.\n"
    )
    return text_of(lines, note)


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
    return text_of(lines, note)


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
        lines.append(row_of(name, *cells))
    versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
    note = (
        "\nOne picture at the network's own size; times as fast as HDNet-lite in PyTorch, and as itself in FP32 there: "
        f"median and quartiles over {one['rounds']} and {two['rounds']} interleaved rounds; {machine(one)}; "
        f"{versions}; `benchmarks/latency.py`.\n"
    )
    return text_of(lines, note)


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
        lines.append(row_of(*cells))
    note = (
        f"\n{two['width']} x {two['height']}, {100 * two['foreground']:.0f} % foreground, 8 bits, `edge-s` in INT8 on "
        f"ONNX Runtime, {machine(two)}, {two['rounds']} interleaved rounds; ratios with two threads; "
        f"`benchmarks/full_resolution.py`. Largest difference to float64: "
        f"{two['largest_error_levels']:.2f} levels. "
        f"In place the apply step takes {two['ms_a_megapixel']:.2f} ms for every megapixel of foreground with two "
        f"threads and {one['ms_a_megapixel']:.2f} with one; a picture adds {two['ms_of_the_rest']:.1f} "
        f"and {one['ms_of_the_rest']:.1f} ms to that "
        f"(the fitted lines explain {100 * two['explained_by_a_line']:.1f} % and "
        f"{100 * one['explained_by_a_line']:.1f} % of the variance over eight sizes).\n"
    )
    return text_of(lines, note)


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
        f"{found['rounds']} interleaved rounds; `benchmarks/video.py`. Only the rows that say so encode "
        "frames. "
        f"Memory of the process after every round of {len(found['rows']) * found['frames']} frames: "
        f"{min(memory):.0f} to "
        f"{max(memory):.0f} MiB, "
        f"{sum(memory[:half]) / half:.0f} on average in the first half, "
        f"{sum(memory[-half:]) / half:.0f} in the second.\n"
    )
    return text_of(lines, note)


def folders_table() -> str:
    """Pictures a second by one process, several and Ray."""
    found = result("folders")
    lines = ["| | pictures a second | time, relative to one process (quartiles) |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {row['pictures_a_second']:.1f} | {spread(row, 'of_one_process')} |"
        for name, row in found["rows"].items()
    ]
    note = (
        f"\n{found['pictures']} JPEG pictures of {found['size'][0]} x {found['size'][1]}, decoded, harmonized and "
        "encoded, start-up included; "
        f"`edge-s` in INT8 on ONNX Runtime, {machine(found)}, {found['rounds']} interleaved rounds; "
        "`benchmarks/folders.py`.\n"
    )
    return text_of(lines, note)


def file_parts_tables() -> str:
    """The parts of one file's time, and what settings of encoders cost."""
    found = result("file-parts")
    names = [name for name in next(iter(found["rows"].values())) if name not in ("whole", "besides_codecs")]
    lines = [f"| file | {' | '.join(names)} | besides codecs |", f"|---|{'---:|' * (len(names) + 1)}"]
    for label, row in found["rows"].items():
        cells = [*(f"{row[name]:.1f}" for name in names), f"{100 * row['besides_codecs']:.0f} %"]
        lines.append(row_of(label, *cells))
    lines += ["", "| 1920 x 1080, encoded as | ms | MB |", "|---|---:|---:|"]
    lines += [f"| {name} | {row['ms']:.0f} | {row['megabytes']:.2f} |" for name, row in found["encodings"].items()]
    note = (
        f"\nMilliseconds of one busy core in a process that has started, medians of {found['rounds']} interleaved "
        f"rounds; {machine(found)}; a photograph with the noise of a sensor, its mask as PNG, `edge-s` in INT8 on ONNX "
        "Runtime; `benchmarks/file_parts.py`.\n"
    )
    return text_of(lines, note)


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
        lines.append(row_of(label, *cells))
    lines += ["", "| base install | MB on disk |", "|---|---:|"]
    lines += [f"| {name} | {size:.0f} |" for name, size in found["megabytes"].items()]
    note = (
        f"\nWhole processes on two cores, nothing beside them. {machine(found)}, {found['rounds']} interleaved rounds; "
        "*busy* are seconds of busy cores. Sizes are those of the packages that "
        "the base install brings, edge-harmony's own files left out; `benchmarks/startup.py`.\n"
    )
    return text_of(lines, note)


def serve_table() -> str:
    """The HTTP service under load: times of answers, refusals, memory."""
    found = result("serve")
    lines = ["| request | answered | seconds, median | 90 % | 99 % |", "|---|---:|---:|---:|---:|"]
    answers = {tuple(key.rsplit(": ", 1)): count for key, count in found["answers"].items()}
    for kind, seconds in found["seconds"].items():
        cells = [str(answers[kind, "200"]), *(f"{seconds[key]:.2f}" for key in ("p50", "p90", "p99"))]
        lines.append(row_of(kind, *cells))
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
    return text_of(lines, note)


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
        lines.append(row_of(name, *cells))
    made = result("training-composites")
    shares = [
        f"{100 * share['median']:.0f} % ({100 * share['q25']:.0f}-{100 * share['q75']:.0f}) at {size} pixels"
        for size, share in made["share_of_composites"].items()
    ]
    note = (
        f"\n`{found['model']}`, whose encoder keeps its weights, batch {found['batch']}, "
        "channels last unless the row says otherwise. First number: images a second in the fastest of "
        f"{found['rounds']} interleaved turns. Second: images per second of core time, "
        "as a multiple of the first row's in its round (quartiles). "
        f"{machine(found)}, PyTorch {found['versions']['torch']}; `benchmarks/training_speed.py`.\n\n"
        "Where composites are made for every step, from pictures in memory, by two processes with bfloat16, they take "
        f"{', '.join(shares)} of the step's core time (quartiles of {made['rounds']} rounds; {machine(made)}).\n"
    )
    return text_of(lines, note)
