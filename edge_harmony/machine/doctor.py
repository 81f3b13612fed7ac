"""The capabilities of this machine, with a fix for each missing one."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict
from typing import Any

import edge_harmony
from edge_harmony.backends.discovery import backend_names, get_backend
from edge_harmony.backends.processor import read_processor
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.extras import install_hint, is_installed, rebuild_command
from edge_harmony.machine.jetson import find_jetson
from edge_harmony.pictures import kernels

_INT8_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def examine() -> dict[str, Any]:
    """A report: ``version``, ``machine``, and ``capabilities`` (``name available detail fix``)."""
    rows = [_backend(name) for name in backend_names()]
    rows += [
        _loops(),
        _packages("export to ONNX", ("torch", "onnx", "onnxscript")),
        _packages("training", ("torch", "safetensors")),
        _packages("video", ("av",)),
        _packages("folders on a cluster", ("ray", "pyarrow")),
        _packages("demo page", ("gradio",)),
        _cuda(),
        _gpu(),
    ]
    jetson = find_jetson()
    return {
        "version": edge_harmony.__version__,
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "cpus": os.cpu_count(),
            **_cpu(),
            "memory_bytes": _memory(),
            "jetson": asdict(jetson) if jetson else None,
        },
        "capabilities": rows,
    }


def _backend(name: str) -> dict[str, Any]:
    try:
        probe = get_backend(name).probe()
    except EdgeHarmonyError as error:
        return _row(f"backend {name}", False, error.message, error.hint or "")
    precisions = f" ({', '.join(probe.precisions)})" if probe.precisions else ""
    return _row(f"backend {name}", probe.available, probe.detail + precisions, probe.fix)


def _packages(name: str, packages: tuple[str, ...]) -> dict[str, Any]:
    missing = [package for package in packages if not is_installed(package)]
    if missing:
        return _row(name, False, f"missing: {', '.join(missing)}", install_hint(missing[0]))
    return _row(name, True, ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages), "")


def _loops() -> dict[str, Any]:
    """Whether the loops over pixels are compiled."""
    detail = f"loops over pixels: {kernels.implementation()}"
    compiler = "install a C++ compiler and Python's headers (Debian: apt install g++ python3-dev), then "
    return _row("compiled loops", kernels.NATIVE, detail, "" if kernels.NATIVE else compiler + rebuild_command())


def _cuda() -> dict[str, Any]:
    if not is_installed("torch"):
        return _row("training on CUDA", False, "torch is not installed", install_hint("torch"))
    import torch

    if not torch.cuda.is_available():
        return _row(
            "training on CUDA",
            False,
            f"torch {torch.__version__} sees no CUDA device",
            "use a machine with an NVIDIA GPU",
        )
    names = ", ".join(torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count()))
    return _row("training on CUDA", True, names, "")


def _gpu() -> dict[str, Any]:
    """The device that engines run on."""
    try:
        cuda = find_cuda()
        device = cuda.device()
    except EdgeHarmonyError as error:
        return _row("engines on CUDA", False, error.message, error.hint or "")
    memory = f"{device.free / 2**30:.1f} of {device.memory / 2**30:.1f} GiB free"
    detail = f"{device.name} ({device.sm}), {memory}, CUDA {device.driver}, {cuda.name}"
    return _row("engines on CUDA", True, detail, "")


def _memory() -> int | None:
    """Bytes of main memory; None if the system does not report them."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _row(name: str, available: bool, detail: str, fix: str) -> dict[str, Any]:
    return {"name": name, "available": available, "detail": detail, "fix": fix}


def _cpu() -> dict[str, Any]:
    """CPU name and the instruction sets that decide the speed of 8-bit kernels, if the system reports them."""
    processor = read_processor()
    return {
        "cpu": processor.name or platform.processor() or "unknown",
        "features": [feature for feature in _INT8_FEATURES if feature in processor.flags],
    }
