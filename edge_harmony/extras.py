"""Optional packages: looked for and imported in one way; the error names the extra that installs them."""

from __future__ import annotations

import importlib
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_harmony.errors import CapabilityError

EXTRAS = {
    "torch": "train",
    "safetensors": "train",
    "onnx": "train",
    "onnxscript": "train",
    "openvino": "openvino",
    "coremltools": "coreml",
    "sklearn": "coreml",
    "ai_edge_litert": "litert",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt-rtx",
    "tensorrt_lean": "tensorrt-lean",
    "cuda": "tensorrt",
    "pycuda": "pycuda",
    "pynvml": "nvml",
    "tensorboard": "tensorboard",
    "jinja2": "report",
    "av": "video",
    "pillow_heif": "heif",
    "ray": "ray",
    "pyarrow": "ray",
    "gradio": "demo",
    "fastapi": "serve",
    "uvicorn": "serve",
    "python_multipart": "serve",
}
"""Modules that may be missing, and the extra of this package that brings them."""


def is_installed(module: str) -> bool:
    """Whether a module could be imported, without importing it (a package above it is)."""
    try:
        return find_spec(module) is not None
    except ImportError:  # a package above it is missing
        return False


def install_hint(module: str) -> str:
    """The command that installs a module of :data:`EXTRAS`, from where this package was installed."""
    return install_command(EXTRAS[module.partition(".")[0]])


def install_command(extra: str) -> str:
    """The command that installs an extra: from the folder, repository or file that pip installed this package from, or
    by its name where that was a package index.

    pip records the origin in ``direct_url.json``: https://packaging.python.org/en/latest/specifications/direct-url/
    """
    return _install(extra)


def rebuild_command() -> str:
    """The command that builds and installs this package anew, from where it came from, and no other package."""
    return _install(None, "--no-deps --force-reinstall --no-cache-dir ")


def _install(extra: str | None, flags: str = "") -> str:
    from urllib.request import url2pathname  # slow to import, and wanted for hints only

    origin = _origin()
    address, named = origin.get("url", ""), f"edge-harmony[{extra}]" if extra else "edge-harmony"
    if "dir_info" in origin:
        folder = Path(url2pathname(urlsplit(address).path))
        editable = "-e " if origin["dir_info"].get("editable") else ""
        if (folder / "pyproject.toml").is_file():
            return (
                f"pip install {flags}{editable}'{folder}[{extra}]'"
                if extra
                else f"pip install {flags}{editable}'{folder}'"
            )
    if "vcs_info" in origin:
        version = origin["vcs_info"]
        return f"pip install {flags}'{named} @ {version['vcs']}+{address}@{version['commit_id']}'"
    if "archive_info" in origin:
        return f"pip install {flags}'{named} @ {address}'"
    return f"pip install {flags}'{named}'"


def _origin() -> dict[str, Any]:
    """What pip recorded about where this package came from; nothing if it came from an index or is not installed."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        origin = json.loads(distribution("edge-harmony").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return origin if isinstance(origin, dict) else {}


def check_installed(message: str, *modules: str) -> None:
    """Refuse to go on without some modules, and import none.

    Args:
        message: what needs them, for people.
        modules: of one extra.

    Raises:
        CapabilityError: one is not installed.
    """
    if not all(map(is_installed, modules)):
        raise CapabilityError(message, install_hint(modules[0]))


def require(module: str, message: str) -> Any:
    """Import a module of an extra.

    Args:
        module: name of the module.
        message: error message that says what needs it.

    Raises:
        CapabilityError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise CapabilityError(message, install_hint(module)) from None


@contextmanager
def signals_held() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM wait until the end, for imports of packages that swallow every error meanwhile.

    Nothing is held outside the main thread, which never hears signals.
    """
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if came:
        signal.raise_signal(came[0])


def require_torch() -> None:
    """Raise the one-line error if torch is missing."""
    require("torch", "this needs torch, which is not installed")


def require_exporter() -> None:
    """Raise a CapabilityError unless networks can be exported here."""
    require_torch()
    check_installed("export needs onnx and onnxscript", "onnx", "onnxscript")


def require_onnx(verb: str) -> None:
    """Raise a CapabilityError unless ONNX files can be read here; this needs no other package of the extra."""
    if not is_installed("onnx"):
        raise CapabilityError(f"{verb} needs onnx, which is not installed", "pip install onnx")
