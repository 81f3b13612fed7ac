"""Writing that never leaves half a file or folder; hashes and sizes of files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_harmony.errors import UsageError, first_line
from edge_harmony.files.exchange import exchange
from edge_harmony.files.names import LONGEST, shortened
from edge_harmony.files.place import check_place
from edge_harmony.files.regular import refuse_special

log = logging.getLogger(__name__)

_LEFT_OVER = re.compile(r"\..+\.[a-z0-9_]{8}\.part(\.[A-Za-z0-9]+)?")
"""The name of a temporary file."""


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in portions; for a folder, of its files' names and digests, in order."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(part for part in path.rglob("*") if part.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()} {sha256_of(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = [part for part in path.rglob("*") if part.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Fill a file under a temporary name; at the end it is renamed to ``path``, so it appears whole or not at all.

    The temporary name has the suffix of ``path``.

    Raises:
        UsageError: the folder is missing or cannot be written, the disk is full, or a pipe or a device lies there.
    """
    refuse_special(path)
    temporary = _temporary(path, path.suffix)
    handle = None
    try:  # from before the file is there: Ctrl-C may come at any moment
        try:
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except OSError as error:
            hint = "choose a folder that can be written"
            raise UsageError(f"cannot write {path} ({error.strerror})", hint) from None
        yield temporary
        os.fsync(handle)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        log.info("wrote %s, %d bytes", path, path.stat().st_size)
    except OSError as error:
        raise UsageError(f"cannot write {path} ({first_line(error)})", "free space or choose another folder") from None
    finally:
        if handle is not None:
            os.close(handle)
        with suppress(OSError):  # gone; or a disk on which nothing can be removed any more
            temporary.unlink()


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file with :func:`new_file`.

    Raises:
        UsageError: the folder is missing or cannot be written, or the disk is full.
    """
    with new_file(path) as temporary:
        temporary.write_bytes(data)


def remove_left_overs(folder: Path) -> None:
    """Remove what processes that were killed left of :func:`new_file`; no other may be writing to the folder."""
    for path in folder.iterdir():
        if _LEFT_OVER.fullmatch(path.name) and not path.is_dir():
            path.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name; at the end it is renamed to ``path`` and replaces what was there.

    Where the system can exchange two folders in one step, a kill leaves the old one or the new one; elsewhere it may
    leave the old one as ``before`` in the temporary folder.

    Raises:
        UsageError: its parent folder is missing or cannot be written, or the disk is full; what was there stays.
    """
    temporary = _temporary(path)
    try:
        try:
            temporary.mkdir(0o700)
        except OSError as error:
            hint = "choose a folder that can be written"
            raise UsageError(f"cannot write {path} ({error.strerror})", hint) from None
        made, before = temporary / path.name, temporary / "before"
        yield made
        if path.exists() and exchange(made, path):
            return
        if path.exists():
            path.rename(before)
        try:
            made.rename(path)
        except OSError:
            if before.exists():
                before.rename(path)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path} ({first_line(error)})", "free space or choose another folder") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    atomic_write(path, (json.dumps(value, indent=2) + "\n").encode())


def make_place_for(path: Path) -> None:
    """Refuse the path of an output file before the work that makes it; its folder is made unless it exists.

    Raises:
        UsageError: it is a folder, its folder cannot be made or written, or no file can have its name.
    """
    check_place(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "name the output file")
    make_folder(path.parent)


def make_folder(path: Path) -> Path:
    """Create an output folder (and its parents) unless it exists.

    Raises:
        UsageError: a file is in the way or the parent cannot be written.
    """
    check_place(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create the folder {path} ({error.strerror})", "choose another output") from None
    return path


def _temporary(path: Path, suffix: str = "") -> Path:
    """A new hidden name beside a path, with as much of its name as fits."""
    rest = f".{secrets.token_hex(4)}.part{suffix}"
    beginning = shortened(path.name, LONGEST - len(".") - len(os.fsencode(rest)))
    return path.parent / f".{beginning}{rest}"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
