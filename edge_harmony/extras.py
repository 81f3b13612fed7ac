"""Packages that the base install does without: imported where they are needed, with the way to get them."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from edge_harmony.errors import CapabilityError


def require(module: str, message: str, extra: str) -> Any:
    """A module of an extra.

    Args:
        module: its name.
        message: what needs it, for people.
        extra: of this package, which brings it.

    Raises:
        CapabilityError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise CapabilityError(message, f"pip install 'edge-harmony[{extra}]'") from None


def require_torch() -> None:
    """Raise the one-line error if torch is missing."""
    require("torch", "this needs torch, which is not installed", "train")


def require_exporter() -> None:
    """Raise a CapabilityError unless networks can be exported here."""
    require_torch()
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise CapabilityError("export needs onnx and onnxscript", "pip install 'edge-harmony[train]'")


def require_onnx(verb: str) -> None:
    """Raise a CapabilityError unless ONNX files can be read here."""
    if find_spec("onnx") is None:
        raise CapabilityError(f"{verb} needs onnx, which is not installed", "pip install onnx")
