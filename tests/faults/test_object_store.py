"""Folders in an object store that refuses, hangs up, and cuts bodies: every picture once, or a line that says why."""

import io
import json
import threading

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.folder.run import FAILED, RECORD, harmonize_folder
from tests.fakes.object_store import ObjectStore, served
from tests.faults.seeds import as_bytes, foreground, pixels

pytestmark = pytest.mark.lengthy

pytest.importorskip("pyarrow.fs")

COUNT = 4
ADDRESSES = ("s3://bucket/composites", "s3://bucket/masks", "s3://bucket/out")
KINDS = ("503", "hang up", "cut")


@pytest.fixture(scope="module")
def pictures():
    found = {}
    for k in range(COUNT):
        found[f"composites/{k}.png"] = as_bytes(Image.fromarray(np.roll(pixels(), 5 * k, 1)), "PNG")
        found[f"masks/{k}.png"] = as_bytes(Image.fromarray(foreground()), "PNG")
    return found


@pytest.fixture
def store(pictures, monkeypatch):
    with served(ObjectStore({key: (data, 1e9) for key, data in pictures.items()})) as store:
        for name, value in store.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
        yield store


def harmonized(**options):
    return harmonize_folder(*ADDRESSES, model="edge-n", threads=1, workers=1, **options)


def results(store):
    found = {key.removeprefix("out/"): data for key, (data, _) in store.objects.items() if key.startswith("out/")}
    return {name: data for name, data in found.items() if name[:1].isdigit()}


def test_a_folder_in_a_store(store):
    report = harmonized()
    assert (report.done, report.failed) == (COUNT, [])
    assert set(results(store)) == {f"{k}.png" for k in range(COUNT)}
    for data in results(store).values():
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == pixels().shape
    assert json.loads(store.objects[f"out/{FAILED}"][0]) == []
    assert harmonized(resume=True).skipped == COUNT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_whatever_a_store_does_nothing_is_lost(store, kind):
    """A request fails, then every one from then on; what was not done is done by the next run."""
    harmonized()
    wanted, count = results(store), len(store.requests)
    for first in sorted({1, 2, 3, count // 3, count // 2, count - 1}):
        for key in [key for key in store.objects if key.startswith("out/")]:
            del store.objects[key]
        seen = iter(range(1, 100_000))
        store.fault = lambda method, key, first=first, seen=seen: kind if next(seen) == first else None
        said, report = "s3://bucket", None
        try:
            report = harmonized()
        except EdgeHarmonyError as error:
            said = str(error)
        assert "s3://bucket" in said
        assert report is None or report.done + len(report.failed) == COUNT
        assert report is None or all("\n" not in outcome.error for outcome in report.failed)
        store.fault = lambda method, key: None
        made = results(store)
        assert {name: wanted[name] for name in made} == made  # whole, or not there
        again = harmonized(resume=f"out/{RECORD}" in store.objects)
        assert (again.done + again.skipped, again.failed) == (COUNT, [])
        assert results(store) == wanted


def test_a_store_that_is_not_there_is_one_line(monkeypatch):
    with served(ObjectStore()) as store:
        environment = store.environment()
    for name, value in (environment | {"AWS_MAX_ATTEMPTS": "1"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EdgeHarmonyError, match="s3://bucket/composites"):
        harmonized()
    assert threading.active_count() < 50


def test_a_truncated_object_is_not_taken_for_a_picture(store):
    key = "composites/1.png"
    store.objects[key] = store.objects[key][0][:300], 1e9
    report = harmonized()
    assert [outcome.item.composite for outcome in report.failed] == [f"s3://bucket/{key}"]
    assert report.done == COUNT - 1
    assert "1.png" not in results(store)
    assert io.BytesIO(results(store)["0.png"]).read(4) == b"\x89PNG"
