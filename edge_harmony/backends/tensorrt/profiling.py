"""Per-layer times and what the inspector says of layers, in trtexec's formats; and two of them side by side."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_harmony.errors import InputError, UsageError, parsing
from edge_harmony.files.atomic import atomic_write

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.engine import Engine

_REFORMAT = re.compile(r"reformat|copy node|shuffle between", re.IGNORECASE)
_LONGEST_MS = 1e12
_PRECISIONS = (
    ("int8", "INT8"),
    ("fp8", "FP8"),
    ("fp16", "FP16"),
    ("half", "FP16"),
    ("float", "FP32"),
    ("fp32", "FP32"),
)


@dataclass
class LayerTimes:
    """Milliseconds of every layer in every run, in the order of the first."""

    times: dict[str, list[float]] = field(default_factory=dict)

    def take(self, name: str, milliseconds: float) -> None:
        """One layer of one run."""
        self.times.setdefault(name, []).append(milliseconds)

    def rows(self) -> list[dict[str, Any]]:
        """trtexec's ``--exportProfile``: the number of runs, then a row per layer."""
        total = sum(sum(times) for times in self.times.values())
        count = max((len(times) for times in self.times.values()), default=0)
        rows: list[dict[str, Any]] = [{"count": count}]
        for name, times in self.times.items():
            rows.append(
                {
                    "name": name,
                    "timeMs": sum(times),
                    "averageMs": float(np.mean(times)),
                    "medianMs": float(np.median(times)),
                    "percentage": 100 * sum(times) / total if total else 0.0,
                }
            )
        return rows


def profile(engine: Engine, inputs: dict[str, tuple[int, ...]], runs: int) -> LayerTimes:
    """Run with TensorRT's profiler attached, in a context of its own. Slower than without: layers wait for each other.

    Args:
        engine: a loaded one.
        inputs: shapes, where the engine's are open.
        runs: how often.
    """
    times = LayerTimes()
    base: Any = engine.tensorrt.get("IProfiler")

    class Profiler(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            with engine.log.guard():
                times.take(layer_name, ms)

    with contextlib.closing(engine.context(Profiler())) as context, engine.log.operation():
        context.resize(context.largest | inputs)
        for _ in range(runs):
            context.enqueue()
            context.synchronize()
    return times


def write_rows(path: Path, content: Any) -> None:
    """A JSON file, as trtexec writes it; the inspector's own text as it is."""
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    atomic_write(path, (text + "\n").encode())


@dataclass(frozen=True)
class Layer:
    """One layer of a profile.

    Attributes:
        name: TensorRT's.
        milliseconds: median per run.
        precision: from the layer information beside it; empty if there is none.
    """

    name: str
    milliseconds: float
    precision: str

    @property
    def is_reformat(self) -> bool:
        """Whether it only moves a tensor into another format."""
        return bool(_REFORMAT.search(self.name))

    @property
    def parts(self) -> frozenset[str]:
        """ONNX nodes that were fused into it."""
        cleaned = re.sub(r"\[[^\[\]]*\]|\{|\}|PWN\(|\)|Reformatting CopyNode for .*", " ", self.name)
        return frozenset(part for part in re.split(r"\s*\+\s*|,\s*|\s*\|\|\s*|\s+", cleaned) if part)


def read_profile(path: Path, information: Path | None = None) -> list[Layer]:
    """Layers of an ``--exportProfile`` file, with precisions from the ``--exportLayerInfo`` file of the same engine.

    Raises:
        UsageError: there is no such file.
        InputError: it is not of that format.
    """
    content = _read(path)
    precisions = _precisions(_read(information)) if information else {}
    rows = [row for row in content if isinstance(row, dict) and "name" in row] if isinstance(content, list) else []
    times: list[Any] = [row.get("medianMs", row.get("averageMs")) for row in rows]
    if not rows or not all(isinstance(row["name"], str) for row in rows) or not all(map(_is_time, times)):
        raise InputError(f"{path} is no profile", "write one with edge-harmony build ... --exportProfile FILE")
    names = [row["name"] for row in rows]
    return [Layer(name, float(time), precisions.get(name, "")) for name, time in zip(names, times, strict=True)]


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LONGEST_MS


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "check the path")
    with parsing(f"{path} is not JSON", "write it with edge-harmony build ... --exportProfile FILE"):
        return json.loads(path.read_bytes())


def _precisions(content: Any) -> dict[str, str]:
    """Precision of every layer: what its output is stored in."""
    found: dict[str, str] = {}
    layers = content.get("Layers") if isinstance(content, dict) else None
    for layer in layers if isinstance(layers, list) else []:
        name, outputs = (layer.get("Name"), layer.get("Outputs")) if isinstance(layer, dict) else (None, None)
        if isinstance(name, str) and isinstance(outputs, list) and outputs and isinstance(outputs[0], dict):
            text = str(outputs[0].get("Datatype") or outputs[0].get("Format/Datatype", "")).lower()
            found[name] = next((kind for key, kind in _PRECISIONS if key in text), text)
    return found


@dataclass(frozen=True)
class Difference:
    """A layer in two profiles, or a group of layers that the two engines fused differently.

    Attributes:
        names: its names in the first and the second profile; empty in a profile that lacks it.
        milliseconds: its times in the two profiles; 0 in a profile that lacks it.
        precisions: its precisions in the two profiles; empty in a profile that lacks it.
        reformat: whether all its layers only move tensors.
    """

    names: tuple[str, str]
    milliseconds: tuple[float, float]
    precisions: tuple[str, str]
    reformat: bool

    @property
    def change(self) -> float:
        """Milliseconds that the second takes more."""
        return self.milliseconds[1] - self.milliseconds[0]


def diff(first: list[Layer], second: list[Layer]) -> list[Difference]:
    """Match layers by the ONNX nodes in them; groups that share nodes are compared as a whole."""
    groups: list[tuple[set[str], list[Layer], list[Layer]]] = []
    rest: list[Difference] = []
    for side, layers in enumerate((first, second)):
        for layer in layers:
            if layer.is_reformat:
                names, times = ["", ""], [0.0, 0.0]
                names[side], times[side] = layer.name, layer.milliseconds
                kinds = ["", ""]
                kinds[side] = layer.precision
                rest.append(Difference((names[0], names[1]), (times[0], times[1]), (kinds[0], kinds[1]), reformat=True))
                continue
            joined = [group for group in groups if group[0] & layer.parts]
            target: tuple[set[str], list[Layer], list[Layer]] = joined[0] if joined else (set(), [], [])
            for other in joined[1:]:
                target[0].update(other[0])
                target[1].extend(other[1])
                target[2].extend(other[2])
                groups.remove(other)
            if not joined:
                groups.append(target)
            target[0].update(layer.parts)
            (target[2] if side else target[1]).append(layer)
    matched = [_compare(ours, theirs) for _, ours, theirs in groups]
    return [*matched, *rest]


def slower_in_integers(differences: list[Difference]) -> list[Difference]:
    """Layers that take longer in 8 bits than in the other profile, the worst first.

    Where no layer information says which are in 8 bits, all that take longer in the second profile.
    """
    known = any(any(row.precisions) for row in differences)
    found = [
        row for row in differences if not row.reformat and row.change > 0 and (not known or "INT8" in row.precisions[1])
    ]
    return sorted(found, key=lambda row: -row.change)


def _compare(ours: list[Layer], theirs: list[Layer]) -> Difference:
    names = tuple(" | ".join(layer.name for layer in side) for side in (ours, theirs))
    times = tuple(sum(layer.milliseconds for layer in side) for side in (ours, theirs))
    kinds = tuple(
        "/".join(dict.fromkeys(layer.precision for layer in side if layer.precision)) for side in (ours, theirs)
    )
    return Difference((names[0], names[1]), (times[0], times[1]), (kinds[0], kinds[1]), reformat=False)
