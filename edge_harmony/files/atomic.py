"""Artifacts: what a file is called, the manifest beside it, hashes, and writing that never leaves half a file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_harmony.errors import ArtifactError, UsageError

Output = Literal["rgb", "difference", "gain", "affine", "picture"]
"""What a file returns: a network's picture at its working size, or per cell a difference, gains and offsets, or a 3x4
transform (residuals); or the harmonized picture itself (:mod:`edge_harmony.models.whole_pipeline`)."""

Precision = Literal["fp32", "fp16", "int8"]


class IOSpec(BaseModel):
    """The input/output contract of a network file.

    Inputs are ``composite`` ``(N, 3, H, W)`` RGB and ``mask`` ``(N, 1, H, W)``, float32 in [0, 1], 1 in the
    foreground; the output is described by ``output``. A file that returns a ``picture`` takes ``picture`` ``(H, W, 3)``
    and ``mask`` ``(H, W)``, uint8, of any size from ``height`` x ``width`` on, and ``strength``, a float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: int = 256
    width: int = 256
    output: Output
    layout: Literal["NCHW", "HWC"] = "NCHW"
    value_range: tuple[float, float] = (0.0, 1.0)
    foreground: Literal[1] = 1


class Manifest(BaseModel):
    """What an artifact is made from and how it is fed; written beside it as ``<artifact>.json``.

    ``engine`` is what a compiled file depends on besides: see the backend that compiles it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    model: str
    precision: Precision
    backend: str
    flavour: str | None = None
    io: IOSpec
    file_sha256: str
    weights_sha256: str
    recipe_sha256: str | None = None
    calibration_sha256: str | None = None
    float_layers: list[str] = []
    versions: dict[str, str] = {}
    engine: dict[str, Any] | None = None


def artifact_name(model: str, height: int, width: int, precision: str, suffix: str, *, fuse_io: bool = False) -> str:
    """``<model>-<HxW>-<precision>[-whole]<suffix>``, so that no precision overwrites another."""
    return f"{model}-{height}x{width}-{precision}{'-whole' if fuse_io else ''}{suffix}"


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in portions; of a folder: over its files' names and digests, in order."""
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
    """Fill a file under a temporary name beside it; at the end it takes the name ``path``: whole, or not at all.

    The temporary name has the suffix of ``path``.

    Raises:
        UsageError: the folder is missing or cannot be written, or the disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=f".part{path.suffix}", dir=path.parent)
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror})", "choose a folder that can be written") from None
    temporary = Path(name)
    try:
        yield temporary
        os.fsync(handle)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror})", "free space or choose another folder") from None
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file by :func:`new_file`.

    Raises:
        UsageError: the folder is missing or cannot be written, or the disk is full.
    """
    with new_file(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name; at the end it takes the name ``path``, and the place of what was there.

    Raises:
        UsageError: the folder it lies in is missing or cannot be written.
    """
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror})", "choose a folder that can be written") from None
    try:
        made = temporary / path.name
        yield made
        if path.exists():
            path.rename(temporary / "before")
        made.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    atomic_write(path, (json.dumps(value, indent=2) + "\n").encode())


def make_folder(path: Path) -> Path:
    """Create an output folder (and its parents) unless it is there.

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


def manifest_path(artifact: Path) -> Path:
    """Where an artifact's manifest lies: its full name plus ``.json``."""
    return artifact.with_name(artifact.name + ".json")


def write_manifest(artifact: Path, manifest: Manifest) -> None:
    """Write the manifest beside its artifact."""
    write_json(manifest_path(artifact), manifest.model_dump(mode="json"))


def read_manifest(artifact: Path) -> Manifest:
    """Read and verify the manifest of an artifact.

    Raises:
        UsageError: the artifact does not exist.
        ArtifactError: the manifest is missing or damaged, or the file is not the one it describes.
    """
    rebuild = "export it again with edge-harmony export"
    if not artifact.exists():
        raise UsageError(f"there is no artifact {artifact}", "check the path or make one with edge-harmony export")
    path = manifest_path(artifact)
    if not path.is_file():
        raise ArtifactError(f"{artifact} has no manifest ({path.name})", rebuild)
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(f"the manifest {path} is damaged ({where}: {first['msg']})", rebuild) from None
    found = sha256_of(artifact)
    if found != manifest.file_sha256:
        raise ArtifactError(
            f"{artifact} is not the file its manifest describes "
            f"(sha256 {found[:12]}..., expected {manifest.file_sha256[:12]}...)",
            rebuild,
        )
    return manifest


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
