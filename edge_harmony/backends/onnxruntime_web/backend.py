"""The backend of browsers: it writes a page, which runs the network where it is opened."""

from __future__ import annotations

from pathlib import Path

from edge_harmony.backends.base import Backend, CheckRequest, ExportRequest, LoadRequest, Probe, Runner, Step
from edge_harmony.backends.onnx_artifacts import export_file, export_step
from edge_harmony.backends.onnxruntime_web.options import PageOptions
from edge_harmony.backends.onnxruntime_web.page import check_folder, write_page, write_site
from edge_harmony.backends.onnxruntime_web.runtime import VERSION, check_runtime, runtime_files
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.inspection.findings import Inspection


class OnnxRuntimeWebBackend(Backend):
    """Browsers through onnxruntime-web: the artifact is an ONNX file as for CPUs, in the folder of a page around it."""

    name = "onnxruntime-web"
    options = PageOptions
    reads_onnx = True
    elsewhere = "in a browser"
    then = "python -m http.server --directory {folder}"

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return Probe(
            False, f"onnxruntime-web {VERSION} runs in browsers", "edge-harmony export --target web-int8 writes a page"
        )

    def steps(self, request: ExportRequest) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        _refuse_whole_pipelines(request)
        page = Step(f"write the page around it, with onnxruntime-web {VERSION}", "index.html")
        return [page.unless(check_runtime), export_step(request, flavour="unsigned")]

    def build(self, request: ExportRequest, source: Path, folder: Path) -> Path:
        """Write the page and its network into a folder.

        Raises:
            CapabilityError: a package that the export needs is not installed, or onnxruntime-web cannot be fetched.
            ArtifactError: the weights do not fit, or the package of onnxruntime-web is damaged.
            UsageError: the folder holds another page, or a whole pipeline is asked for.
        """
        _refuse_whole_pipelines(request)
        check_folder(folder)
        options: PageOptions = request.options or PageOptions()
        runtime = runtime_files([name for names in options.runtimes.values() for name in names])
        path = export_file(request, source, folder, flavour="unsigned")
        write_page(folder, runtime)
        write_site(folder, path, options)
        return path

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`.

        Raises:
            CapabilityError: always; it runs in browsers.
        """
        raise CapabilityError(
            "onnxruntime-web runs in browsers",
            "open the page that export has written; --backend onnxruntime runs its ONNX file here",
        )

    def inspect(self, request: CheckRequest) -> Inspection:
        """See :class:`edge_harmony.backends.base.Backend`; the operators are those of ONNX Runtime."""
        from edge_harmony.backends.onnxruntime.rules import LAYERS, REFUSALS
        from edge_harmony.inspection.onnx_files import inspect_onnx

        return inspect_onnx(request.file, LAYERS, REFUSALS, request.opset_ceiling)


def _refuse_whole_pipelines(request: ExportRequest) -> None:
    if request.whole_pipeline:
        raise UsageError(
            "the page resizes pictures and applies the transform itself, and takes no whole pipeline",
            "leave --whole-pipeline out",
        )
