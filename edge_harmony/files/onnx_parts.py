"""The other files that an ONNX file keeps tensors in, found without the package ``onnx``, and a hash over all of them.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, the encoding that of
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from edge_harmony.files.atomic import sha256_of

_WITHIN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""Messages that may lie in a message, by the number of their field."""
_KEY, _VALUE = 1, 2
_LOCATION = b"location"
_VARINT, _FIXED64, _BYTES, _START_GROUP, _END_GROUP, _FIXED32 = range(6)
_DEEPEST = 128
"""Deeper than protobuf's own parsers go."""


def external_files(path: Path) -> list[str]:
    """Names of the files besides ``path`` that hold its tensors, in order; none if it is whole, or no ONNX file."""
    names: set[str] = set()
    data = path.read_bytes()
    if _LOCATION not in data:  # which spares the way through all nodes
        return []
    with contextlib.suppress(ValueError):  # behind which no parser of ONNX goes either
        for entry in _entries(memoryview(data), "model", 0):
            fields = {number: bytes(value) for number, value in _fields(entry)}
            if fields.get(_KEY) == _LOCATION:
                names.add(fields.get(_VALUE, b"").decode(errors="replace"))
    return sorted(names)


def sha256_of_onnx(path: Path) -> str:
    """Hex digest of an ONNX file, and of the files that hold its tensors where there are any."""
    others = external_files(path)
    if not others:
        return sha256_of(path)
    digest = hashlib.sha256(sha256_of(path).encode())
    for name in others:
        other = path.parent / name
        digest.update(f" {name} {sha256_of(other) if other.is_file() else ''}".encode())
    return digest.hexdigest()


def _entries(message: memoryview, kind: str, depth: int) -> Iterator[memoryview]:
    """The entries of ``TensorProto.external_data`` anywhere within a message."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    for number, value in _fields(message):
        inner = _WITHIN[kind].get(number)
        if inner == "entry":
            yield value
        elif inner is not None:
            yield from _entries(value, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the fields with a length; others are skipped.

    Raises:
        ValueError: the bytes are no message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field ends behind the message")
            yield key >> 3, message[at : at + length]
            at += length
        elif wire == _VARINT:
            _, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        elif wire not in (_START_GROUP, _END_GROUP):
            raise ValueError("no such kind of field")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("no number")
