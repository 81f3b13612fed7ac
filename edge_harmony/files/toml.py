"""Reading TOML into typed objects; an unknown or ill-typed key is one error that names it."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from edge_harmony.errors import InputError, UsageError, parsing
from edge_harmony.files.regular import read_regular
from edge_harmony.files.toml_lines import Key, lines_of_keys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)
_UNKNOWN = "extra_forbidden"
"""pydantic's type of the error that a key is unknown."""
_CLOSE = 0.7
"""How similar a key must be to be proposed, 0 to 1 (:func:`difflib.get_close_matches`)."""
_SHOWN = 5
"""Problems that a message names."""
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?<![\w.-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{100}}")
"""A key whose parts ``tomllib`` takes memory for in the square of their number."""


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read a TOML file as a typed object.

    Raises:
        UsageError: the file does not exist.
        InputError: the file is not TOML, or its keys and values do not fit ``model``.
    """
    return parse_toml(read_text(path), model, str(path))


def read_text(path: Path) -> str:
    """The text of a TOML file, for :func:`parse_toml`.

    Raises:
        UsageError: the file does not exist.
        InputError: it cannot be read, or is no UTF-8.
    """
    try:
        return read_regular(path).decode()
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f"there is no file {path}", "check the path") from None
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read as text", "it must be UTF-8 TOML") from None


def parse_toml(text: str, model: type[Model], source: str) -> Model:
    """Read TOML text as :func:`read_toml` reads a file; ``source`` is its name in error messages."""
    if _LONG_KEY.search(text):
        raise InputError(f"{source} has a key of more than 100 parts", "fix that line")
    with parsing(f"{source} is not valid TOML", "fix that line"):
        content = tomllib.loads(text)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = problems_of(error, model=model, content=content, lines=lines_of_keys(text))
        raise InputError(f"{source} does not fit: {problems}", "see the docs for its keys") from None


def parse_value(text: str) -> Any:
    """A value of TOML, as people type it on a command line: what is none is taken as a text without quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, ValueError, RecursionError, KeyError):
        return text


def problems_of(
    error: ValidationError,
    whole: str = "file",
    *,
    model: type[BaseModel] | None = None,
    content: Any = None,
    lines: Mapping[Key, int] | None = None,
) -> str:
    """The first few problems of values that do not fit, in one line.

    A key that the model does not have is named with the nearest one that it has. What only follows from another problem
    is not named: keys that are missing where one is unknown, and arrays that are short of an item that does not fit.

    Args:
        error: pydantic's.
        whole: what has a problem that no single key has.
        model: the model, for the nearest keys.
        content: what was validated; with it, the alternatives that a value could be are one problem.
        lines: lines of the keys, which are named where they are known.
    """
    found: dict[Key, list[ErrorDetails]] = {}
    unknown = any(e["type"] == _UNKNOWN for e in error.errors())
    for problem in error.errors():
        key = problem["loc"] if content is None else _place(problem, content)
        if not (unknown and problem["type"] == "missing"):
            found.setdefault(key, []).append(problem)
    for key in [key for key, problems in found.items() if problems[0]["type"] == "too_short"]:
        if any(other[: len(key)] == key for other in found if other != key):
            del found[key]
    told = []
    for key, problems in list(found.items())[:_SHOWN]:
        line = _line_of(key, lines or {})
        said = ", or ".join(dict.fromkeys(_message(problem, model) for problem in problems))
        told.append((f"line {line}, " if line else "") + f"{'.'.join(map(str, key)) or whole}: {said}")
    return "; ".join(told)


def _message(problem: ErrorDetails, model: type[BaseModel] | None) -> str:
    if problem["type"] != _UNKNOWN:
        return problem["msg"]
    *place, name = problem["loc"]
    names = _keys_at(model, tuple(place)) if model else []
    close = difflib.get_close_matches(str(name), names, 1, _CLOSE)
    others = f", choose from {', '.join(names)}" if names else ""
    return "there is no such key" + (f", did you mean {close[0]}?" if close else others)


def _place(problem: ErrorDetails, content: Any) -> Key:
    """Where in the content a problem is: its location without the names that pydantic gives alternatives."""
    place: Key = ()
    for part in problem["loc"]:
        try:
            content = content[part]
        except (LookupError, TypeError):
            return (*place, part) if problem["type"] == "missing" and isinstance(content, dict) else place
        place += (part,)
    return place


def _line_of(key: Key, lines: Mapping[Key, int]) -> int | None:
    """The line of a key; of an array of tables the first one, of a key that is missing the line of its table."""
    for length in range(len(key), 0, -1):
        within = [line for other, line in lines.items() if other[:length] == key[:length]]
        if within:
            return min(within)
    return None


def _keys_at(model: type[BaseModel], place: Key) -> list[str]:
    """Keys that a model has at a place of its content; numbers and names of alternatives lead nowhere further."""
    models = [model]
    for name in place:
        fields = [inner.model_fields[name] for inner in models if isinstance(name, str) and name in inner.model_fields]
        if fields:
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return list(dict.fromkeys(name for inner in models for name in inner.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models in a type such as ``tuple[StageConfig, ...]`` or ``SynthesisConfig | None``."""
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
