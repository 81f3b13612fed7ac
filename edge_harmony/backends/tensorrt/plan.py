"""Engine files: what they were built from and for, checked before they are loaded, and a cache of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.errors import ArtifactError, EdgeHarmonyError, UsageError
from edge_harmony.files.atomic import atomic_write, make_folder, sha256_of, write_json
from edge_harmony.files.manifest import manifest_path, read_manifest
from edge_harmony.files.onnx_parts import sha256_of_onnx
from edge_harmony.files.resources import cache_folder

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.cuda.api import Device

SUFFIX = ".plan"


class EngineFacts(BaseModel):
    """What an engine depends on.

    Attributes:
        distribution: TensorRT or TensorRT for RTX.
        version: its version.
        gpu: name of the GPU it was built on; empty if it was built without one.
        sm: compute capabilities that it runs on, such as ``sm87``.
        onnx_sha256: the file it was built from, with the files of its tensors.
        options: how.
        calibration: what implicit INT8 was calibrated on; empty where the file's own ranges rule.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    distribution: str
    version: str
    gpu: str
    sm: tuple[str, ...]
    onnx_sha256: str
    options: BuildOptions
    calibration: str = ""

    def key(self) -> str:
        """Name of the engine in the cache."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:24]


class PlanManifest(BaseModel):
    """What lies beside an engine file; fields of the network's own manifest are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)

    file_sha256: str
    engine: EngineFacts


def facts_of(
    tensorrt: TensorRT, onnx: Path, options: BuildOptions, device: Device | None, calibration: str = ""
) -> EngineFacts:
    """What an engine built now would depend on."""
    sm = tuple(name.lower() for name in options.architectures) or ((device.sm,) if device else ())
    return EngineFacts(
        distribution=tensorrt.distribution,
        version=".".join(map(str, tensorrt.version)),
        gpu=device.name if device else "",
        sm=sm,
        onnx_sha256=sha256_of_onnx(onnx),
        options=options,
        calibration=calibration,
    )


def write_plan(path: Path, plan: bytes, facts: EngineFacts, onnx: Path) -> None:
    """Write an engine with its manifest; that of the ONNX file, where it has one, is carried over."""
    make_folder(path.parent)
    atomic_write(path, plan)
    try:
        network = read_manifest(onnx).model_dump(mode="json") | {"backend": facts.distribution}
        if facts.options.precision != "typed":  # flags allow more than the file says
            network["precision"] = "int8" if facts.options.precision == "best" else facts.options.precision
    except EdgeHarmonyError:  # a file of someone else's
        network = {}
    write_json(
        manifest_path(path),
        network | {"file_sha256": sha256_of(path), "engine": facts.model_dump(mode="json")},
    )


def read_plan_manifest(path: Path) -> PlanManifest:
    """The manifest of an engine file, which is verified against it.

    Raises:
        UsageError: there is no such file.
        ArtifactError: the manifest is missing or damaged, or of another file.
    """
    if not path.is_file():
        raise UsageError(f"there is no engine {path}", "build one with edge-harmony build")
    beside = manifest_path(path)
    if not beside.is_file():
        raise ArtifactError(f"{path} has no manifest ({beside.name})", "build it again with edge-harmony build")
    try:
        manifest = PlanManifest.model_validate_json(beside.read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"the manifest {beside} is damaged ({error.errors()[0]['msg']})", "build again") from None
    if sha256_of(path) != manifest.file_sha256:
        raise ArtifactError(f"{path} is not the file its manifest describes", "build it again with edge-harmony build")
    return manifest


def check_plan(path: Path, tensorrt: TensorRT, device: Device) -> EngineFacts:
    """Verify that an engine file fits this TensorRT and this GPU, before TensorRT reads it.

    Raises:
        UsageError, ArtifactError: see :func:`read_plan_manifest`; also where something differs. The message names
            what differs and the command that rebuilds.
    """
    facts = read_plan_manifest(path).engine
    options = facts.options
    differences = []
    if facts.distribution != tensorrt.distribution:
        differences.append(f"built by {facts.distribution}, this is {tensorrt.distribution}")
    version = ".".join(map(str, tensorrt.version))
    if facts.version != version and not options.version_compatible:
        differences.append(f"built by {facts.version}, this is {version}")
    portable = options.hardware_compatibility
    fits = device.capability >= (8, 0) if portable == "ampere+" else device.sm in facts.sm
    if not fits:
        differences.append(f"built for {', '.join(facts.sm) or 'no GPU'}, this is {device.sm} ({device.name})")
    elif portable == "none" and not tensorrt.is_rtx and facts.gpu != device.name:
        differences.append(f"built on {facts.gpu}, this is {device.name}")
    if differences:
        command = " ".join(["edge-harmony build MODEL.onnx", *options.flags(), f"--saveEngine={path}"])
        raise ArtifactError(f"{path} does not fit: {'; '.join(differences)}", command)
    return facts


def cached(facts: EngineFacts, onnx: Path, build: Callable[[], bytes]) -> Path:
    """The engine of these facts, from the cache or built now.

    Two processes that want the same engine build it once: the second one waits.

    Args:
        facts: see :func:`facts_of`.
        onnx: the file.
        build: called if the engine is not there, or is there damaged.
    """
    place = make_folder(cache_folder() / "engines")
    path = place / f"{onnx.stem}-{facts.key()}{SUFFIX}"
    with _locked(path.with_suffix(".lock")):
        with contextlib.suppress(EdgeHarmonyError):
            if read_plan_manifest(path).engine == facts:
                return path
        write_plan(path, build(), facts, onnx)
    return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system gives back whatever happens; where it has none, work without."""
    with path.open("w") as file:
        _lock(file)
        yield


def _lock(file: IO[str]) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: files still appear whole, and are at worst built twice
        return
    fcntl.flock(file, fcntl.LOCK_EX)
