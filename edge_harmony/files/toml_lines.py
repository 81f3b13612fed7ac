"""The lines on which the keys of a TOML file stand, for error messages; parsers of TOML do not tell them."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Key = tuple[str | int, ...]
"""Names of tables and keys, and numbers within arrays, from the top down."""
_DEEPEST = 8
_LONGEST = 200
"""Keys with more parts, and what follows a statement of more lines, have no line: no settings look so."""


def lines_of_keys(text: str) -> dict[Key, int]:
    """The first line of every table and key of a valid file, counted from 1.

    Keys within a value of several lines have the line on which the value begins.
    """
    found: dict[Key, int] = {}
    tables: Counter[Key] = Counter()
    table: Key = ()
    lines = text.splitlines()
    first = 0
    while first < len(lines):
        for end in range(first + 1, min(len(lines), first + _LONGEST) + 1):
            try:
                statement = tomllib.loads("\n".join(lines[first:end]))
                break
            except (tomllib.TOMLDecodeError, RecursionError):
                continue  # the statement goes on
        else:
            return found
        if lines[first].lstrip().startswith("["):
            table = _table(statement, tables)
            found.setdefault(table, first + 1)
        else:
            _note(statement, table, first + 1, found)
        first = end
    return found


def _table(header: dict[str, Any], tables: Counter[Key]) -> Key:
    """The key of the table that a header opens, with the numbers of the arrays of tables in it."""
    key: Key = ()
    inner: Any = header
    while inner:
        ((name, inner),) = inner.items()
        key += (name,)
        if isinstance(inner, list):  # [[name]] begins the next table of the array
            tables[key] += 1
            inner = inner[0]
        if tables[key]:
            key += (tables[key] - 1,)
    return key


def _note(content: dict[str, Any], table: Key, line: int, found: dict[Key, int]) -> None:
    """Note the line for every key of a statement."""
    waiting: list[tuple[Key, Any]] = [(table, content)]
    while waiting:
        key, value = waiting.pop()
        if key != table:
            found.setdefault(key, line)
        if len(key) < _DEEPEST:
            inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            waiting += [((*key, name), item) for name, item in inner]
