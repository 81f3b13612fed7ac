"""Engine files: what they were built from and for, checked before they are loaded, and a cache of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.errors import ArtifactError, EdgeHarmonyError, UsageError
from edge_harmony.files.atomic import atomic_write, make_folder, sha256_of, write_json
from edge_harmony.files.manifest import manifest_path, read_manifest
from edge_harmony.files.onnx_parts import sha256_of_onnx
from edge_harmony.files.resources import cache_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.cuda.api import Device

SUFFIX = ".plan"
_BUILDERS = {b"ftrt": "tensorrt", b"vtrt": "tensorrt-rtx"}
_HEADER = 28  # bytes


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
        onnx: path of the file it was built from: absolute, or beside the engine; empty where it is not known. It does
            not decide the engine, so it is no part of the key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    distribution: str
    version: str
    gpu: str
    sm: tuple[str, ...]
    onnx_sha256: str
    options: BuildOptions
    calibration: str = ""
    onnx: str = ""

    def key(self) -> str:
        """Name of the engine in the cache."""
        content = self.model_dump(mode="json", exclude={"onnx"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


class PlanManifest(BaseModel):
    """The manifest beside an engine file; fields of the network's own manifest are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)

    file_sha256: str
    engine: EngineFacts


def facts_of(
    tensorrt: TensorRT, onnx: Path, options: BuildOptions, device: Device | None, calibration: str = ""
) -> EngineFacts:
    """The facts of an engine that is built now."""
    sm = tuple(name.lower() for name in options.architectures) or ((device.sm,) if device else ())
    return EngineFacts(
        distribution=tensorrt.distribution,
        version=".".join(map(str, tensorrt.version)),
        gpu=device.name if device else "",
        sm=sm,
        onnx_sha256=sha256_of_onnx(onnx),
        options=options,
        calibration=calibration,
        onnx=str(onnx.resolve()),
    )


def write_plan(path: Path, plan: bytes, facts: EngineFacts, onnx: Path) -> None:
    """Write an engine with its manifest; that of the ONNX file, where it has one, is carried over."""
    make_folder(path.parent)
    atomic_write(path, plan)
    if onnx.resolve().parent == path.resolve().parent:  # they may move together
        facts = facts.model_copy(update={"onnx": onnx.name})
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


def has_manifest(path: Path) -> bool:
    """Whether an engine file has a manifest beside it; trtexec and other builders write none.

    Raises:
        UsageError: there is no such file.
    """
    if not path.is_file():
        raise UsageError(f"there is no engine {path}", "build one with edge-harmony build")
    return manifest_path(path).is_file()


def facts_without_manifest(path: Path, tensorrt: TensorRT, device: Device, options: BuildOptions) -> EngineFacts:
    """The facts of an engine of another builder: its version from its header; GPU and options are taken on trust.

    Args:
        path: the engine.
        tensorrt: which TensorRT will load it.
        device: the GPU that will run it.
        options: what the caller says that it was built with.

    Raises:
        UsageError: there is no such file.
        ArtifactError: it is no engine, or of a version that this TensorRT does not load.
    """
    distribution, version = plan_version(path)
    ours = ".".join(map(str, tensorrt.version))
    is_of_ours = version.split(".")[:3] == ours.split(".")[:3] or options.version_compatible
    if distribution != tensorrt.builder or not is_of_ours:
        raise ArtifactError(
            f"{path} does not fit: built by {distribution} {version}, this is {tensorrt}",
            "build it again here, or pass --versionCompatible if it was built so",
        )
    return EngineFacts(
        distribution=distribution, version=version, gpu=device.name, sm=(device.sm,), onnx_sha256="", options=options
    )


def plan_version(path: Path) -> tuple[str, str]:
    """The builder of an engine and its version, such as ``("tensorrt", "10.3.0.26")``, from the file's header.

    TensorRT writes the header from 8.6 on; it is read as by ``printPlanVersion`` in NVIDIA's trtexec. That of TensorRT
    for RTX differs in its first letter, as engines of version 1.7 show.

    Raises:
        UsageError: there is no such file.
        ArtifactError: it has no such header.
    """
    if not path.is_file():
        raise UsageError(f"there is no engine {path}", "build one with edge-harmony build")
    with path.open("rb") as file:
        header = file.read(_HEADER)
    builder = _BUILDERS.get(header[:4])
    if len(header) < _HEADER or builder is None or any(header[4:8]):
        raise ArtifactError(f"{path} has no header of a TensorRT engine", "name an engine that 8.6 or newer built")
    return builder, ".".join(map(str, header[24:_HEADER]))


def find_weights(path: Path, facts: EngineFacts) -> Path:
    """The ONNX file whose weights fill an engine that was built without them.

    It is looked for where it was when the engine was built, and beside the engine.

    Args:
        path: of the engine.
        facts: from its manifest.

    Raises:
        UsageError: it is at neither place, or is another file by now.
    """
    recorded = Path(facts.onnx) if facts.onnx else Path(f"{path.stem}.onnx")
    places = list(dict.fromkeys([path.parent / recorded, path.parent / recorded.name]))
    found = [place for place in places if place.is_file()]
    if not found:
        raise UsageError(
            f"{path} was built without weights, and {recorded.name}, which has them, is not there",
            f"put {recorded.name} beside it",
        )
    fitting = [place for place in found if sha256_of_onnx(place) == facts.onnx_sha256]
    if not fitting:
        raise UsageError(
            f"{found[0]} is not the file that {path} was built from", "put that file there, or build again"
        )
    return fitting[0]


def read_plan_manifest(path: Path) -> PlanManifest:
    """Read the manifest of an engine file, and verify the file against it.

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
    if facts.distribution != tensorrt.builder:
        differences.append(f"built by {facts.distribution}, this is {tensorrt.distribution}")
    version = ".".join(map(str, tensorrt.version))
    if tensorrt.is_lean and not options.version_compatible:
        differences.append("the lean runtime loads what was built with --versionCompatible")
    elif options.version_compatible:
        if _number(facts.version) > _number(version):
            differences.append(f"built by {facts.version}, this is {version}, which is older")
    elif facts.version != version:
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


def _number(version: str) -> tuple[int, ...]:
    """Major, minor and patch; the build that some bindings add is left out."""
    return tuple(int(part) for part in version.split(".")[:3])


def cached(facts: EngineFacts, onnx: Path, build: Callable[[], bytes]) -> Path:
    """An engine from the cache, which is built now if it is not there.

    Of two processes that need the same engine at a time, one builds it and the other waits.

    Args:
        facts: of the engine, see :func:`facts_of`.
        onnx: the file to build from.
        build: called if the cache has no such engine, or a damaged one.
    """
    place = make_folder(cache_folder() / "engines")
    path = place / f"{onnx.stem}-{facts.key()}{SUFFIX}"
    with _exclusive(path.with_suffix(".lock")):
        with contextlib.suppress(EdgeHarmonyError):
            if read_plan_manifest(path).engine.key() == facts.key():
                return path
        write_plan(path, build(), facts, onnx)
    return path


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Keep other processes out by a lock on a file, which the system removes when the process ends.

    Windows has no such locks; there an engine is at worst built twice.
    """
    with path.open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
