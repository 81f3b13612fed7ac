"""The loops over pixels, compiled and in NumPy: the bits of earlier versions, every type, and what is refused."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_harmony.pictures import kernels, numpy_kernels

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "loops.npz")
"""Made by the loops of version 0.1.0, which Numba compiled with fused multiplication and addition."""
FUSED = {"avx2", "avx512"}
"""Instruction sets of x86-64 that have it."""
TYPES = (np.uint8, np.uint16, np.float32)
RNG = np.random.default_rng(28)


def level(dtype):
    """By how much implementations may differ: a level of integers, the rounding of floats."""
    return 2e-6 if dtype == np.float32 else 1


def within_a_level(ours, theirs):
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.astype(np.float64), theirs.astype(np.float64), rtol=0, atol=level(ours.dtype))


def golden(name, *keys):
    return [GOLDEN[f"{name}_{key}"] for key in keys]


def run(module, name):
    """The results of the three loops for one of the golden inputs."""
    pixels, mask, front = golden(name, "pixels", "mask", "foreground")
    grid, above, down, cells, starts, fractions = golden(name, "grid", "above", "down", "cells", "starts", "fractions")
    (full, peak, half), rows, columns = golden(name, "scales", "rows", "columns")
    indices = (above.astype(np.intp), down, cells.astype(np.intp), starts.astype(np.intp))
    changed, pasted = pixels.copy(), pixels.reshape(len(pixels), -1).copy()
    module.change_pixels(changed, mask, grid, *indices, fractions, full, peak, half)
    module.paste_rows(front.reshape(len(front), -1), mask, full, half, pasted)
    shrunk = np.zeros((len(rows) - 1, 3 * (len(columns) - 1)), np.float32)
    for first in range(len(shrunk)):
        module.shrink_rows(pixels.reshape(len(pixels), -1), rows, columns, 3, shrunk, first, first + 1)
    return changed, pasted.reshape(pixels.shape), shrunk


@pytest.mark.parametrize("name", ["bytes", "words", "floats"])
def test_the_results_are_those_of_earlier_versions(each_kernel, name):
    changed, pasted, shrunk = run(kernels, name)
    same = np.testing.assert_array_equal if each_kernel in FUSED else within_a_level
    same(changed, GOLDEN[f"{name}_changed"])
    same(pasted, GOLDEN[f"{name}_pasted"])
    np.testing.assert_allclose(shrunk, GOLDEN[f"{name}_shrunk"], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "of_mask"), list(itertools.product(TYPES, TYPES)))
@pytest.mark.parametrize("width", [1, 15, 16, 17, 700, 1300])
def test_compiled_loops_and_numpy_agree(each_kernel, dtype, of_mask, width):
    """In parts of wider arrays, for segments of one pixel and of many."""
    pixels, front, mask = (
        samples((5, width + 3, 3), dtype),
        samples((5, width + 3, 3), dtype),
        samples((5, width), of_mask),
    )
    grid = (RNG.random((4, 9, 12), dtype=np.float32) - 0.5) * 0.5
    cells = np.sort(RNG.choice(9, min(9, width), replace=False)).astype(np.intp)
    inner = np.sort(RNG.choice(np.arange(1, width), len(cells) - 1, replace=False)) if width > 1 else []
    starts = np.array([0, *inner, width], np.intp)
    axes = (
        np.array([0, 1, 1, 2, 3]),
        RNG.random(5, dtype=np.float32),
        cells,
        starts,
        RNG.random(width, dtype=np.float32),
    )
    peak = 1 if dtype == np.float32 else np.iinfo(dtype).max
    full = np.float32(1 if of_mask == np.float32 else 1 / np.iinfo(of_mask).max)
    half = 0 if dtype == np.float32 else 0.5
    both = []
    for module in (kernels, numpy_kernels):
        result = pixels.copy()
        module.change_pixels(result[:, 2 : 2 + width], mask, grid, *axes, full, np.float32(peak), np.float32(half))
        both.append(result)
    within_a_level(*both)
    np.testing.assert_array_equal(both[0][:, :2], pixels[:, :2])
    np.testing.assert_array_equal(both[0][:, 2 + width :], pixels[:, 2 + width :])
    both = []
    for module in (kernels, numpy_kernels):
        result = pixels.copy()
        flat, behind = (part[:, 2 : 2 + width].reshape(5, -1) for part in (front, result))
        behind = behind.copy()
        module.paste_rows(flat, mask, full, np.float32(half), behind)
        both.append(behind)
    within_a_level(*both)


def samples(shape, dtype):
    if dtype == np.float32:
        return RNG.random(shape, dtype=np.float32)
    return RNG.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def arguments(loop):
    """Valid ones, small."""
    pixels, mask = np.zeros((4, 6, 3), np.uint8), np.ones((4, 6), np.uint8)
    one, index = np.float32(1), np.intp
    axes = [np.zeros(4, index), np.zeros(4, np.float32), np.zeros(1, index), np.array([0, 6], index)]
    return {
        "change_pixels": [
            pixels,
            mask,
            np.zeros((2, 2, 12), np.float32),
            *axes,
            np.zeros(6, np.float32),
            one,
            one,
            one,
        ],
        "shrink_rows": [mask, np.array([0.0, 2, 4]), np.array([0.0, 3, 6]), 1, np.zeros((2, 2), np.float32), 0, 2],
        "paste_rows": [pixels.reshape(4, 18), mask, one, one, pixels.reshape(4, 18).copy()],
    }[loop]


WRONG = [
    ("change_pixels", 0, np.zeros((4, 6, 3)), TypeError),
    ("change_pixels", 0, np.zeros((4, 6, 3), ">u2"), TypeError),
    ("change_pixels", 0, np.zeros((4, 6, 4), np.uint8)[..., :3], ValueError),
    ("change_pixels", 0, np.zeros((4, 5, 3), np.uint8), ValueError),
    ("change_pixels", 0, np.zeros((4, 18), np.uint8), ValueError),
    ("change_pixels", 0, np.zeros(4 * 6 * 3, np.uint8).data.toreadonly(), BufferError),
    ("change_pixels", 1, np.zeros((4, 6), np.float64), TypeError),
    ("change_pixels", 1, np.zeros((6, 4), np.uint8).T, ValueError),
    ("change_pixels", 1, "text", TypeError),
    ("change_pixels", 2, np.zeros((2, 2, 9), np.float32), ValueError),
    ("change_pixels", 3, np.full(4, 2, np.intp), ValueError),
    ("change_pixels", 3, np.full(4, -1, np.intp), ValueError),
    ("change_pixels", 4, np.zeros(3, np.float32), ValueError),
    ("change_pixels", 5, np.array([2], np.intp), ValueError),
    ("change_pixels", 5, np.zeros(0, np.intp), ValueError),
    ("change_pixels", 6, np.array([0, 7], np.intp), ValueError),
    ("change_pixels", 6, np.array([1, 6], np.intp), ValueError),
    ("change_pixels", 7, np.zeros(5, np.float32), ValueError),
    ("change_pixels", 8, "text", TypeError),
    ("shrink_rows", 0, np.zeros((4, 6), np.int8), TypeError),
    ("shrink_rows", 1, np.array([0.0, 2, 5.5]), ValueError),
    ("shrink_rows", 1, np.array([0.0, 4, 2]), ValueError),
    ("shrink_rows", 1, np.array([0.0, np.nan, 4]), ValueError),
    ("shrink_rows", 2, np.array([-1.0, 3, 6]), ValueError),
    ("shrink_rows", 2, np.array([0.0, 3]), ValueError),
    ("shrink_rows", 3, 0, ValueError),
    ("shrink_rows", 3, 4, ValueError),
    ("shrink_rows", 5, -1, ValueError),
    ("shrink_rows", 6, 3, ValueError),
    ("paste_rows", 0, np.zeros((4, 18), np.uint16), ValueError),
    ("paste_rows", 0, np.zeros((4, 17), np.uint8), ValueError),
    ("paste_rows", 1, np.zeros((3, 6), np.uint8), ValueError),
    ("paste_rows", 4, np.zeros((4, 36), np.uint8)[:, ::2], ValueError),
]


@pytest.mark.skipif(not kernels.NATIVE, reason="the loops are not compiled here")
@pytest.mark.parametrize(("loop", "place", "value", "error"), WRONG)
def test_arguments_that_do_not_fit_are_refused(loop, place, value, error):
    """Nothing outside an array is read or written."""
    call = arguments(loop)
    assert getattr(kernels, loop)(*call) is None
    call[place] = value
    with pytest.raises(error):
        getattr(kernels, loop)(*call)


@pytest.mark.skipif(not kernels.NATIVE, reason="the loops are not compiled here")
def test_instruction_sets_that_do_not_exist_are_refused():
    from edge_harmony.pictures import _native

    assert _native.instructions()[0] == "baseline"
    with pytest.raises(ValueError, match="no such instructions"):
        _native.use("mmx")


def test_a_picture_without_rows_is_left_alone(each_kernel):
    call = arguments("change_pixels")
    call[0], call[1], call[3], call[4] = call[0][:0], call[1][:0], call[3][:0], call[4][:0]
    kernels.change_pixels(*call)


@pytest.mark.lengthy
def test_without_the_extension_numpy_does_the_work():
    code = (
        "import sys\n"
        "sys.modules['edge_harmony.pictures._native'] = None\n"
        "from edge_harmony.machine import doctor\n"
        "from edge_harmony.pictures import kernels, numpy_kernels\n"
        "assert kernels.implementation() == 'NumPy'\n"
        "assert kernels.change_pixels is numpy_kernels.change_pixels\n"
        "row = doctor._loops()\n"
        "assert not row['available']\n"
        "assert 'NumPy' in row['detail'] and 'C++ compiler' in row['fix'] and 'pip install' in row['fix']\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
