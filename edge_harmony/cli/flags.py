"""Hints of the Python API in the words of the command line."""

from __future__ import annotations

_FLAGS = {
    "fit=True": "--fit-mask",
    "mask_value=N": "--mask-value N",
    "mask_value": "--mask-value",
    "limit=N": "--limit N",
    "resume=True": "--resume",
    "codec=": "--codec ",
    "background=": "--background ",
}
"""Arguments as errors and warnings of the package name them, and the options that stand for them; longer ones first."""


def with_flags(text: str) -> str:
    """A hint or warning that names options instead of Python's arguments."""
    for argument, flag in _FLAGS.items():
        text = text.replace(argument, flag)
    return text
