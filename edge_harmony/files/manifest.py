"""The manifest beside an artifact, which describes its origin and its inputs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_harmony.errors import ArtifactError, UsageError, name_some
from edge_harmony.files.artifacts import WHOLE_PIPELINE as WHOLE_PIPELINE
from edge_harmony.files.artifacts import Output as Output
from edge_harmony.files.atomic import sha256_of, write_json
from edge_harmony.files.onnx_parts import external_files

log = logging.getLogger(__name__)

Precision = Literal["fp32", "fp16", "int8"]


ONNX = "onnx"
"""What manifests of ONNX files name as their backend, since several run them."""


class IOSpec(BaseModel):
    """The input/output contract of a network file.

    Inputs are ``composite`` ``(N, 3, H, W)`` RGB and ``mask`` ``(N, 1, H, W)``, float32 in [0, 1], 1 in the
    foreground; the output is described by ``output``. A file that returns a ``picture`` takes ``picture`` ``(H, W, 3)``
    and ``mask`` ``(H, W)``, uint8, of any size from ``height`` x ``width`` on, and ``strength``, a float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    height: int
    width: int
    output: Output
    layout: Literal["NCHW", "HWC"] = "NCHW"
    value_range: tuple[float, float] = (0.0, 1.0)
    foreground: Literal[1] = 1

    @property
    def is_whole_pipeline(self) -> bool:
        """Whether the file holds a network with all that is around it."""
        return self.output == WHOLE_PIPELINE


class Manifest(BaseModel):
    """The origin and the inputs of an artifact, written beside it as ``<artifact>.json``.

    ``engine`` holds the further dependencies of a compiled file; see the backend that compiles it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

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


def manifest_path(artifact: Path) -> Path:
    """Path of an artifact's manifest: the artifact's full name plus ``.json``."""
    return artifact.with_name(artifact.name + ".json")


def files_of(artifact: Path | None) -> list[Path]:
    """The files that a call reads which is given an artifact: it and its manifest; none for None."""
    return [] if artifact is None else [artifact, manifest_path(artifact)]


def write_manifest(artifact: Path, manifest: Manifest) -> None:
    """Write the manifest beside its artifact."""
    write_json(manifest_path(artifact), manifest.model_dump(mode="json"))


def read_manifest(artifact: Path) -> Manifest:
    """Read and verify the manifest of an artifact.

    Raises:
        UsageError: the artifact does not exist.
        ArtifactError: the manifest is missing or damaged, or describes another file; the artifact has parts elsewhere.
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
    others = external_files(artifact) if artifact.is_file() else _linked_folders(artifact)
    if others:
        raise ArtifactError(
            f"{artifact} keeps tensors outside of it ({name_some(others)}), which its manifest does not cover",
            "save it as one file: onnx.save(onnx.load(FILE), OTHER), and write its manifest again",
        )
    found = sha256_of(artifact)
    if found != manifest.file_sha256:
        raise ArtifactError(
            f"{artifact} is not the file its manifest describes "
            f"(sha256 {found[:12]}..., expected {manifest.file_sha256[:12]}...)",
            rebuild,
        )
    log.info("%s: %s in %s, sha256 %s", artifact, manifest.model, manifest.precision, found)
    return manifest


def _linked_folders(package: Path) -> list[str]:
    """Folders of a package that lie elsewhere."""
    return sorted(str(part.relative_to(package)) for part in package.rglob("*") if part.is_symlink() and part.is_dir())
