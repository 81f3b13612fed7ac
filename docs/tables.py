"""The generated tables of the documents, from the registry, the cards and the committed results: ``make docs``."""

from __future__ import annotations

import re
from collections.abc import Callable

from docs.tabulated.campaign import faults_tables
from docs.tabulated.devices import (
    browser_tables,
    engines_table,
    integers_table,
    packages_table,
    targets_table,
    trtexec_table,
    whole_table,
)
from docs.tabulated.quality import ablation_table, harm_ablation_table, harm_table, networks_table, precision_table
from docs.tabulated.ran import artifacts_that_ran_table, examples_that_ran_table
from docs.tabulated.results import ROOT
from docs.tabulated.speed import (
    boards_table,
    file_parts_tables,
    folders_table,
    full_resolution_table,
    planted_table,
    runtimes_table,
    serve_table,
    speed_table,
    startup_table,
    suite_tables,
    training_table,
    video_table,
)

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
    ("docs/full-resolution.md", "parts"): file_parts_tables,
    ("docs/video.md", "video"): video_table,
    ("docs/training.md", "rates"): training_table,
    ("docs/folders.md", "folders"): folders_table,
    ("docs/startup.md", "startup"): startup_table,
    ("docs/serve.md", "serve"): serve_table,
    ("docs/litert.md", "boards"): boards_table,
    ("docs/coreml.md", "packages"): packages_table,
    ("docs/web.md", "browser"): browser_tables,
    ("docs/whole-pipeline.md", "whole"): whole_table,
    ("docs/quantization.md", "precision"): precision_table,
    ("docs/quantization.md", "runtimes"): runtimes_table,
    ("docs/decisions/0004-the-edge-family.md", "schedule"): lambda: ablation_table("full-schedule"),
    ("docs/decisions/0004-the-edge-family.md", "family"): lambda: ablation_table("edge-family"),
    ("docs/decisions/0022-amounts-bounds-and-losses.md", "harm"): harm_ablation_table,
    ("docs/reliability.md", "faults"): faults_tables,
    ("docs/what-ran.md", "artifacts"): artifacts_that_ran_table,
    ("docs/what-ran.md", "examples"): examples_that_ran_table,
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
