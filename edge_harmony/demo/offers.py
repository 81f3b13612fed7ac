"""The choices on the page: every shipped network, backend and precision that runs on this machine."""

from __future__ import annotations

import threading
from collections import OrderedDict

from edge_harmony.backends.base import DEFAULT_BACKEND, DEFAULT_PRECISION
from edge_harmony.backends.discovery import backend_names, get_backend, load_runner
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.models.registry import DEFAULT_MODEL, MODELS
from edge_harmony.web.warm import warm_up

Offer = tuple[str, str, str]
"""Network, backend, precision."""

DEFAULT: Offer = (DEFAULT_MODEL, DEFAULT_BACKEND, DEFAULT_PRECISION)

_LOADED = 4


def find_offers() -> list[Offer]:
    """All offers that can be loaded, the default first."""
    runnable = [(backend, precision) for backend in backend_names() for precision in _precisions(backend)]
    offers = [(model, *how) for model in MODELS for how in runnable if _loads(model, *how)]
    return sorted(offers, key=lambda offer: offer != DEFAULT)


def _precisions(backend: str) -> tuple[str, ...]:
    try:
        probe = get_backend(backend).probe()
    except EdgeHarmonyError:
        return ()
    return probe.precisions if probe.available else ()


def _loads(model: str, backend: str, precision: str) -> bool:
    try:
        with load_runner(model, backend=backend, precision=precision):
            return True
    except EdgeHarmonyError:
        return False


class Loaded:
    """Networks, loaded at first use; the last few are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Offer, Harmonizer] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, offer: Offer) -> Harmonizer:
        """The harmonizer of an offer, warmed up.

        Raises:
            EdgeHarmonyError: the network cannot be loaded.
        """
        with self._lock:
            harmonizer = self._kept.pop(offer, None)
            if harmonizer is None:
                model, backend, precision = offer
                harmonizer = Harmonizer.from_pretrained(model, backend=backend, precision=precision)
                warm_up(harmonizer)
            self._kept[offer] = harmonizer
            if len(self._kept) > _LOADED:
                self._kept.popitem(last=False)  # it is closed when its last picture is done
            return harmonizer
