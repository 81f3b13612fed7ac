"""The PyTorch backend: weights to a running network."""

from __future__ import annotations

from edge_harmony.backends.base import Backend, LoadRequest, Probe, Runner
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError
from edge_harmony.extras import install_hint, is_installed, require_torch
from edge_harmony.files.atomic import sha256_of

MODES = ("eager", "compiled", "cuda-graphs")
"""Uncompiled; with ``torch.compile``; with ``torch.compile`` and CUDA graphs."""


class PyTorchBackend(Backend):
    """Runs the network itself: ``fp32`` is the reference, ``int8`` uses fake quantization, ``fp16`` needs CUDA."""

    name = "pytorch"
    packages = ("torch",)
    modes = MODES
    takes_weights = True

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed("torch"):
            return Probe(False, "torch is not installed", install_hint("torch"))
        import torch

        devices = ["cpu"] + [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
        precisions = ("fp32", "fp16", "int8") if len(devices) > 1 else ("fp32", "int8")
        return Probe(True, f"torch {torch.__version__} on {', '.join(devices)}", precisions=precisions)

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        require_torch()
        import torch

        from edge_harmony.backends.pytorch.runner import PyTorchRunner
        from edge_harmony.models.registry import find_model
        from edge_harmony.models.weights_file import read_weights, resolve_weights, restore
        from edge_harmony.quantization.prepare import load_ranges, prepare_qat

        if request.artifact is not None:
            raise UsageError("the pytorch backend takes weights, not an artifact", "pass --weights FILE")
        path = resolve_weights(request.model, request.weights)
        weights = read_weights(path)
        model = restore(request.model, weights)
        if request.precision == "int8":
            if not weights.ranges:
                raise ArtifactError(f"{path} has no activation ranges for int8", "train a quantized stage, or use fp32")
            load_ranges(prepare_qat(model), weights.ranges)
        device = "cpu" if request.device == "auto" else request.device
        mode = request.mode or MODES[0]
        on_cuda = device.startswith("cuda")
        if request.precision == "fp16" and on_cuda:
            model = model.half()
        elif request.precision not in ("fp32", "int8"):
            raise CapabilityError(
                f"the pytorch backend does not run {request.precision} on {device}", "use fp32 or int8"
            )
        if mode == "cuda-graphs" and not on_cuda:
            raise CapabilityError(f"there are no CUDA graphs on {device}", "use --device cuda, or another mode")
        if request.threads:
            torch.set_num_threads(request.threads)
        if on_cuda and not torch.cuda.is_available():
            raise CapabilityError("CUDA is not available here", "use --device cpu, or install a CUDA build of torch")
        return PyTorchRunner(model, find_model(request.model).size, sha256_of(path), device, mode)
