"""Mutators of documents: JSON and TOML with other types, other shapes, and what parsers stumble over."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.faults.mutators import ANY, Mutator, Rng

_DEEP = (50, 500, 5_000, 100_000)
_DIGITS = (20, 400, 5_000)


def nested(rng: Rng, opening: str, closing: str, inner: str = "") -> str:
    """Brackets within brackets, more than a recursive parser takes."""
    depth = int(rng.choice(_DEEP))
    return opening * depth + inner + closing * depth


def odd_value(rng: Rng) -> Any:
    """A value of a type or size that nobody expects."""
    choices: tuple[Any, ...] = (
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        -(2**63) - 1,
        10 ** int(rng.choice(_DIGITS[:2])),
        0.5,
        -0.0,
        1e308,
        1e-320,
        float("nan"),
        float("inf"),
        "",
        "x" * 100_000,
        "a\x00b",
        "\ud800",
        "../../../etc/passwd",
        "/dev/zero",
        "é" * 300,
        "=1+1",
        [],
        {},
        [[[[]]]],
        [None],
        {"": {}},
        [1, 2, 3] * 1000,
        ["text"],
        {"name": {"name": "name"}},
    )
    return choices[int(rng.integers(0, len(choices)))]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document, but of long lists only the first few."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def change_tree(content: Any, rng: Rng) -> Any:
    """Replace, remove, rename or duplicate one value."""
    found = places(content)
    if not found:
        return odd_value(rng)
    *way, last = found[int(rng.integers(0, len(found)))]
    holder = content
    for key in way:
        holder = holder[key]
    kind = int(rng.integers(0, 6))
    if kind <= 2:
        holder[last] = odd_value(rng)
    elif kind == 3:
        del holder[last]
    elif kind == 4 and isinstance(holder, dict):
        holder[str(last) + "_"] = holder[last]
    elif isinstance(holder, list):
        holder.extend(holder[:50])
    else:
        holder[last] = [holder[last]]
    return content


def json_tree(data: bytes, rng: Rng) -> bytes:
    """Change one value of a JSON document."""
    content = change_tree(json.loads(data), rng)
    return json.dumps(content).encode("utf-8", "surrogatepass")


def json_text(data: bytes, rng: Rng) -> bytes:
    """Put text in the place of a value that a tree cannot hold: depth, digits, other encodings, broken escapes."""
    values = list(re.finditer(rb'(?<=[:\[,])\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)', data))
    texts: tuple[bytes, ...] = (
        nested(rng, "[", "]").encode(),
        nested(rng, '{"a":', "}", "1").encode(),
        nested(rng, "[", "").encode(),
        b"9" * int(rng.choice(_DIGITS)),
        b"1e" + b"9" * int(rng.choice(_DIGITS)),
        b'"\\ud800"',
        b'"\\u12',
        b'"\xff\xfe"',
        b"NaN",
        b"-Infinity",
        b'"' + b"a" * 1_000_000 + b'"',
        b"\xef\xbb\xbf1",
        b"'single'",
        b"1,",
        b"/* comment */ 1",
    )
    text = texts[int(rng.integers(0, len(texts)))]
    if not values or rng.random() < 0.15:
        return text
    at = values[int(rng.integers(0, len(values)))]
    return data[: at.start()] + text + data[at.end() :]


def json_encoding(data: bytes, rng: Rng) -> bytes:
    """The document in another encoding, with a mark of byte order, or with a doubled key."""
    text = data.decode()
    doubled = re.sub(r'("\w+"\s*:)', r"\1 0, \1", text, count=1)
    return (
        text.encode("utf-16"),
        b"\xef\xbb\xbf" + data,
        text.encode("utf-32"),
        doubled.encode(),
        data.replace(b"\n", b"\r"),
    )[int(rng.integers(0, 5))]


def toml_value(data: bytes, rng: Rng) -> bytes:
    """Put another value behind an equals sign."""
    lines = data.split(b"\n")
    assigned = [k for k, line in enumerate(lines) if b"=" in line and not line.lstrip().startswith(b"#")]
    if not assigned:
        return data + b"\na = 1\n"
    k = assigned[int(rng.integers(0, len(assigned)))]
    values: tuple[bytes, ...] = (
        nested(rng, "[", "]").encode(),
        nested(rng, "{a=", "}", "1").encode(),
        b"9" * int(rng.choice(_DIGITS)),
        b"-1",
        b"0",
        b"1e400",
        b"nan",
        b"inf",
        b"true",
        b'""',
        b'"' + b"x" * 100_000 + b'"',
        b'"a\\u0000b"',
        b'"\xff"',
        b'"../../x"',
        b"[]",
        b"{}",
        b"[1, 'a', []]",
        b"1979-05-27T07:32:00Z",
        b"9999-99-99",
        b"0x" + b"f" * 400,
        b'"""\nseveral\nlines"""',
        b"",
    )
    lines[k] = lines[k].split(b"=", 1)[0] + b"= " + values[int(rng.integers(0, len(values)))]
    return b"\n".join(lines)


def toml_line(data: bytes, rng: Rng) -> bytes:
    """Remove, repeat, move or add a line."""
    lines = data.split(b"\n")
    k = int(rng.integers(0, len(lines)))
    added: tuple[bytes, ...] = (
        b"[" + b".".join([b"a"] * int(rng.choice((50, 500, 5_000)))) + b"]",
        b".".join([b"b"] * int(rng.choice((50, 500, 5_000)))) + b" = 1",
        b"[[stages]]",
        b"unknown = 1",
        b"# " + b"\xff\xfe",
        b"\x00",
        b"[",
        b'"" = 1',
    )
    kind = int(rng.integers(0, 4))
    if kind == 0:
        del lines[k]
    elif kind == 1:
        lines.insert(int(rng.integers(0, len(lines))), lines[k])
    elif kind == 2:
        lines.insert(int(rng.integers(0, len(lines))), lines.pop(k))
    else:
        lines.insert(k, added[int(rng.integers(0, len(added)))])
    return b"\n".join(lines)


def text_line(data: bytes, rng: Rng) -> bytes:
    """Put an odd line into a list of names."""
    lines = data.split(b"\n")
    odd: tuple[bytes, ...] = (
        b"../../../etc/passwd",
        b"/dev/zero",
        b"a" * 5_000,
        b"HCOCO/composite_images/\xff\xfe.jpg",
        b"a\x00b",
        b"HCOCO/composite_images/nothing.jpg",
        b"x",
        b"_",
        b"HCOCO/" * 300,
        b" ",
    )
    lines[int(rng.integers(0, len(lines)))] = odd[int(rng.integers(0, len(odd)))]
    return b"\n".join(lines)


JSON: tuple[Mutator, ...] = (json_tree, json_tree, json_text, json_encoding)
TOML: tuple[Mutator, ...] = (toml_value, toml_value, toml_line)
LINES: tuple[Mutator, ...] = (text_line, *ANY)
