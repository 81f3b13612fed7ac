"""The TensorRT backends: weights or ONNX to engines, engines to runners."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edge_harmony.backends.artifact_runner import read_network_manifest
from edge_harmony.backends.base import LoadRequest, Probe, Runner, Step
from edge_harmony.backends.onnx_artifacts import plan_export
from edge_harmony.backends.tensorrt.bridge import INSTALL, MODULES, Distribution, TensorRT, find_tensorrt
from edge_harmony.backends.tensorrt.cuda.api import Device
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.engines import make_engine
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile
from edge_harmony.backends.tensorrt.plan import SUFFIX, check_plan, write_plan
from edge_harmony.backends.tensorrt.runner import TensorRTRunner
from edge_harmony.errors import CapabilityError, EdgeHarmonyError, UsageError
from edge_harmony.extras import is_installed, require_exporter
from edge_harmony.files.atomic import make_folder
from edge_harmony.models.registry import find_model

PRECISIONS = ("fp32", "fp16", "int8")


class TensorRTBackend:
    """NVIDIA GPUs through TensorRT."""

    name = "tensorrt"
    distribution: Distribution = "tensorrt"

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        try:
            tensorrt = find_tensorrt(self.distribution)
        except CapabilityError as error:
            return Probe(False, error.message, error.hint or "")
        try:
            device = find_cuda().device()
        except EdgeHarmonyError as error:
            return Probe(False, f"{tensorrt}; {error.message}", error.hint or "")
        return Probe(True, f"{tensorrt} on {device.name} ({device.sm})", precisions=PRECISIONS)

    def build(self, source: Path, output: Path, **options: Any) -> Path:
        """Export weights to the signed flavour and build an engine of it, or copy it from the cache of engines.

        Args:
            source: weights, or an ONNX file of this package.
            output: folder; the ONNX file stays beside the engine.
            options: ``model``, ``precision``, ``size``, ``opset``, ``keep_float`` of
                :func:`edge_harmony.export.onnx.export_onnx`; ``engine``, the :class:`BuildOptions`.

        Raises:
            CapabilityError: TensorRT, a GPU or the packages that export are missing. Without TensorRT or a GPU the
                ONNX file is there all the same, and the message says how to go on where they are.
            ArtifactError: the ONNX file is damaged, or TensorRT would compute it wrongly.
        """
        engine: BuildOptions = options.pop("engine", BuildOptions())
        if options.get("whole_pipeline") and engine.profile is None:
            least = options.get("size") or find_model(options["model"]).size
            engine = engine.model_copy(update={"profile": _picture_sizes(least)})
        onnx = source if source.suffix == ".onnx" else _export(source, output, engine, options)
        try:
            tensorrt, device = self._require(engine)
        except CapabilityError as error:
            command = " ".join(["edge-harmony build", onnx.name, *engine.flags()])
            raise CapabilityError(
                f"{onnx} is ready, and no engine can be built here: {error.message}",
                f"copy it and its .json to the device, and there: {command} --saveEngine={onnx.stem}{SUFFIX}",
            ) from None
        made = make_engine(tensorrt, onnx, engine, device)
        version = "".join(map(str, tensorrt.version[:2]))
        path = make_folder(output) / f"{onnx.stem}-{'-'.join(made.facts.sm)}-trt{version}{SUFFIX}"
        write_plan(path, made.path.read_bytes(), made.facts, onnx)
        return path

    def plan(self, **options: Any) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        engine: BuildOptions = options.get("engine", BuildOptions())
        onnx = plan_export(does=", Q/DQ with signed activations" if options["precision"] == "int8" else "", **options)
        sm = "-".join(name.lower() for name in engine.architectures) or "<sm>"
        stem = Path(onnx.makes).stem
        step = Step(f"build the engine with {self.distribution}", f"{stem}-{sm}-trt<version>{SUFFIX}")
        return [onnx, step.unless(lambda: self._require(engine))]

    def _require(self, engine: BuildOptions) -> tuple[TensorRT, Device | None]:
        """TensorRT, and the GPU unless the engine is for architectures that are named."""
        return find_tensorrt(self.distribution), None if engine.architectures else find_cuda().device()

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed(MODULES[self.distribution]):
            raise CapabilityError(f"{self.name} is not installed", INSTALL[self.distribution])
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
        tensorrt, cuda = find_tensorrt(self.distribution), find_cuda(device=int(found[1] or 0))
        manifest = read_network_manifest(request.artifact)
        facts = check_plan(request.artifact, tensorrt, cuda.device())
        engine = Engine(tensorrt, cuda, request.artifact, facts.options)
        return TensorRTRunner(engine, manifest)


def _picture_sizes(least: tuple[int, int]) -> Profile:
    """Pictures from the network's working size to 4K, best at 1080p."""
    return Profile(
        **{
            side: {"picture": (*size, 3), "mask": size}
            for side, size in (("least", least), ("best", (1080, 1920)), ("largest", (2160, 4096)))
        }
    )


def _export(source: Path, output: Path, engine: BuildOptions, options: dict[str, Any]) -> Path:
    require_exporter()
    from edge_harmony.export.onnx import export_onnx

    model = options.pop("model")
    return export_onnx(model, source, output, flavour="signed", dynamic_batch=engine.profile is not None, **options)


class TensorRTRTXBackend(TensorRTBackend):
    """NVIDIA RTX GPUs through TensorRT for RTX; builds on machines without one."""

    name = "tensorrt-rtx"
    distribution: Distribution = "tensorrt-rtx"
