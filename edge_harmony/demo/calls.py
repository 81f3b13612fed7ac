"""The calls of the page: values are checked before any work, and every error is answered in a sentence."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_harmony.demo.offers import Loaded, Offers, choices_beside, chosen
from edge_harmony.demo.picture import MaskEdge, Prediction, apply_again, harmonize
from edge_harmony.errors import EdgeHarmonyError, UsageError, is_out_of_memory
from edge_harmony.pipeline.apply import STRONGEST

log = logging.getLogger(__name__)

MOST_GROWN = 20
"""Pixels by which a mask can grow or shrink."""


class Calls:
    """What the page calls; anybody else may call it too, with any values.

    Each raises ``gradio.Error`` in place of any other exception.

    Args:
        gradio: the module.
        offers: what there is to choose from.
        samples: paths of composites and masks.
    """

    def __init__(self, gradio: Any, offers: Offers, samples: list[tuple[Path, Path]]) -> None:
        self._gradio, self._offers, self._samples = gradio, offers, samples
        self._loaded = Loaded()

    def run(
        self,
        edited: dict[str, Any] | None,
        mask: str | None,
        model: str,
        backend: str,
        precision: str,
        strength: float,
        grow: float,
        refine: bool,
    ) -> tuple[Any, str, Prediction]:
        """Before and after, a message, and what :meth:`run_again` takes."""
        with answered(self._gradio):
            offer = (model, backend, precision)
            if offer not in self._offers:
                raise UsageError("this network does not run here in this way", "choose a network, then the rest")
            edge = MaskEdge(checked_pixels(grow), bool(refine))
            return harmonize(self._loaded, edited, mask, offer, checked_strength(strength), edge)

    def run_again(self, prediction: Prediction | None, strength: float) -> tuple[Any, Any]:
        """Before and after at another strength, and a message."""
        if prediction is None:  # nothing to change yet; the button will use this strength
            return self._gradio.skip(), self._gradio.skip()
        with answered(self._gradio):
            return apply_again(prediction, checked_strength(strength))

    def choose_backend(self, model: str) -> Any:
        """The backends of a network, to choose from."""
        with answered(self._gradio):
            return self._dropdown(chosen(offer[1] for offer in self._offers.all() if offer[0] == model))

    def choose_precision(self, model: str, backend: str) -> Any:
        """The precisions of a network on a backend, to choose from."""
        with answered(self._gradio):
            return self._dropdown(chosen(offer[2] for offer in self._offers.all() if offer[:2] == (model, backend)))

    def _dropdown(self, names: list[str]) -> Any:
        return self._gradio.Dropdown(names, value=names[0])

    def choices(self) -> list[Any]:
        """Networks, backends and precisions beside those that the page shows first."""
        with answered(self._gradio):
            return [self._gradio.Dropdown(names) for names in choices_beside(self._offers.first, self._offers.all())]

    def take_sample(self, index: Any) -> tuple[Any, str]:
        """The contents of the editor, and a mask."""
        with answered(self._gradio):
            if index not in range(len(self._samples)):
                raise UsageError("there is no such sample", "take one from the page")
            composite, mask = self._samples[index]
            return {"background": str(composite), "layers": [], "composite": str(composite)}, str(mask)


@contextlib.contextmanager
def answered(gradio: Any) -> Iterator[None]:
    """The boundary between a call from the page, or from elsewhere, and our code: any error is answered in a sentence.

    Raises:
        gradio.Error: in place of every exception.
    """
    try:
        yield
    except EdgeHarmonyError as error:
        raise gradio.Error(str(error), print_exception=False) from None
    except Exception as error:
        if is_out_of_memory(error):
            raise gradio.Error("the server has too little memory for it now", print_exception=False) from None
        log.exception("a call failed")
        raise gradio.Error("this failed, and the log of the server says why", print_exception=False) from None


def checked_strength(strength: Any) -> float:
    """The strength of a call.

    Raises:
        UsageError: it is no number.
    """
    if isinstance(strength, bool) or not isinstance(strength, int | float):
        raise UsageError("the strength is no number", f"give one from 0 to {STRONGEST}")
    return float(strength)


def checked_pixels(pixels: Any) -> int:
    """The pixels by which the mask of a call grows.

    Raises:
        UsageError: they are no number, or too many.
    """
    if isinstance(pixels, bool) or not isinstance(pixels, int | float) or not abs(pixels) <= MOST_GROWN:
        raise UsageError("the mask cannot grow by that", f"give pixels from -{MOST_GROWN} to {MOST_GROWN}")
    return round(pixels)
