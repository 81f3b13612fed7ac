"""Engines on several GPUs in one thread and in many, and after the end of a CUDA context."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from edge_harmony.backends.tensorrt.cuda.api import CudaError, Device
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.backends.tensorrt.timing import TimingOptions, time_engine
from tests.fakes.cuda import FakeCuda
from tests.fakes.tensorrt import World, fake_tensorrt

NOISE = np.random.default_rng(6).random((1, 4, 4, 4), np.float32)
INPUTS = {"composite": NOISE[:, :3], "mask": NOISE[:, 3:]}


@pytest.fixture
def worlds():
    """Two GPUs."""
    return [World(FakeCuda(model=Device(index, "RTX 4090", (8, 9), 8 << 30, 4 << 30, "13.0"))) for index in range(2)]


def load(world, folder):
    (folder / "x.plan").write_text('{"stripped": false}')
    return Engine(fake_tensorrt("10.13", world), world.cuda, folder / "x.plan", BuildOptions())


def agrees(context):
    return np.array_equal(context.run(INPUTS)["transform"], NOISE[:, :3] + NOISE[:, 3:])


def test_two_gpus_take_turns_in_one_thread(worlds, tmp_path):
    first, second = (load(world, tmp_path) for world in worlds)
    with closing(first), closing(second), closing(first.context()) as one, closing(second.context()) as two:
        assert all(agrees(context) for context in (one, two, one, two))
        for engine in (first, second, first):
            assert len(time_engine(engine, TimingOptions(0, 0, 3, graph=True), profiled=2).samples) == 3
        assert all(agrees(context) for context in (one, two))
    assert [world.cuda.held for world in worlds] == [{}, {}]


def test_two_gpus_serve_many_threads(worlds, tmp_path):
    engines = [load(world, tmp_path) for world in worlds]
    contexts = [engine.context() for engine in engines for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda context: all(agrees(context) for _ in range(20)), contexts))
    for thing in (*contexts, *engines):
        thing.close()
    assert [world.cuda.held for world in worlds] == [{}, {}]


def test_what_is_waited_for_and_closed_is_on_its_own_gpu_whatever_the_thread_used_last(worlds, tmp_path):
    first, second = (load(world, tmp_path) for world in worlds)
    one, two = first.context(), second.context()
    one.begin(INPUTS)
    two.begin(INPUTS)
    one.synchronize()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(two.synchronize).result()
        for thing in (one, two, first, second):
            pool.submit(thing.close).result()
    assert [(world.cuda.held, world.strays) for world in worlds] == [({}, 0), ({}, 0)]


def test_after_a_lost_context_the_first_error_is_the_one_that_is_seen(worlds, tmp_path):
    cuda = worlds[0].cuda
    engine = load(worlds[0], tmp_path)
    context = engine.context()
    cuda.lost = "unspecified launch failure"
    with (
        pytest.raises(CudaError, match=r"unspecified launch failure .*start it again"),
        closing(engine),
        closing(context),
    ):
        context.run(INPUTS)
    assert cuda.held == {}
