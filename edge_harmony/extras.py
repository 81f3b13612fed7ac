"""Packages that the base install does without: imported where they are needed, with the way to get them."""

from __future__ import annotations

import importlib
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
