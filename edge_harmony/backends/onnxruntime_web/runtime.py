"""The files of onnxruntime-web, from its package: fetched once by npm, known by its hash, kept in the cache."""

from __future__ import annotations

import base64
import hashlib
import logging
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Collection
from pathlib import Path

from edge_harmony.errors import ArtifactError, CapabilityError, first_line
from edge_harmony.files.atomic import atomic_write, make_folder
from edge_harmony.files.resources import cache_folder

log = logging.getLogger(__name__)

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web-{VERSION}.tgz"
URL = f"https://registry.npmjs.org/onnxruntime-web/-/{PACKAGE}"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Hash of the package, as ``npm view onnxruntime-web@VERSION dist.integrity`` gives it."""

WASM = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""A module and its WebAssembly, for CPUs: 3.7 MB when compressed."""
WEBGPU = ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
"""The two for GPUs: 6.7 MB when compressed."""


def package_path() -> Path:
    """Where the package is kept, and where one that was fetched by hand is found."""
    return cache_folder() / "npm" / PACKAGE


def check_runtime() -> None:
    """Refuse to go on where the package is not kept and cannot be fetched.

    Raises:
        CapabilityError: there is no npm.
    """
    if not package_path().is_file() and shutil.which("npm") is None:
        raise CapabilityError(
            f"a page needs onnxruntime-web {VERSION}, which npm fetches, and there is no npm",
            f"install Node with npm, or save {URL} as {package_path()}",
        )


def runtime_files(names: Collection[str]) -> dict[str, bytes]:
    """Files of the package, by their names in ``dist``; it is fetched (33 MB) unless it is kept.

    Raises:
        CapabilityError: there is no npm, or it cannot fetch the package.
        ArtifactError: the package is not the one that is expected.
    """
    check_runtime()
    path = package_path()
    if not path.is_file():
        _fetch(path)
    content = path.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        raise ArtifactError(f"{path} is not the package {URL}", "remove it; the next export fetches it anew")
    with tarfile.open(path) as package:
        return {name: package.extractfile(f"package/dist/{name}").read() for name in names}  # type: ignore[union-attr]


def _fetch(path: Path) -> None:
    """Fetch the package with npm, whose settings name the registry, the proxy, and perhaps a mirror."""
    log.info("npm fetches onnxruntime-web %s", VERSION)
    with tempfile.TemporaryDirectory() as folder:
        call = [
            shutil.which("npm") or "npm",
            "pack",
            f"onnxruntime-web@{VERSION}",
            "--pack-destination",
            folder,
            "--loglevel",
            "error",
        ]
        try:
            done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
        except OSError as error:
            raise CapabilityError(f"npm cannot be started ({first_line(error)})", "reinstall Node") from None
        fetched = Path(folder) / PACKAGE
        if done.returncode or not fetched.is_file():
            said = (done.stderr.strip() or "it wrote no package").splitlines()[0]
            raise CapabilityError(
                f"npm cannot fetch onnxruntime-web {VERSION} ({said})", f"try again, or save {URL} as {path}"
            )
        make_folder(path.parent)
        atomic_write(path, fetched.read_bytes())
