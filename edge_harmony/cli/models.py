"""``edge-harmony models``: the networks and their shipped files."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Any

from rich.table import Table

from edge_harmony.cli.console import JsonOption, number, out, print_json
from edge_harmony.export.names import onnx_name
from edge_harmony.models.registry import DEFAULT_MODEL, MODELS, ModelEntry, has_weights, weights_folder


def models(json: JsonOption = False) -> None:
    """List the networks: parameters, FLOPs, shipped weights and their quality."""
    rows = [describe(entry) for entry in MODELS.values()]
    if json:
        print_json(rows)
        return
    table = Table(title="networks (* default; px: side of the picture that it works at; FLOPs for one; PSNR in dB)")
    for heading in ("name", "params", "px", "GFLOP", "shipped", "PSNR", "fMSE", "licence"):
        right = heading in ("params", "px", "GFLOP", "PSNR", "fMSE")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        quality = row["quality"] or {}
        table.add_row(
            row["name"] + (" *" if row["name"] == DEFAULT_MODEL else ""),
            number(row["parameters"] / 1e6, 2) + " M",
            "x".join(str(side) for side in dict.fromkeys(row["size"])),
            number(row["flops"] / 1e9, 2),
            ", ".join(row["shipped"]) or "-",
            number(quality.get("psnr")),
            number(quality.get("fmse"), 0),
            row["licence"] or "-",
        )
    out.print(table)


def describe(entry: ModelEntry) -> dict[str, Any]:
    """One row: the registry's entry, its shipped files, and the measured quality from its card."""
    folder = weights_folder()
    files = {p: folder / onnx_name(entry.name, entry.size, p) for p in ("fp32", "int8")}
    shipped = [precision for precision, path in files.items() if path.is_file()]
    if has_weights(entry.name):
        shipped.append("weights")
    facts, of_weights = (_card(folder / f"{name}.json") for name in (entry.name, entry.owner))
    return {
        "name": entry.name,
        "parameters": entry.parameters,
        "size": list(entry.size),
        "flops": entry.flops,
        "output": entry.output,
        "summary": entry.summary,
        "shipped": shipped,
        "quality": facts.get("quality"),
        "licence": of_weights.get("licence"),
    }


def _card(path: Path) -> dict[str, Any]:
    return json_format.loads(path.read_text()) if path.is_file() else {}
