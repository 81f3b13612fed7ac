"""Files by name: paths on this machine, or addresses such as ``s3://bucket/folder``, which PyArrow opens."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from edge_harmony.errors import UsageError, first_line
from edge_harmony.extras import require
from edge_harmony.files.atomic import atomic_write, make_folder
from edge_harmony.files.identity import is_address
from edge_harmony.pictures.images import read_bytes

_FAILURES = (OSError, ValueError, NotImplementedError)
"""What PyArrow's file systems raise: the store's errors, paths that they do not take, things that they cannot do."""


def join(folder: str, name: str) -> str:
    """A file's name in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else str(Path(folder) / name)


def list_files(folder: str) -> dict[str, float] | None:
    """Names of the files directly in a folder, with their time of writing in seconds; None if there is no such folder.

    Raises:
        UsageError: the object store does not answer.
    """
    if not is_address(folder):
        path = Path(folder)
        if not path.is_dir():
            return None
        return {entry.name: entry.stat().st_mtime for entry in path.iterdir() if entry.is_file()}
    system, path_there = _open(folder)
    try:
        found = system.get_file_info(_arrow().FileSelector(path_there, allow_not_found=True))
        files = {info.base_name: (info.mtime_ns or 0) / 1e9 for info in found if info.is_file}
        is_folder = bool(files) or system.get_file_info(path_there).type.name == "Directory"
    except _FAILURES as error:
        raise UsageError(
            f"{folder} does not answer ({first_line(error)})", "check the address and your access"
        ) from None
    return files if is_folder else None


def read(name: str) -> bytes:
    """A file's bytes.

    Raises:
        UsageError: the file does not exist or cannot be read.
    """
    if not is_address(name):
        return read_bytes(Path(name))
    system, path = _open(name)
    try:
        with system.open_input_file(path) as file:
            return bytes(file.read())
    except _FAILURES as error:
        raise UsageError(f"{name} cannot be read ({first_line(error)})", "check the address and your access") from None


def write(name: str, data: bytes) -> None:
    """Write a file: it appears whole, or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    if not is_address(name):
        atomic_write(Path(name), data)
        return
    system, path = _open(name)
    try:
        if system.type_name == "local":  # others show an object only when it is complete
            atomic_write(Path(path), data)
            return
        with system.open_output_stream(path) as file:
            file.write(data)
    except _FAILURES as error:
        raise UsageError(
            f"{name} cannot be written ({first_line(error)})", "check the address and your access"
        ) from None


def make(folder: str) -> None:
    """Create a folder unless it exists.

    Raises:
        UsageError: the folder cannot be created.
    """
    if not is_address(folder):
        make_folder(Path(folder))
        return
    system, path = _open(folder)
    try:
        system.create_dir(path, recursive=True)
    except _FAILURES as error:
        raise UsageError(
            f"{folder} cannot be created ({first_line(error)})", "check the address and your access"
        ) from None


def suffix_of(name: str) -> str:
    """A file name's suffix."""
    return PurePosixPath(name).suffix.lower()


def _open(name: str) -> tuple[Any, str]:
    try:
        system, path = _arrow().FileSystem.from_uri(name)
    except _FAILURES as error:
        raise UsageError(f"{name} cannot be opened ({first_line(error)})", "check the address") from None
    return system, path


def _arrow() -> Any:
    return require("pyarrow.fs", "addresses need PyArrow")
