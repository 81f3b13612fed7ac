"""The loops of ``native/``, compiled. Arrays have one of the types uint8, uint16 and float32; what does not fit raises
TypeError or ValueError."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

def change_pixels(
    pixels: NDArray[Any],
    mask: NDArray[Any],
    grid: NDArray[np.float32],
    above: NDArray[np.intp],
    down: NDArray[np.float32],
    cells: NDArray[np.intp],
    starts: NDArray[np.intp],
    fractions: NDArray[np.float32],
    full: np.float32,
    peak: np.float32,
    half: np.float32,
    /,
) -> None: ...
def shrink_rows(
    picture: NDArray[Any],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    channels: int,
    shrunk: NDArray[np.float32],
    first: int,
    last: int,
    /,
) -> None: ...
def paste_rows(
    foreground: NDArray[Any], mask: NDArray[Any], full: np.float32, half: np.float32, result: NDArray[Any], /
) -> None: ...
def instructions() -> tuple[str, ...]:
    """Instruction sets that the loops were compiled for and this CPU has; the last one is the fastest and in use."""

def use(instructions: str, /) -> None:
    """Choose one of :func:`instructions`.

    Raises:
        ValueError: it is none of them.
    """
