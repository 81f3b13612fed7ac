"""A package judged by its own contents: what computes in 8 bits, and what a target's system will not take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import coremltools as ct

from edge_harmony.backends.coreml.contents import Contents, read_contents
from edge_harmony.backends.coreml.options import PackageOptions
from edge_harmony.inspection.findings import Finding, Inspection

UNKNOWN = [
    "which operations run on the CPU, the GPU or the neural engine: Core ML chooses on the device, Xcode's Performance "
    "tab shows it",
    "whether the unit that is chosen computes the 8-bit convolutions in integers: it may unpack them to 16 bits",
]
"""What no package tells."""


def judge_package(package: Path, precision: str | None, options: PackageOptions | None) -> Inspection:
    """Judge a package.

    Args:
        package: the folder; of several functions the default is judged, as all share their weights.
        precision: what the target wants; None where no target is named.
        options: the target's; None where no target is named.

    Raises:
        ArtifactError: it is no package, or damaged.
    """
    contents = read_contents(package)
    findings = [] if options is None else list(_misfits(contents, precision, options))
    islands = {f"32 bits, island {number}": list(names) for number, names in enumerate(contents.islands, 1)}
    return Inspection(layers=list(contents.layers), findings=findings, islands=islands, unknown=list(UNKNOWN))


def _misfits(contents: Contents, precision: str | None, options: PackageOptions) -> Iterator[Finding]:
    """Where a package is not what a target wants; fatal where the target's system does not load it."""
    if contents.specification > ct.target[options.minimum].value:
        needed = next((each.name for each in ct.target if each.value == contents.specification), "a newer system")
        problem = f"it needs {needed}, and the target starts at {options.minimum}"
        yield Finding("the package", problem, f"export it for this target, or raise the target's minimum to {needed}")
    if precision == "int8" and not contents.integer_convolutions:
        yield Finding("the package", "no convolution is quantized to 8 bits", "export it for this target", False)
    if precision != "int8" and precision is not None and contents.integer_convolutions:
        count = f"{contents.integer_convolutions} of {contents.convolutions}"
        problem = f"{count} convolutions are quantized to 8 bits, and the target is {precision}"
        yield Finding("the package", problem, "export it for this target", False)
    if "strength" not in contents.inputs:  # a whole pipeline takes pictures whatever a target says
        for name, kind in contents.inputs.items():
            if kind.startswith("image") != (options.inputs == "image"):
                problem = f"it is {kind}, and the target's inputs are {options.inputs}s"
                yield Finding(name, problem, "export it for this target", False)
        for height, width in options.more_sizes:
            if f"h{height}w{width}" not in contents.functions:
                problem = f"it has no function for {width}x{height}, which the target names"
                yield Finding("the package", problem, "export it for this target", False)
