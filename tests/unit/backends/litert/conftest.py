"""LiteRT files of the small edge network, converted once for all tests."""

from __future__ import annotations

import pytest

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.discovery import get_backend


def convert(name, weights, folder, precision="int8", **request):
    """A file of a network."""
    return get_backend("litert").build(ExportRequest(name, precision, **request), weights, folder)


@pytest.fixture(scope="session")
def files(edge_weights, made_once):
    pytest.importorskip("ai_edge_litert")

    def fill(folder):
        for precision in ("fp32", "fp16", "int8"):
            convert("edge-n", edge_weights, folder, precision)

    folder = made_once("litert", fill)
    return {p: folder / f"edge-n-256x256-{p}.tflite" for p in ("fp32", "fp16", "int8")}
