"""The choices on the page: every shipped network, backend and precision that runs on this machine."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from edge_harmony.backends.base import DEFAULT_BACKEND, DEFAULT_PRECISION, Backend
from edge_harmony.backends.discovery import backend_names, get_backend, load_runner
from edge_harmony.errors import CapabilityError, EdgeHarmonyError, UsageError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.models.registry import DEFAULT_MODEL, MODELS, bundled_weights, has_weights
from edge_harmony.web.warm import warm_up

Offer = tuple[str, str, str]
"""Network, backend, precision."""

DEFAULT: Offer = (DEFAULT_MODEL, DEFAULT_BACKEND, DEFAULT_PRECISION)

_LOADED = 4


def find_offers() -> list[Offer]:
    """All offers, the default first. Backends are asked and files are looked for; networks stay on disk.

    Asking a backend imports its runtime, which takes seconds for some of them.
    """
    models = list(MODELS)
    found = [offer for name in backend_names() for offer in _offers_of(name)]
    return sorted(found, key=lambda offer: (offer != DEFAULT, models.index(offer[0])))


def _offers_of(name: str) -> list[Offer]:
    try:
        backend = get_backend(name)
        probe = backend.probe()
    except EdgeHarmonyError:
        return []
    precisions = probe.precisions if probe.available else ()
    if backend.takes_weights:
        precisions = tuple(precision for precision in precisions if _runs_weights(name, precision))
    return [
        (model, name, precision)
        for model in MODELS
        for precision in precisions
        if _is_shipped(backend, model, precision)
    ]


def _runs_weights(backend: str, precision: str) -> bool:
    """Whether a backend runs weights in a precision on its default device; a probe counts those of others too."""
    try:
        with load_runner(DEFAULT_MODEL, backend=backend, precision=precision):
            return True
    except EdgeHarmonyError:
        return False


def _is_shipped(backend: Backend, model: str, precision: str) -> bool:
    try:
        if not backend.takes_weights:
            return backend.shipped(model, precision) is not None
        if not has_weights(model):
            return False
        from edge_harmony.models.weights_file import read_header  # needs torch, as do backends that take weights

        return bool(read_header(bundled_weights(model)).ranges) or precision != "int8"
    except EdgeHarmonyError:
        return False


class Offers:
    """The offers of this machine: the first at once, the others when they are asked for.

    Attributes:
        first: the default, or the first of the others where that cannot run.

    Raises:
        CapabilityError: there is none.
    """

    def __init__(self) -> None:
        self._all: list[Offer] = []
        self._lock = threading.Lock()
        if DEFAULT not in _offers_of(DEFAULT_BACKEND) and not self.all():
            raise CapabilityError("no network can be loaded here", "see edge-harmony doctor")
        self.first = self._all[0] if self._all else DEFAULT

    def all(self) -> list[Offer]:
        """All offers, the default first; found at the first call, which takes seconds."""
        with self._lock:
            self._all = self._all or find_offers()
            return self._all

    def __contains__(self, offer: Offer) -> bool:
        return offer == self.first or offer in self.all()


def chosen(names: Iterable[str]) -> list[str]:
    """What there is to choose from.

    Raises:
        UsageError: nothing.
    """
    found = _distinct(names)
    if not found:
        raise UsageError("there is nothing to choose from", "choose a network first")
    return found


def choices_beside(offer: Offer, offers: list[Offer]) -> tuple[list[str], list[str], list[str]]:
    """The networks, the backends of an offer's network, and the precisions of both, each to choose from."""
    return (
        _distinct(other[0] for other in offers),
        _distinct(other[1] for other in offers if other[0] == offer[0]),
        _distinct(other[2] for other in offers if other[:2] == offer[:2]),
    )


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


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
