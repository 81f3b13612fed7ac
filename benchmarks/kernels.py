"""Kernels of a TensorRT for RTX engine, read from the builder's verbose log; the inspector would need a GPU."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edge_harmony.backends.tensorrt.bridge import find_tensorrt
from edge_harmony.backends.tensorrt.builder import build_plan
from edge_harmony.backends.tensorrt.logger import Log
from edge_harmony.backends.tensorrt.options import BuildOptions

_LINE = re.compile(
    r"Name: (?P<name>.+?), LayerType: (?P<kind>\w+), Inputs: \[(?P<read>.*?)\], Constants:.*?, Outputs: "
)
_TENSOR = re.compile(r"\{ Name: (\S+), Dimensions: .*?Datatype: (\w+)")
_CONVOLUTION = "correlation"  # the builder's names
_ROUNDS = re.compile(r"Roun")  # in names of generated kernels, which list the operations that they fuse


@dataclass(frozen=True)
class Kernel:
    """One launch.

    Attributes:
        name: the builder's name; generated kernels are named after the operations in them.
        kind: ``correlation`` (a convolution), ``gemm``, ``avgpool``, or ``kgen`` (generated).
        reads: input tensors with their types, such as ``Int8`` and ``Float``, without constants.
        writes: output tensors with their types.
    """

    name: str
    kind: str
    reads: dict[str, str]
    writes: dict[str, str]

    @property
    def is_integer_convolution(self) -> bool:
        """Whether a kernel is a convolution of 8 bits."""
        return self.kind == _CONVOLUTION and "Int8" in self.reads.values()


def build_kernels(onnx: Path, architecture: str = "SM89") -> list[Kernel]:
    """Build an ONNX file of a fixed batch for a GPU and list the kernels in their order; needs no GPU.

    Raises:
        CapabilityError: TensorRT for RTX is not installed.
        ArtifactError: TensorRT for RTX refuses the file.
    """
    tensorrt = find_tensorrt("tensorrt-rtx")
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "log"
        log = Log(tensorrt, words)
        try:
            build_plan(tensorrt, onnx, BuildOptions(architectures=(architecture,), verbosity="detailed"), log=log)
        finally:
            log.close()
        return read_kernels(words.read_text(encoding="utf-8"))


def read_kernels(log: str) -> list[Kernel]:
    """The layers in a verbose log of a build with detailed profiling verbosity."""
    return [
        Kernel(
            found["name"],
            found["kind"],
            dict(_TENSOR.findall(found["read"])),
            dict(_TENSOR.findall(line[found.end() :])),
        )
        for line in log.splitlines()
        if (found := _LINE.search(line))
    ]


def count(kernels: list[Kernel]) -> dict[str, int]:
    """Kernels of an engine by what they do.

    Returns:
        ``kernels``; ``integer_convolutions``; of these ``writing_integers`` and ``writing_floats``; ``requantizing``:
        kernels that read such a float result and round it, of which ``only_requantizing`` read nothing else;
        ``float_kernels``: those that neither read nor write 8 bits, nor round; ``float_islands``: connected groups of
        these.
    """
    convolutions = [kernel for kernel in kernels if kernel.is_integer_convolution]
    floats = {name for kernel in convolutions for name, kind in kernel.writes.items() if kind != "Int8"}
    requantizing = [kernel for kernel in kernels if floats & kernel.reads.keys() and _ROUNDS.search(kernel.name)]
    apart = [kernel for kernel in kernels if not _touches_integers(kernel)]
    return {
        "kernels": len(kernels),
        "integer_convolutions": len(convolutions),
        "writing_integers": sum("Int8" in kernel.writes.values() for kernel in convolutions),
        "writing_floats": sum("Int8" not in kernel.writes.values() for kernel in convolutions),
        "requantizing": len(requantizing),
        "only_requantizing": sum(kernel.reads.keys() <= floats for kernel in requantizing),
        "float_kernels": len(apart),
        "float_islands": connected([(set(kernel.reads), set(kernel.writes)) for kernel in apart]),
    }


def _touches_integers(kernel: Kernel) -> bool:
    return "Int8" in {*kernel.reads.values(), *kernel.writes.values()} or bool(_ROUNDS.search(kernel.name))


def connected(operations: list[tuple[set[str], set[str]]]) -> int:
    """The number of connected groups of operations, each given as a pair of its inputs and its outputs."""
    groups: list[tuple[set[str], set[str]]] = []
    for reads, writes in operations:
        joined = [group for group in groups if group[1] & reads or group[0] & writes]
        groups = [group for group in groups if group not in joined]
        groups.append((reads.union(*(group[0] for group in joined)), writes.union(*(group[1] for group in joined))))
    return len(groups)
