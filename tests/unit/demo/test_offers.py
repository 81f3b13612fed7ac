"""What the page offers: every network, backend and precision that loads here, and what there is to choose from."""

import pytest

from edge_harmony.backends.discovery import backend_names, load_runner
from edge_harmony.demo import offers as offers_module
from edge_harmony.demo.offers import DEFAULT, Loaded, Offers, choices_beside, chosen, find_offers
from edge_harmony.errors import CapabilityError, EdgeHarmonyError, UsageError
from edge_harmony.models.registry import MODELS

pytestmark = pytest.mark.lengthy


def test_what_is_offered_loads():
    offers = find_offers()
    assert offers[0] == DEFAULT
    assert len(offers) == len(set(offers))
    assert {backend for _, backend, _ in offers} >= {"onnxruntime", "openvino", "pytorch"}
    assert ("hdnet", "pytorch", "fp32") not in offers  # nothing is shipped
    assert ("hdnet-lite", "pytorch", "int8") not in offers  # its weights have no ranges
    loaded = Loaded()
    first = loaded.get(DEFAULT)
    assert loaded.get(DEFAULT) is first
    for offer in offers[1:]:
        loaded.get(offer)
    assert loaded.get(DEFAULT) is not first  # only the last few are kept
    loadable = {
        (model, backend, precision)
        for model in MODELS
        for backend in backend_names()
        for precision in ("fp32", "fp16", "int8")
        if loads(model, backend, precision)
    }
    assert set(offers) == loadable


def loads(model, backend, precision):
    try:
        load_runner(model, backend=backend, precision=precision).close()
    except EdgeHarmonyError:
        return False
    return True


def test_the_first_offer_waits_for_no_other(monkeypatch):
    asked = []
    others = [("edge-n", "pytorch", "fp32"), ("edge-n", "pytorch", "int8")]
    monkeypatch.setattr(offers_module, "find_offers", lambda: asked.append(1) or [DEFAULT, *others])
    offers = Offers()
    assert offers.first == DEFAULT
    assert DEFAULT in offers
    assert not asked
    assert others[1] in offers
    assert ("edge-n", "pytorch", "fp16") not in offers
    assert offers.all() == [DEFAULT, *others]
    assert len(asked) == 1
    assert choices_beside(DEFAULT, offers.all()) == (["edge-s", "edge-n"], ["onnxruntime"], ["int8"])
    monkeypatch.setattr(offers_module, "_offers_of", lambda backend: [])
    assert Offers().first == DEFAULT  # the first of all
    monkeypatch.setattr(offers_module, "find_offers", lambda: [])
    with pytest.raises(CapabilityError, match="no network can be loaded here"):
        Offers()


def test_choices_are_named_once_and_there_is_one():
    assert chosen(["b", "a", "b"]) == ["b", "a"]
    with pytest.raises(UsageError, match="choose a network first"):
        chosen([])
