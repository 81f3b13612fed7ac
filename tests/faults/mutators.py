"""Mutators of bytes and of text: what a damaged or hostile file of any kind may look like.

A mutator takes the bytes of a sound file and a random generator, and returns other bytes. Those that know a format are
in :mod:`tests.faults.containers` and :mod:`tests.faults.documents`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Rng = np.random.Generator
Mutator = Callable[[bytes, Rng], bytes]

EXTREMES = (0, 1, -1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62)
"""Numbers at which counters, sizes and offsets go wrong."""


def position(data: bytes, rng: Rng) -> int:
    """An offset; headers are at the front, so half of the offsets are in the first kilobyte."""
    end = len(data) if rng.random() < 0.5 else min(len(data), 1024)
    return int(rng.integers(0, max(1, end)))


def span(data: bytes, rng: Rng) -> tuple[int, int]:
    """First and last offset of a short or a long part."""
    first = position(data, rng)
    longest = 16 if rng.random() < 0.6 else max(16, len(data))
    return first, min(len(data), first + int(rng.integers(1, longest + 1)))


def flip_bits(data: bytes, rng: Rng) -> bytes:
    """Flip a few bits."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if changed:
            changed[position(data, rng)] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def set_number(data: bytes, rng: Rng) -> bytes:
    """Write an extreme number of 1 to 8 bytes, in either byte order."""
    width = int(rng.choice((1, 2, 4, 8)))
    order = "little" if rng.random() < 0.5 else "big"
    number = int(rng.choice(EXTREMES)) % (1 << 8 * width)
    first = position(data, rng)
    return data[:first] + number.to_bytes(width, order) + data[first + width :]  # type: ignore[arg-type]


def cut_off(data: bytes, rng: Rng) -> bytes:
    """Keep the beginning only."""
    return data[: int(rng.integers(0, len(data) + 1))]


def remove(data: bytes, rng: Rng) -> bytes:
    """Leave a part out."""
    first, last = span(data, rng)
    return data[:first] + data[last:]


def repeat(data: bytes, rng: Rng) -> bytes:
    """Write a part several times."""
    first, last = span(data, rng)
    times = int(rng.integers(2, 5))
    return data[:last] + data[first:last] * min(times, 1 + 65536 // max(1, last - first)) + data[last:]


def blank(data: bytes, rng: Rng) -> bytes:
    """Overwrite a part with zeros or ones, as a failed disk does."""
    first, last = span(data, rng)
    return data[:first] + bytes([int(rng.choice((0, 255)))]) * (last - first) + data[last:]


def scramble(data: bytes, rng: Rng) -> bytes:
    """Overwrite a part with random bytes."""
    first, last = span(data, rng)
    return data[:first] + rng.bytes(last - first) + data[last:]


def insert(data: bytes, rng: Rng) -> bytes:
    """Insert random bytes."""
    first = position(data, rng)
    return data[:first] + rng.bytes(int(rng.integers(1, 64))) + data[first:]


def exchange(data: bytes, rng: Rng) -> bytes:
    """Exchange two parts."""
    (a, b), (c, d) = sorted((span(data, rng), span(data, rng)))
    c, d = max(b, c), max(b, d)
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def append(data: bytes, rng: Rng) -> bytes:
    """Append zeros, random bytes, or the file once more."""
    tails = (bytes(int(rng.integers(1, 5000))), rng.bytes(int(rng.integers(1, 5000))), data)
    return data + tails[int(rng.integers(0, 3))]


def replace_all(data: bytes, rng: Rng) -> bytes:
    """Something else altogether: nothing, noise, text, a page of an error message, another kind of file."""
    others = (
        b"",
        rng.bytes(int(rng.integers(1, 2000))),
        b"\n",
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 1234\n",
        b"\x89PNG\r\n\x1a\n",
        b"PK\x03\x04",
        b"\xff\xd8\xff",
        b"{}",
        b"[]",
        b"null",
        b"\x00" * 100,
    )
    return others[int(rng.integers(0, len(others)))]


ANY: tuple[Mutator, ...] = (
    flip_bits,
    flip_bits,
    set_number,
    set_number,
    cut_off,
    remove,
    repeat,
    blank,
    scramble,
    insert,
    exchange,
    append,
    replace_all,
)
"""Mutators for every kind of file."""


def mutate(data: bytes, rng: Rng, own: Sequence[Mutator]) -> bytes:
    """Apply one to three mutators: mostly those of the format (``own``), else those for every kind.

    A mutator that knows the format may meet bytes that an earlier one has damaged beyond it; then these are returned.
    """
    changed = data
    for _ in range(int(rng.choice((1, 1, 1, 2, 3)))):
        chosen = own if own and rng.random() < 0.6 else ANY
        try:
            changed = chosen[int(rng.integers(0, len(chosen)))](changed, rng)
        except Exception:  # its parser is made for sound files
            return changed
    return changed
