"""Tables of quality: networks, harm, eight bits, ablations."""

from __future__ import annotations

import json

from docs.tabulated.results import machine, result, row_of, text_of
from edge_harmony.models.registry import MODELS, weights_folder


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
    return text_of(lines, note)


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
        lines.append(row_of(*cells))
    images = found["rows"][0]["images"]
    most = max(row["left_out"] for row in found["rows"])
    note = f"\n{found['set']}: {images} pictures, at most {most} left out; ONNX Runtime; `benchmarks/harm.py`.\n"
    return text_of(lines, note)


def precision_table() -> str:
    """The quality of every precision."""
    content = result("precision--edge-s")
    lines = [
        "| ranges | precision, runtime | gain dB | made worse | no-change fMSE "
        "| parity with PyTorch, dB (least) | KiB |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in content["rows"]:
        cells = [row["ranges"], f"{row['precision']}, {row['backend']}", f"{row['gain']:+.2f}"]
        cells += [f"{100 * row['worse']:.0f} %", f"{row['no_change']:.0f}"]
        cells += [f"{row['parity_db']:.1f} ({row['parity_min_db']:.1f})", f"{row['bytes'] / 1024:.0f}"]
        lines.append(row_of(*cells))
    note = (
        f"\n`{content['model']}`, {content['images']} pictures of {content['set']}; calibrated on "
        f"{content['calibration']}; parity over {content['compared']} of them; {machine(content)}; "
        "`benchmarks/precision.py`.\n"
    )
    return text_of(lines, note)


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
        lines.append(row_of(*cells))
    first = content["rows"][0]
    lines.append(f"| *composite, unharmonized* | {first['composite_psnr']:.2f} | {first['composite_fmse']:.0f} | | | |")
    stage = content["recipe"]["stages"][0]
    note = (
        f"\n{stage['images']:,} images each at {stage['size']} pixels; held-out pictures at native size; INT8 latency "
        "in ONNX Runtime as a share of the first row's, one thread, "
        f"{machine(content)}, {content['rounds']} rounds.\n"
    )
    return text_of(lines, note)


def harm_ablation_table() -> str:
    """Gain and harm of every variant, without a leak at the rim, with it, and relit."""
    content = result("ablation--harm")
    lines = [
        "| variant | sealed: gain dB | made worse | no-change fMSE | vivid chroma | score | plain: gain dB | "
        "relit: gain dB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in content["rows"]:
        sealed, plain, relit = (row["harm"][label] for label in ("sealed by 2", "plain", "relit, sealed by 2"))
        cells = [f"{row['group']}: {row['name']}", f"{sealed['gain']:+.2f}", f"{100 * sealed['worse']:.0f} %"]
        cells += [f"{sealed['no_change']:.0f}", f"{sealed['vivid_chroma']:.2f}", f"{sealed['score']:+.2f}"]
        lines.append(row_of(*cells, f"{plain['gain']:+.2f}", f"{relit['gain']:+.2f}"))
    stage, images = content["recipe"]["stages"][0], content["rows"][0]["harm"]["sealed by 2"]["images"]
    note = (
        f"\n{stage['images']:,} images each at {stage['size']} pixels, the body of `edge-n`; {images} pictures of "
        "LB-Harmony test, FP32 in ONNX Runtime; `benchmarks/ablation.py`, `benchmarks/ablations/harm.toml`.\n"
    )
    return text_of(lines, note)
