"""Whether a video's file is as long as it says, where its container says it."""

from __future__ import annotations

import os
from pathlib import Path

from edge_harmony.errors import InputError
from edge_harmony.video.matroska import EBML, SEGMENT, variable_size

_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx", b"mfra", b"uuid", b"meta"}
_SLACK = 1
"""RIFF pads to even lengths, and writers forget it."""


def refuse_cut_off(path: Path) -> None:
    """Refuse a file that ends before it should: FFmpeg would show what is there and say nothing.

    Known of MP4 and MOV (ISO/IEC 14496-12: boxes), AVI (RIFF) and Matroska and WebM (the Segment of RFC 9559). Of
    others, and of files that were written without going back, nobody knows.

    Raises:
        InputError: it is cut off.
    """
    length = path.stat().st_size
    wanted = _said_length(path, length)
    if wanted > length + _SLACK:
        raise InputError(
            f"{path} is cut off: {length:,} of {wanted:,} bytes are there", "download, copy or export it again"
        )


def _said_length(path: Path, length: int) -> int:
    with path.open("rb") as file:
        head = file.read(64)
        if head[4:8] in _BOXES:
            return _end_of_boxes(file.fileno(), length)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return 8 + int.from_bytes(head[4:8], "little")
        if head[:4] == EBML:
            return _end_of_segment(head)
    return length


def _end_of_boxes(file: int, length: int) -> int:
    at = 0
    while at + 8 <= length:
        os.lseek(file, at, os.SEEK_SET)
        head = os.read(file, 16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8 or head[4:8] not in _BOXES:  # to the end of the file, or something that only its writer knows
            return length
        at += size
    return at


def _end_of_segment(head: bytes) -> int:
    at = 4
    size, width = variable_size(head, at)
    at += width + size
    if head[at : at + 4] != SEGMENT:
        return 0
    size, width = variable_size(head, at + 4)
    return 0 if size == (1 << 7 * width) - 1 else at + 4 + width + size  # all ones: unknown, of live streams
