"""What is done to a sample before it is scored, at its own size; a protocol takes it from there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import UsageError
from edge_harmony.quality.relit import relit
from edge_harmony.quality.rims import Sealed, moved, sealed

MOST_SEALED = 64
MOVED_PIXELS = 2
"""What the mask of a moved object is shrunk by where nothing else is said."""


@dataclass(frozen=True)
class Preparation:
    """How samples are changed, in this order: relit, then sealed or moved. The default leaves them as they are.

    Attributes:
        sealed: shrink masks by so many pixels and fill the rim: :func:`edge_harmony.quality.rims.sealed`.
        moved: paste the object beside its old place: :func:`edge_harmony.quality.rims.moved`.
        relit: put the real foreground under another light in place of the set's own composite:
            :func:`edge_harmony.quality.relit.relit`.

    Raises:
        UsageError: ``sealed`` is not in 0..64.
    """

    sealed: int = 0
    moved: bool = False
    relit: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.sealed <= MOST_SEALED:
            raise UsageError(
                f"masks cannot be sealed by {self.sealed} pixels",
                f"choose a number from 0 (not at all) to {MOST_SEALED}",
            )

    @property
    def label(self) -> str:
        """For people: ``plain``, ``relit, sealed by 2``."""
        parts = ["relit"] * self.relit + ["moved"] * self.moved
        parts += [f"sealed by {self.sealed}"] * bool(self.sealed)
        return ", ".join(parts) or "plain"

    def apply(
        self, name: str, composite: NDArray[np.uint8], mask: NDArray[np.float32], real: NDArray[np.uint8]
    ) -> Sealed | None:
        """Prepare one sample, as :meth:`edge_harmony.data.iharmony4.Triplet.load` gives it.

        Args:
            name: of the sample: what is drawn by number follows from it.
            composite: ``(H, W, 3)`` uint8.
            mask: ``(H, W)`` in [0, 1].
            real: like ``composite``.

        Returns:
            The same three; None where nothing is left of the object, or it has nowhere to go.
        """
        if self.relit:
            composite = relit(real, mask, name)
        if self.moved:
            return moved(composite, mask, real, self.sealed or MOVED_PIXELS, name)
        if self.sealed:
            return sealed(composite, mask, real, self.sealed)
        return composite, mask, real

    def record(self, left_out: int) -> dict[str, Any]:
        """What a result says about it: ``label sealed moved relit``, and how many samples were ``left_out``."""
        return {"label": self.label, **asdict(self), "left_out": left_out}


PLAIN = Preparation()
SEALED = Preparation(sealed=2)
"""What validation, cards and benchmark results score besides the plain pictures: what users get."""
