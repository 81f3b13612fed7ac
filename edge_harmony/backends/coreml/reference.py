"""The backend ``coreml-reference``: what Core ML packages compute, on any system, for comparisons."""

from __future__ import annotations

from edge_harmony.backends.base import Backend, LoadRequest, Probe, Runner
from edge_harmony.backends.coreml.backend import PRECISIONS, find_package
from edge_harmony.backends.coreml.runner import package_runner
from edge_harmony.errors import CapabilityError
from edge_harmony.export.quiet import quiet
from edge_harmony.extras import install_hint, is_installed, require_torch, signals_held


class CoreMLReferenceBackend(Backend):
    """Packages of the backend ``coreml``, interpreted operation by operation: exact and slow, so no measure of time."""

    name = "coreml-reference"
    packages = ("coremltools",)
    runs_whole_pipelines = True

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        for module in ("coremltools", "torch"):
            if not is_installed(module):
                return Probe(False, f"{module} is not installed", install_hint(module))
        return Probe(True, "Core ML packages, interpreted: slow, for comparisons", precisions=PRECISIONS)

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if request.device not in ("auto", "cpu"):
            raise CapabilityError(f"the {self.name} backend does not run on {request.device}", "use --device cpu")
        package, manifest = find_package(request, self.name)
        require_torch()
        with quiet("coremltools"), signals_held():
            from edge_harmony.backends.coreml.interpreter.predictor import ReferencePredictor
        with quiet("coremltools"):
            return package_runner(manifest, ReferencePredictor(package))
