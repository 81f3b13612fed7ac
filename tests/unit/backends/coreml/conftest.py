"""Packages of the small edge network, converted once for all tests."""

from __future__ import annotations

import pytest

from edge_harmony.backends.base import ExportRequest


def convert(name, weights, folder, *, precision="fp16", size=None, whole_pipeline=False, **options):
    """A package of a network, with the options of a target."""
    from edge_harmony.backends.coreml.convert import convert as conversion
    from edge_harmony.backends.coreml.options import PackageOptions

    request = ExportRequest(
        name, precision, size=size, whole_pipeline=whole_pipeline, options=PackageOptions(**options)
    )
    return conversion(request, weights, folder)


@pytest.fixture(scope="session")
def packages(edge_weights, made_once):
    pytest.importorskip("coremltools")

    def fill(folder):
        for precision in ("fp32", "fp16", "int8"):
            convert("edge-n", edge_weights, folder / precision, precision=precision)

    folder = made_once("coreml", fill)
    return {p: folder / p / f"edge-n-256x256-{p}.mlpackage" for p in ("fp32", "fp16", "int8")}
