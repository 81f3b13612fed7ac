"""Loops over pixels for which NumPy and OpenCV have no function: compiled from C++ (``native/``), else in NumPy.

The three functions are described in :mod:`edge_harmony.pictures.numpy_kernels`, which does their work where the package
was installed without a compiler: several times slower, and with results that differ by one level at most. Each call
works on its own rows and releases Python's lock, so that :mod:`edge_harmony.pictures.parallel_rows` can divide the rows
among the cores.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_harmony.pictures import numpy_kernels

try:
    from edge_harmony.pictures import _native
except ImportError:
    NATIVE = False
else:
    NATIVE = True

change_pixels: Callable[..., None] = _native.change_pixels if NATIVE else numpy_kernels.change_pixels
shrink_rows: Callable[..., None] = _native.shrink_rows if NATIVE else numpy_kernels.shrink_rows
paste_rows: Callable[..., None] = _native.paste_rows if NATIVE else numpy_kernels.paste_rows


def implementation() -> str:
    """What runs the loops here: ``C++ for avx2``, say, or ``NumPy``."""
    return f"C++ for {_native.instructions()[-1]}" if NATIVE else "NumPy"
