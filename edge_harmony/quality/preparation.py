"""Changes to a sample at its own size, before a protocol scores it."""

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
"""Pixels by which the mask of a moved object is shrunk, unless ``sealed`` sets a number."""


@dataclass(frozen=True)
class Preparation:
    """How samples are changed, in this order: relit, then sealed or moved. The default changes nothing.

    Attributes:
        sealed: shrink masks by this number of pixels and fill the rim: :func:`edge_harmony.quality.rims.sealed`.
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
        """A label for people, such as ``plain`` or ``relit, sealed by 2``."""
        parts = ["relit"] * self.relit + ["moved"] * self.moved
        parts += [f"sealed by {self.sealed}"] * bool(self.sealed)
        return ", ".join(parts) or "plain"

    def apply(
        self, name: str, composite: NDArray[np.uint8], mask: NDArray[np.float32], real: NDArray[np.uint8]
    ) -> Sealed | None:
        """Prepare one sample, as :meth:`edge_harmony.data.iharmony4.Triplet.load` gives it.

        Args:
            name: name of the sample; random choices are derived from it.
            composite: ``(H, W, 3)`` uint8.
            mask: ``(H, W)`` in [0, 1].
            real: like ``composite``.

        Returns:
            The changed composite, mask and real picture; None if nothing is left of the object, or it cannot be moved.
        """
        if self.relit:
            composite = relit(real, mask, name)
        if self.moved:
            return moved(composite, mask, real, self.sealed or MOVED_PIXELS, name)
        if self.sealed:
            return sealed(composite, mask, real, self.sealed)
        return composite, mask, real

    def record(self, left_out: int) -> dict[str, Any]:
        """The entry in a result: ``label sealed moved relit``, and how many samples were ``left_out``."""
        return {"label": self.label, **asdict(self), "left_out": left_out}


PLAIN = Preparation()
SEALED = Preparation(sealed=2)
"""Scored by validation, cards and benchmark results besides the plain pictures, because users' pictures have no rim."""
