"""Reading TOML into typed objects; an unknown or ill-typed key is one error that names it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from edge_harmony.errors import InputError, UsageError, parsing
from edge_harmony.files.regular import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read a TOML file as a typed object.

    Raises:
        UsageError: the file does not exist.
        InputError: the file is not TOML, or its keys and values do not fit ``model``.
    """
    try:
        text = read_regular(path).decode()
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f"there is no file {path}", "check the path") from None
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read as text", "it must be UTF-8 TOML") from None
    return parse_toml(text, model, str(path))


def parse_toml(text: str, model: type[Model], source: str) -> Model:
    """Read TOML text as :func:`read_toml` reads a file; ``source`` is its name in error messages."""
    with parsing(f"{source} is not valid TOML", "fix that line"):
        content = tomllib.loads(text)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{source} does not fit: {problems_of(error)}", "see the docs for its keys") from None


def parse_value(text: str) -> Any:
    """A value of TOML, as people type it on a command line: what is none is taken as a text without quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, ValueError, RecursionError, KeyError):
        return text


def problems_of(error: ValidationError, whole: str = "file") -> str:
    """The first few problems of values that do not fit, each with its key or, without one, ``whole``; in one line."""
    found = sorted(error.errors(), key=lambda e: e["type"] == "missing")  # a misspelt key explains a missing one
    return "; ".join(f"{'.'.join(str(p) for p in e['loc']) or whole}: {e['msg']}" for e in found[:5])
