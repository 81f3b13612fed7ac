"""Execution contexts: memory that follows the shapes, graphs, shared memory, packed formats; and the runner on them."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from edge_harmony.backends.tensorrt.cuda.api import CudaError
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.backends.tensorrt.runner import TensorRTPipeline, TensorRTRunner
from edge_harmony.backends.tensorrt.timing import TimingOptions, time_engine
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.manifest import Manifest
from edge_harmony.harmonizer import Harmonizer
from tests.fakes.tensorrt import World, fake_tensorrt

NOISE = np.random.default_rng(3).random((4, 4, 4, 4), dtype=np.float32)


@pytest.fixture
def world():
    return World(open_batch=True)


@pytest.fixture
def engine(world, tmp_path):
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        yield engine


def engine_of(version, world, folder):
    path = folder / "x.plan"
    path.write_bytes(json.dumps({"fake": True, "stripped": False}).encode())
    return Engine(fake_tensorrt(version, world), world.cuda, path, BuildOptions())


def batch_of(count):
    return {"composite": NOISE[:count, :3], "mask": NOISE[:count, 3:]}


def check(context, count):
    result = context.run(batch_of(count))["transform"]
    np.testing.assert_array_equal(result, NOISE[:count, :3] + NOISE[:count, 3:])


def held(world):
    return sum(array.nbytes for array in world.cuda.memory.values() if array.dtype == np.uint8)


@pytest.mark.parametrize(("version", "scratch"), [("8.6", 0), ("10.3", 512), ("11.4", 512), ("rtx-1.7", 512)])
def test_memory_follows_the_shapes_in_use(version, scratch, world, tmp_path):
    one = 4 * 16 * (3 + 1 + 3)
    with closing(engine_of(version, world, tmp_path)) as engine, closing(engine.context()) as context:
        assert held(world) == 0  # nothing is known of the shapes yet
        for count, most in ((1, 1), (3, 3), (2, 3), (4, 4)):
            check(context, count)
            assert context.scratch == most * scratch
            assert held(world) == most * (one + scratch)
    assert world.cuda.held == {}


@pytest.mark.parametrize("call", ["pin", "allocate"])
def test_a_shape_that_memory_is_lacking_for_does_not_stay(call, engine, world):
    with closing(engine.context()) as context:
        check(context, 1)
        for after in (1, 0):
            world.cuda.failing = {call: after}
            with pytest.raises(CudaError, match="out of memory"):
                context.run(batch_of(4))
        world.cuda.failing = {}
        check(context, 4)
        check(context, 1)
        with pytest.raises(InputError, match="outside the engine's profile"):
            context.run({"composite": np.zeros((5, 3, 4, 4), np.float32), "mask": NOISE[:1, 3:]})
        check(context, 2)
    assert world.cuda.held == {}


def test_a_graph_is_launched_where_the_same_shapes_come_again(engine, world):
    with closing(engine.context(graphs=True)) as context:
        launched = []
        for count in (1, 1, 1, 2, 1, 1, 4, 4):
            check(context, count)
            launched.append(world.cuda.launched)
    assert launched == [0, 1, 2, 2, 2, 3, 3, 4]
    assert world.cuda.held == {}


@pytest.mark.parametrize("call", ["begin_capture", "end_capture"])
def test_without_graphs_kernels_are_queued_after_one_warning(call, world, tmp_path, caplog):
    world.cuda.failing = {call: 0}
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        for _ in range(2):
            with closing(engine.context(graphs=True)) as context:
                for _ in range(4):
                    world.cuda.recording.clear()
                    check(context, 1)
    assert world.cuda.launched == 0
    assert caplog.text.count("running without CUDA graphs") == 1


def test_a_context_that_is_lost_in_a_capture_is_no_reason_to_go_on_without_graphs(engine, world, caplog):
    with closing(engine.context(graphs=True)) as context:
        check(context, 1)
        begin = world.cuda.begin_capture

        def lose(stream):
            world.cuda.lost = "an illegal memory access was encountered"
            begin(stream)

        world.cuda.begin_capture = lose
        with pytest.raises(CudaError, match=r"begin_capture failed: an illegal .* start it again"):
            context.run(batch_of(1))
    assert caplog.text == ""
    assert world.cuda.held == {}


def test_where_host_and_device_share_their_memory_nothing_is_copied(world, tmp_path):
    world.cuda.model = replace(world.cuda.model, integrated=True)
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        with closing(engine.context(shares=True, graphs=True)) as context:
            for count in (1, 1, 3):
                check(context, count)
            assert world.cuda.copied == 0
            assert held(world) == context.scratch
        with closing(engine.context()) as context:  # as trtexec times it
            check(context, 1)
            assert world.cuda.copied > 0
    assert world.cuda.held == {}


def test_other_devices_copy(engine, world):
    with closing(engine.context(shares=True)) as context:
        check(context, 1)
        assert world.cuda.copied == 4 * 16 * 7


def test_packed_formats_are_timed_and_not_run(world, tmp_path):
    world.packed, world.open_batch = ("composite",), False
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        with closing(engine.context()) as context:
            assert context.buffers["composite"].size == 4 * 32 * 16
            with pytest.raises(InputError, match="the values of composite do not lie in the order of its sizes"):
                context.run(batch_of(1))
        assert len(time_engine(engine, TimingOptions(0, 0, 3)).samples) == 3
    assert world.cuda.held == {}


@pytest.mark.parametrize(("options", "launched"), [({}, 4), ({"graphs": False}, 0)])
@pytest.mark.parametrize("integrated", [True, False])
def test_the_runner_launches_graphs_unless_told_otherwise_and_copies_only_where_it_must(
    options, launched, integrated, world, tmp_path
):
    world.cuda.model = replace(world.cuda.model, integrated=integrated)
    io = {"height": 4, "width": 4, "output": "affine"}
    manifest = Manifest(model="edge-n", precision="fp32", backend="tensorrt", io=io, file_sha256="", weights_sha256="")
    with TensorRTRunner(engine_of("10.3", world, tmp_path), manifest, **options) as runner:
        for _ in range(5):
            result = runner.infer(NOISE[:1, :3], NOISE[:1, 3:])
            np.testing.assert_array_equal(result, NOISE[:1, :3] + NOISE[:1, 3:])
    assert world.cuda.launched == launched
    assert world.cuda.copied == (0 if integrated else 5 * 4 * 16 * 7)
    assert world.cuda.held == {}


class Painter:
    """An engine of a whole pipeline, and its context: it returns the picture, darker by the strength."""

    closed = 0

    def context(self, **options):
        assert options == {"shares": True, "graphs": True}
        return self

    def run(self, feed):
        assert [array.dtype for array in feed.values()] == [np.uint8, np.uint8, np.float32]
        assert feed["strength"].shape == ()
        self.memory = (feed["picture"] * (1 - feed["strength"] * (feed["mask"] > 0)[..., None])).astype(np.uint8)
        return {"harmonized": self.memory}

    def synchronize(self): ...

    def close(self):
        self.closed += 1


def test_a_whole_pipeline_takes_pictures_and_gives_pictures():
    io = {"height": 256, "width": 256, "output": "picture", "layout": "HWC", "value_range": (0, 255)}
    manifest = Manifest(model="edge-n", precision="int8", backend="tensorrt", io=io, file_sha256="", weights_sha256="")
    picture = np.random.default_rng(4).integers(0, 256, (270, 300, 3), np.uint8)
    mask = np.zeros((270, 300), np.uint8)
    mask[50:100, 20:90] = 255
    engine = Painter()
    with Harmonizer(TensorRTPipeline(engine, manifest)) as harmonizer:
        result = harmonizer.harmonize(picture, mask, strength=0.5)
        assert not np.shares_memory(result, engine.memory)
        np.testing.assert_array_equal(result[mask > 0], picture[mask > 0] // 2)
        np.testing.assert_array_equal(result[mask == 0], picture[mask == 0])
        with pytest.raises(UsageError, match="its network cannot be run alone"):
            harmonizer.runner.infer(NOISE[:1, :3], NOISE[:1, 3:])
    assert engine.closed == 2
