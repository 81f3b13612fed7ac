"""Mutators of formats whose parts are found by lengths and offsets: PSD, and flat buffers (LiteRT).

PSD: https://www.adobe.com/devnet-apps/photoshop/fileformatashtml/. Flat buffers: https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct

from tests.faults.containers import any_number, any_of, change_parts
from tests.faults.mutators import EXTREMES, Mutator, Rng

_PSD_HEADER = 26
_DEEPEST = 12


def psd(data: bytes, rng: Rng) -> bytes:
    """Change a number of a PSD's header, one of its sections, an image resource, or how its rows are packed."""
    sections, at = [], _PSD_HEADER
    for _ in range(3):  # colours of palettes, resources, layers
        length = int.from_bytes(data[at : at + 4], "big")
        sections.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    header, rows = data[:_PSD_HEADER], data[at:]
    kind = int(rng.integers(0, 6))
    if kind == 0:
        header = header[:4] + any_number(header[4:], rng, "big")
    elif kind == 1:
        k = int(rng.integers(0, 3))
        sections[k] = any_of(sections[k] or rng.bytes(40), rng)
    elif kind in (2, 3):
        sections[1] = resources(sections[1], rng)
    elif kind == 4:
        rows = struct.pack(">H", int(rng.choice((0, 1, 2, 3, 65535)))) + rows[2:]
    else:
        rows = rows[:2] + any_number(rows[2:200], rng, "big") + rows[200:]
    lengths = [len(section) for section in sections]
    if rng.random() < 0.1:
        lengths[int(rng.integers(0, 3))] = int(rng.choice(EXTREMES)) % 2**32
    return header + b"".join(struct.pack(">I", n) + part for n, part in zip(lengths, sections, strict=True)) + rows


def resources(section: bytes, rng: Rng) -> bytes:
    """Change, remove, repeat or add an image resource; their lengths are right most of the time."""
    parts, at = [], 0
    while at + 12 <= len(section):
        length = int.from_bytes(section[at + 8 : at + 12], "big")
        parts.append((section[at + 4 : at + 6], section[at + 12 : at + 12 + length]))
        at += 12 + length + length % 2
    if not parts or rng.random() < 0.3:
        number = int(rng.choice((1005, 1028, 1033, 1036, 1039, 1057, 1058, 1060)))
        parts.append((struct.pack(">H", number), rng.bytes(int(rng.integers(0, 200)))))
    else:
        parts = change_parts(parts, rng)
    wrong = int(rng.integers(0, len(parts))) if parts and rng.random() < 0.2 else -1
    return b"".join(
        b"8BIM"
        + name[:2]
        + b"\0\0"
        + struct.pack(">I", int(rng.choice(EXTREMES)) % 2**32 if k == wrong else len(content))
        + content
        + b"\0" * (len(content) % 2)
        for k, (name, content) in enumerate(parts)
    )


def flat_buffer(data: bytes, rng: Rng) -> bytes:
    """Change a table of a flat buffer, at any depth: a number, an offset, a length, or its list of fields."""
    table = _number(data, 0)
    for _ in range(_DEEPEST):
        fields = _fields(data, table)
        offset = fields[int(rng.integers(0, len(fields)))]
        below = _tables_at(data, table + offset)
        if not below or rng.random() < 0.12:
            break
        table = below[int(rng.integers(0, len(below)))]
    at, changed = table + offset, bytearray(data)
    target = at + _number(data, at)
    kind = int(rng.integers(0, 8))
    if kind <= 1:  # a number, or an offset
        _write(changed, at, int(rng.choice(EXTREMES)), int(rng.choice((1, 2, 4, 8))))
    elif kind == 2:  # to itself, to the root, or back to where it came from
        _write(changed, at, int(rng.choice((0, len(data) - at, 2**32 - at, 2**32 + table - at))), 4)
    elif kind == 3 and target + 4 <= len(data):  # the length of a vector or text
        _write(changed, target, int(rng.choice(EXTREMES)), 4)
    elif kind <= 5 and 8 <= target + 8 <= len(data):  # an element
        count = max(1, min(_number(data, target), 64, (len(data) - target - 8) // 4))
        _write(changed, target + 4 + 4 * int(rng.integers(0, count)), int(rng.choice(EXTREMES)), 4)
    else:  # a field that is not there, or lies where another one does
        entries = table - _number(data, table, signed=True) + 4
        chosen = entries + 2 * int(rng.integers(0, max(1, len(_entries(data, table)))))
        _write(changed, chosen, int(rng.choice((0, 4, offset, 65535))), 2)
    return bytes(changed)


def _number(data: bytes, at: int, *, signed: bool = False) -> int:
    return int.from_bytes(data[at : at + 4], "little", signed=signed) if 0 <= at <= len(data) - 4 else 0


def _write(data: bytearray, at: int, number: int, width: int) -> None:
    data[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "little")[: max(0, len(data) - at)]


def _entries(data: bytes, table: int) -> list[int]:
    """Offsets of a table's fields from its beginning, with 0 for those left out; empty if it is no table."""
    start = table - _number(data, table, signed=True)
    if not (0 < table <= len(data) - 4 and 0 <= start <= len(data) - 4):
        return []
    size, length = struct.unpack_from("<HH", data, start)
    listed = data[start + 4 : start + size]
    entries = [offset for (offset,) in struct.iter_unpack("<H", listed[: len(listed) // 2 * 2])]
    sound = 4 < size <= 400 and 4 <= length <= 1000 and all(offset < length for offset in entries)
    return entries if sound else []


def _fields(data: bytes, table: int) -> list[int]:
    """The offsets of the fields that are there.

    Raises:
        ValueError: it is no table.
    """
    if found := [offset for offset in _entries(data, table) if offset]:
        return found
    raise ValueError


def _tables_at(data: bytes, at: int) -> list[int]:
    """The table, or the tables of the vector, that an offset leads to, as far as bytes tell without a schema."""
    target = at + _number(data, at)
    if any(_entries(data, target)):
        return [target]
    count = _number(data, target)
    if not 0 < count <= 10_000:
        return []
    elements = [place + _number(data, place) for place in range(target + 4, target + 4 + 4 * count, 4)]
    return elements if all(any(_entries(data, element)) for element in elements) else []


MUTATORS: dict[str, tuple[Mutator, ...]] = {".psd": (psd,), ".tflite": (flat_buffer,)}
"""Mutators by the suffix of the files."""
