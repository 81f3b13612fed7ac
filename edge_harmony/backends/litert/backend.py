"""The LiteRT backend: files for Android and boards, which the CPU of this machine runs too."""

from __future__ import annotations

from pathlib import Path

from edge_harmony.backends.artifact_runner import manifest_of, refuse_others, refuse_whole_pipeline
from edge_harmony.backends.base import Backend, CheckRequest, ExportRequest, LoadRequest, Probe, Runner, Step
from edge_harmony.backends.litert.names import file_name
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.extras import check_installed, install_hint, is_installed, require_torch
from edge_harmony.inspection.findings import Inspection
from edge_harmony.models.registry import find_model

PRECISIONS = ("fp32", "fp16", "int8")


class LiteRTBackend(Backend):
    """``.tflite`` files on the CPU through LiteRT, formerly TensorFlow Lite."""

    name = "litert"
    packages = ("ai-edge-litert",)

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed("ai_edge_litert"):
            return Probe(False, "ai-edge-litert is not installed", install_hint("ai_edge_litert"))
        import importlib.metadata

        version = importlib.metadata.version("ai-edge-litert")
        return Probe(True, f"ai-edge-litert {version} on cpu", precisions=PRECISIONS)

    def steps(self, request: ExportRequest) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        _check_request(request)
        return [Step("convert to LiteRT", file_name(request)).unless(_require_converter)]

    def build(self, request: ExportRequest, source: Path, folder: Path) -> Path:
        """Convert weights; see :func:`edge_harmony.backends.litert.convert.convert`.

        Raises:
            CapabilityError: torch or ai-edge-litert is not installed, or the network is not translated.
            ArtifactError: the weights do not fit.
            UsageError: a whole pipeline was asked for.
        """
        _check_request(request)
        _require_converter()
        from edge_harmony.backends.litert.convert import convert

        return convert(request, source, folder)

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        _require_litert()
        if request.device not in ("auto", "cpu"):
            raise CapabilityError(f"the {self.name} backend does not run on {request.device}", "use --device cpu")
        if request.weights is not None or request.artifact is None:
            raise UsageError(
                f"the {self.name} backend runs a .tflite file", "make one with edge-harmony export, then --artifact"
            )
        manifest = manifest_of(request, request.artifact)
        refuse_whole_pipeline(request.artifact, manifest)
        refuse_others(request.artifact, manifest, self.name, self.name)
        from edge_harmony.backends.litert.runner import LiteRTRunner

        return LiteRTRunner(request.artifact, manifest, request.threads)

    def inspect(self, request: CheckRequest) -> Inspection:
        """Judge a file by its own contents; see :func:`edge_harmony.backends.litert.judge.judge_file`."""
        if not request.file.is_file():
            raise UsageError(f"there is no file {request.file}", "check the path")
        _require_litert()
        from edge_harmony.backends.litert.judge import judge_file

        return judge_file(request.file, request.precision)


def _check_request(request: ExportRequest) -> None:
    if request.whole_pipeline:
        raise UsageError(
            "a LiteRT file holds a network alone, no whole pipeline", "leave --whole-pipeline out, see docs/litert.md"
        )
    output = find_model(request.model).output
    if output == "rgb":
        raise CapabilityError(
            f"networks that return {output} are not translated to LiteRT", "use an edge network, or another target"
        )


def _require_converter() -> None:
    require_torch()
    _require_litert()


def _require_litert() -> None:
    check_installed("the litert backend needs ai-edge-litert, which is not installed", "ai_edge_litert")
