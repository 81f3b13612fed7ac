"""Writing that never leaves half a file or folder; hashes and sizes of files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_harmony.errors import UsageError, first_line
from edge_harmony.files.names import LONGEST, shortened

log = logging.getLogger(__name__)


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
        UsageError: the folder is missing or cannot be written, or the disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{_beginning(path, path.suffix)}.", suffix=f".part{path.suffix}", dir=path.parent
        )
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror})", "choose a folder that can be written") from None
    temporary = Path(name)
    try:
        yield temporary
        os.fsync(handle)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        log.info("wrote %s, %d bytes", path, path.stat().st_size)
    except OSError as error:
        raise UsageError(f"cannot write {path} ({first_line(error)})", "free space or choose another folder") from None
    finally:
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


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name; at the end it is renamed to ``path`` and replaces what was there.

    Raises:
        UsageError: its parent folder is missing or cannot be written, or the disk is full; what was there stays.
    """
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{_beginning(path)}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror})", "choose a folder that can be written") from None
    try:
        made, before = temporary / path.name, temporary / "before"
        yield made
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


def check_output(path: Path) -> None:
    """Refuse the path of an output before the work that makes it; its folder is made unless it exists.

    Raises:
        UsageError: it is a folder, or its folder cannot be made or written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "name the output file")
    make_folder(path.parent)


def make_folder(path: Path) -> Path:
    """Create an output folder (and its parents) unless it exists.

    Raises:
        UsageError: a file is in the way or the parent cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create the folder {path} ({error.strerror})", "choose another output") from None
    if not os.access(path, os.W_OK):
        raise UsageError(f"the folder {path} cannot be written", "choose another or change its permissions")
    return path


def _beginning(path: Path, suffix: str = "") -> str:
    """The start of a name, short enough for the name of a temporary file."""
    return shortened(path.name, LONGEST - len("..12345678.part") - len(os.fsencode(suffix)))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
