"""Weights to LiteRT files: float, float with weights in 16 bits, or 8 bits with the trained scales."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import edge_harmony
from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.litert import layers  # noqa: F401  (it and what it imports register their translations)
from edge_harmony.backends.litert.names import LAYOUT, file_name
from edge_harmony.backends.litert.translate import Translator
from edge_harmony.export.prepare import METADATA_KEY, OUTPUT_NAMES, describe, exportable
from edge_harmony.export.trace import decomposed
from edge_harmony.files.atomic import atomic_write, make_folder, sha256_of
from edge_harmony.files.manifest import Manifest, write_manifest
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import read_weights


def convert(request: ExportRequest, weights_path: Path, folder: Path) -> Path:
    """Convert a network and write the file with its manifest.

    The file takes ``composite`` ``(1, H, W, 3)`` and ``mask`` ``(1, H, W, 1)``, float32 in [0, 1], and returns the
    network's output with its channels last: ``(1, h, w, 12)`` for ``affine``.

    Args:
        request: what to convert. ``fp16`` stores the weights of layers in 16 bits; ``int8`` quantizes weights and
            activations with the scales of the checkpoint, and leaves the rest in 32 bits.
        weights_path: weights of the network.
        folder: where to; created if need be.

    Raises:
        ArtifactError: the weights do not fit or hold no ranges.
        CapabilityError: the network cannot be quantized, or has operators that are not translated.
    """
    name, size, precision = request.model, request.working_size, request.precision
    weights = read_weights(weights_path)
    model = exportable(name, weights, precision, request.keep_float)
    output = str(model.output)
    description = describe(name, weights, weights_path, output, size, precision, "signed", request.keep_float)
    translator = Translator(decomposed(model, size), half=precision == "fp16")
    inputs, result = translator.translate()
    content = translator.file.packed(
        inputs,
        {OUTPUT_NAMES[output]: result.number},
        f"Image harmonization with {name}: {find_model(name).summary}; edge-harmony {edge_harmony.__version__}",
        {METADATA_KEY: json.dumps(description, sort_keys=True)},
    )
    path = make_folder(folder) / file_name(request)
    atomic_write(path, content)
    versions = {"edge-harmony": edge_harmony.__version__}
    versions |= {package: importlib.metadata.version(package) for package in ("ai-edge-litert", "torch")}
    manifest = Manifest(
        **description, backend="litert", file_sha256=sha256_of(path), versions=versions, engine={"layout": LAYOUT}
    )
    write_manifest(path, manifest)
    return path
