"""What artifacts are called and what they return; without Pydantic, so that verbs that only list them start at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from typing import Any, Literal

Output = Literal["rgb", "difference", "gain", "affine", "picture"]
"""The output of a file: a picture at the working size (``rgb``); per cell a difference, gains and offsets, or a 3x4
transform (residuals); or the harmonized picture itself (``picture``, :mod:`edge_harmony.models.whole_pipeline`)."""
WHOLE_PIPELINE: Literal["picture"] = "picture"
"""The output by which files say that they hold a whole pipeline, and not a network alone."""


def artifact_name(
    model: str,
    height: int,
    width: int,
    precision: str,
    suffix: str,
    *,
    whole_pipeline: bool = False,
    keep_float: Collection[str] = (),
    marks: Iterable[str] = (),
) -> str:
    """The file name ``<model>-<HxW>-<precision>[-whole][-<mark>...]<suffix>`` of an artifact.

    Artifacts of the same weights that differ have different names, so that no export overwrites another.

    Args:
        model: name in the registry.
        height: of the working size.
        width: of the working size.
        precision: ``fp32``, ``fp16`` or ``int8``.
        suffix: of the kind of file, with its dot.
        whole_pipeline: the artifact holds the network with its pre- and post-processing.
        keep_float: layers of an ``int8`` network that stay float: their number and a digest of their names.
        marks: the backend's own, one for each option that is not its default.
    """
    parts = [model, f"{height}x{width}", precision]
    if keep_float:
        parts.append(f"{len(set(keep_float))}float-{short_digest(sorted(set(keep_float)))}")
    if whole_pipeline:
        parts.append("whole")
    return "-".join([*parts, *marks]) + suffix


def short_digest(content: Any) -> str:
    """Six hexadecimal digits that stand for JSON content in a file name, where the content itself is too long."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]
