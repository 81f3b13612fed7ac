"""trtexec's notation, read and written."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_harmony.backends.tensorrt.notation import (
    parse_inputs,
    parse_pairs,
    parse_pools,
    parse_shapes,
    parse_tactics,
    write_shapes,
)
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.errors import UsageError


def test_shapes():
    text = "composite:1x3x4x4,mask:1x1x4x4,strength:scalar"
    shapes = parse_shapes(text, "--shapes")
    assert shapes == {"composite": (1, 3, 4, 4), "mask": (1, 1, 4, 4), "strength": ()}
    assert write_shapes(shapes) == text
    assert parse_shapes("'Input:0':1x3,strength:", "--shapes") == {"Input:0": (1, 3), "strength": ()}
    for wrong in ("composite", "composite:1x", "a:1,a:2", "a:0x3", ""):
        with pytest.raises(UsageError):
            parse_shapes(wrong, "--shapes")


def test_pools():
    assert parse_pools("workspace:1024,dlaSRAM:0.5") == {"workspace": 1 << 30, "dlaSRAM": 1 << 19}
    assert parse_pools("workspace:2G")["workspace"] == 2 << 30
    for wrong in ("workspace", "heap:3", "workspace:-1", ""):
        with pytest.raises(UsageError):
            parse_pools(wrong)


def test_names_with_values():
    assert parse_pairs("*:fp16,/head/Conv:fp32", "--layerPrecisions", "") == {"*": "fp16", "/head/Conv": "fp32"}
    assert list(parse_pairs("a:fp16,b:fp16,a:fp32", "--layerPrecisions", "").items())[-1] == ("a", "fp32")
    assert parse_inputs("'Input:0':x.bin,mask:y.bin") == {"Input:0": Path("x.bin"), "mask": Path("y.bin")}
    for wrong in ("a", "a:", ":fp16", ""):
        with pytest.raises(UsageError, match="--layerPrecisions cannot be read"):
            parse_pairs(wrong, "--layerPrecisions", "NAME:fp16")


def test_sources_of_kernels():
    assert parse_tactics("-CUDNN,+cublasLt") == {"CUDNN": False, "CUBLAS_LT": True}
    for wrong in ("CUDNN", "+CUDNN,-CUDNN", "+", ""):
        with pytest.raises(UsageError, match="--tacticSources cannot be read"):
            parse_tactics(wrong)


@pytest.mark.parametrize("names", [["SM86", " SM89"], ["sm86", "sm89"], ["86", "89"], ("SM86 ", "Sm89")])
def test_architectures_are_understood_however_they_are_written(names):
    assert BuildOptions(architectures=names).architectures == ("SM86", "SM89")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bf16": True, "strongly_typed": True}, "--bf16 contradicts --stronglyTyped"),
        ({"layer_precisions": {"a": "fp16"}}, "go with --precisionConstraints"),
        ({"precision_constraints": "obey"}, "go with --precisionConstraints"),
        ({"precision_constraints": "obey", "layer_precisions": {"a": "fp12"}}, "layer_precisions.a"),
        ({"tactic_sources": {"CUDA": True}}, "tactic_sources.CUDA"),
    ],
)
def test_options_that_contradict_each_other(options, said):
    with pytest.raises(ValidationError, match=said):
        BuildOptions(**options)
