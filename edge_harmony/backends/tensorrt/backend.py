"""The TensorRT backends: weights or ONNX to engines, engines to runners."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from edge_harmony.backends.artifact_runner import manifest_of, refuse_others
from edge_harmony.backends.base import Backend, CheckRequest, ExportRequest, LoadRequest, Probe, Runner, Step
from edge_harmony.backends.onnx_artifacts import export_file, export_step
from edge_harmony.backends.tensorrt.bridge import Distribution, TensorRT, find_runtime, find_tensorrt
from edge_harmony.backends.tensorrt.cuda.api import Device
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.engines import make_engine
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile
from edge_harmony.backends.tensorrt.plan import SUFFIX, check_plan, find_weights, write_plan
from edge_harmony.backends.tensorrt.runner import TensorRTPipeline, TensorRTRunner
from edge_harmony.errors import CapabilityError, EdgeHarmonyError, UsageError
from edge_harmony.files.artifacts import short_digest
from edge_harmony.files.atomic import make_folder
from edge_harmony.inspection.findings import Inspection

PRECISIONS = ("fp32", "fp16", "int8")
MODES = ("graph", "kernels")
"""Launch a CUDA graph, or queue every kernel."""


class TensorRTBackend(Backend):
    """NVIDIA GPUs through TensorRT."""

    name = "tensorrt"
    options = BuildOptions
    packages: ClassVar[tuple[str, ...]] = ("tensorrt",)
    device = "cuda:0"
    modes = MODES
    runs_whole_pipelines = True
    reads_onnx = True
    distribution: ClassVar[Distribution] = "tensorrt"

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        try:
            tensorrt = find_runtime(self.distribution)
        except CapabilityError as error:
            return Probe(False, error.message, error.hint or "")
        try:
            device = find_cuda().device()
        except EdgeHarmonyError as error:
            return Probe(False, f"{tensorrt}; {error.message}", error.hint or "")
        return Probe(True, f"{tensorrt} on {device.name} ({device.sm})", precisions=PRECISIONS)

    def build(self, request: ExportRequest, source: Path, folder: Path) -> Path:
        """Export weights to the signed flavour and build an engine of it, or copy it from the cache of engines.

        The ONNX file stays beside the engine.

        Returns:
            The engine; without TensorRT or a GPU the ONNX file, of which :meth:`remaining` makes it elsewhere.

        Raises:
            CapabilityError: the packages that export are missing, or what the options ask for.
            ArtifactError: the ONNX file is damaged, or TensorRT would compute it wrongly.
        """
        engine = _options(request)
        onnx = source
        if source.suffix != ".onnx":
            onnx = export_file(request, source, folder, flavour="signed", dynamic_batch=engine.profile is not None)
        try:
            tensorrt, device = self._require(engine)
        except EdgeHarmonyError:
            return onnx
        made = make_engine(tensorrt, onnx, engine, device)
        version = "".join(map(str, tensorrt.version[:2]))
        path = make_folder(folder) / _engine_name(onnx, request, *made.facts.sm, f"trt{version}")
        write_plan(path, made.path.read_bytes(), made.facts, onnx)
        return path

    def steps(self, request: ExportRequest) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        engine = _options(request)
        onnx = export_step(request, flavour="signed", dynamic_batch=engine.profile is not None)
        sm = [name.lower() for name in engine.architectures] or ["<sm>"]
        name = _engine_name(Path(onnx.makes), request, *sm, "trt<version>")
        step = Step(f"build the engine with {self.distribution}", name)
        return [onnx, step.unless(lambda: self._require(engine))]

    def remaining(self, request: ExportRequest, made: Path) -> Step | None:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if made.suffix != ".onnx":
            return None
        engine = _options(request)
        target = _engine_name(made, request)
        command = " ".join(["edge-harmony build", made.name, *engine.flags(), f"--saveEngine={target}"])
        step = Step(f"build the engine with {self.distribution}", target)
        return replace(step.unless(lambda: self._require(engine)), fix=command)

    def _require(self, engine: BuildOptions) -> tuple[TensorRT, Device | None]:
        """TensorRT, and the GPU unless the engine is for architectures that are named."""
        return find_tensorrt(self.distribution), None if engine.architectures else find_cuda().device()

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        tensorrt = find_runtime(self.distribution)
        if request.weights is not None:
            raise UsageError(f"the {self.name} backend runs an engine, not weights", "build one, then --artifact")
        found = re.fullmatch(r"auto|cuda(?::(\d+))?", request.device)
        if found is None:
            raise CapabilityError(f"the {self.name} backend does not run on {request.device}", "use --device cuda:0")
        if request.artifact is None:
            raise UsageError(
                "engines fit one GPU and one TensorRT, so none are shipped",
                f"edge-harmony export {request.model} --target TARGET -o out, then --artifact out/...{SUFFIX}",
            )
        cuda = find_cuda(device=int(found[1] or 0))
        manifest = manifest_of(request, request.artifact)
        refuse_others(request.artifact, manifest, self.name, "tensorrt", "tensorrt-rtx")
        facts = check_plan(request.artifact, tensorrt, cuda.device())
        weights = find_weights(request.artifact, facts) if facts.options.strip_weights else None
        engine = Engine(tensorrt, cuda, request.artifact, facts.options, weights)
        kind = TensorRTPipeline if manifest.io.is_whole_pipeline else TensorRTRunner
        return kind(engine, manifest, graphs=request.mode != MODES[1])

    def inspect(self, request: CheckRequest) -> Inspection:
        """See :class:`edge_harmony.backends.base.Backend`."""
        from edge_harmony.backends.tensorrt.rules import LAYERS, REFUSALS
        from edge_harmony.inspection.onnx_files import inspect_onnx

        return inspect_onnx(request.file, LAYERS, REFUSALS, request.opset_ceiling)


def _options(request: ExportRequest) -> BuildOptions:
    """The target's options; whole pipelines are built for pictures of many sizes unless they name some."""
    options: BuildOptions = request.options or BuildOptions()
    if request.whole_pipeline and options.profile is None:
        return options.model_copy(update={"profile": picture_sizes(request.working_size)})
    return options


def _engine_name(onnx: Path, request: ExportRequest, *made_for: str) -> str:
    """``<name of the ONNX file>[-<digest of the options>][-<sm>...-trt<version>].plan``.

    Options that are defaults have no part in the digest, nor have the architectures, which stand in the name.
    """
    options: BuildOptions = request.options or BuildOptions()
    chosen = options.model_dump(mode="json", exclude_defaults=True, exclude={"architectures"})
    marks = [short_digest(chosen)] if chosen else []
    return "-".join([onnx.stem, *marks, *made_for]) + SUFFIX


def picture_sizes(least: tuple[int, int]) -> Profile:
    """The profile of a whole pipeline: pictures from the network's working size, ``(H, W)``, to 4K, best at 1080p."""
    return Profile(
        **{
            side: {"picture": (*size, 3), "mask": size}
            for side, size in (("least", least), ("best", (1080, 1920)), ("largest", (2160, 4096)))
        }
    )


class TensorRTRTXBackend(TensorRTBackend):
    """NVIDIA RTX GPUs through TensorRT for RTX; builds on machines without one."""

    name = "tensorrt-rtx"
    packages = ("tensorrt-rtx-cu13",)
    distribution = "tensorrt-rtx"
