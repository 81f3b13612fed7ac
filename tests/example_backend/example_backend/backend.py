"""The example backend: files in its own format, run by ONNX Runtime operator by operator, as they are written."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edge_harmony import CapabilityError, UsageError
from edge_harmony.backends.artifact_runner import manifest_of
from edge_harmony.backends.base import Backend, CheckRequest, ExportRequest, LoadRequest, Probe, Runner, Step
from edge_harmony.files.artifacts import artifact_name
from edge_harmony.files.atomic import atomic_write, sha256_of
from edge_harmony.files.manifest import read_manifest, write_manifest
from edge_harmony.inspection.findings import Finding, Inspection, LayerReport

SUFFIX = ".example"


class ExampleOptions(BaseModel):
    """What ``[options]`` of a target may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: Literal["default", "priority"] = "default"


class ExampleBackend(Backend):
    """Runs every operator by itself, fusing none: slow, and easy to follow."""

    name = "example"
    options = ExampleOptions
    packages = ("onnxruntime", "edge-harmony-example-backend")
    elsewhere = "on the example board"

    def probe(self) -> Probe:
        """It needs only ONNX Runtime."""
        if find_spec("onnxruntime") is None:
            return Probe(False, "onnxruntime is not installed", "pip install onnxruntime")
        return Probe(True, "onnxruntime, operator by operator", precisions=("fp32", "int8"))

    def steps(self, request: ExportRequest) -> list[Step]:
        """One step: the file itself."""
        return [Step("write the file of the example backend", _name(request))]

    def build(self, request: ExportRequest, source: Path, folder: Path) -> Path:
        """An ONNX file under another name, with the options in its manifest."""
        if request.whole_pipeline:
            raise UsageError("the example backend runs networks only", "leave --whole-pipeline out")
        from edge_harmony import export_onnx  # needs torch

        onnx = export_onnx(request.model, source, folder, precision=request.precision, size=request.working_size)
        path = folder / _name(request)
        atomic_write(path, onnx.read_bytes())
        options = request.options or ExampleOptions()
        made = {"backend": self.name, "file_sha256": sha256_of(path), "engine": options.model_dump()}
        write_manifest(path, read_manifest(onnx).model_copy(update=made))
        return path

    def load(self, request: LoadRequest) -> Runner:
        """Open an artifact of :meth:`build`."""
        if find_spec("onnxruntime") is None:
            raise CapabilityError("the example backend needs onnxruntime", "pip install onnxruntime")
        if request.artifact is None or request.weights is not None:
            raise UsageError("the example backend runs a file of its own", "export one, then --artifact")
        from example_backend.runner import ExampleRunner

        return ExampleRunner(request.artifact, manifest_of(request, request.artifact), request.threads)

    def inspect(self, request: CheckRequest) -> Inspection:
        """The manifest names the precision of the whole file; its options are compared with the target's."""
        manifest = read_manifest(request.file)
        findings = []
        if request.options is not None and manifest.engine != request.options.model_dump():
            findings.append(Finding("the file", f"it was built with {manifest.engine}", "export it for this target"))
        precision = "int8" if manifest.precision == "int8" else "float"
        reason = "" if precision == "int8" else "the file is not quantized"
        layers = [LayerReport("network", "all operators", precision, reason)]
        return Inspection(layers, findings, unknown=["how long a single operator takes"])


def _name(request: ExportRequest) -> str:
    return artifact_name(request.model, *request.working_size, request.precision, SUFFIX)
