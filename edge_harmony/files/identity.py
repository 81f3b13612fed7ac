"""Whether two names stand for one file, and the check of what a call writes: not over its inputs, and where it can."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from edge_harmony.errors import UsageError
from edge_harmony.files.names import folded
from edge_harmony.files.place import check_place

FileName = Path | str
_SCHEMES = {"gs": "gcs"}
"""Schemes of addresses with two names."""


def is_address(name: FileName) -> bool:
    """Whether a name is an address such as ``s3://bucket/folder``, not a path on this machine."""
    return isinstance(name, str) and "://" in name


def check_outputs(outputs: Iterable[FileName | None], inputs: Iterable[FileName | None]) -> None:
    """Refuse a call that would write over an input, two results into one file, or where nothing can be written.

    Call it before any work. Two names stand for one file if the system says so (device and inode: symbolic and hard
    links, file systems without capitals), or if they are one address. Names of files that are still to be written are
    compared without capitals.

    Args:
        outputs: paths or addresses of files and folders that the call writes; None is skipped.
        inputs: those that it reads; None is skipped.

    Raises:
        UsageError: an output is an input, two outputs are one, or the system would refuse one in the end, see
            :func:`~edge_harmony.files.place.check_place`.
    """
    read = {_identity(name): str(name) for name in inputs if name is not None}
    written: dict[tuple[object, ...], str] = {}
    for output in outputs:
        if output is None:
            continue
        identity, name = _identity(output), str(output)
        if identity in read:
            found = read[identity]
            what = f"{name} is an input" if found == name else f"{name} is the input {found}"
            raise UsageError(f"{what}, which would be overwritten", "choose another output")
        if identity in written:
            raise UsageError(f"{name} and {written[identity]} are one file, written twice", "choose another output")
        written[identity] = name
        path = local_path(output)
        if path is not None:
            check_place(path)


def local_path(name: FileName) -> Path | None:
    """The path of a file on this machine, named by a path or by a ``file://`` address; None for other addresses."""
    if not is_address(name):
        return Path(name)
    parts = urlsplit(str(name))
    return Path(unquote(parts.path)) if parts.scheme.lower() == "file" else None


def _identity(name: FileName) -> tuple[object, ...]:
    """A key that two names have in common if they stand for one file."""
    path = local_path(name)
    if path is None:
        return _of_address(str(name))
    try:
        status = path.stat()
        return "file", status.st_dev, status.st_ino
    except ValueError:  # no legal name, which is said when it is opened
        return "name", str(name)
    except OSError:
        real = Path(os.path.realpath(path))
        return (*(_identity(real.parent) if real.parent != real else ()), folded(real.name))


def _of_address(address: str) -> tuple[object, ...]:
    """Scheme, server, bucket and path, without the access keys and options that do not choose the file."""
    parts = urlsplit(address)
    scheme = parts.scheme.lower()
    server = parse_qs(parts.query).get("endpoint_override", [""])[0]
    bucket = parts.netloc.rpartition("@")[2]
    return "address", _SCHEMES.get(scheme, scheme), server, bucket, posixpath.normpath(unquote(parts.path).strip("/"))
