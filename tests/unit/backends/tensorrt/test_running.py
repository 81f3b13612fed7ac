"""Running engines: control flow against fakes of every version."""

from __future__ import annotations

import json
import threading
from contextlib import closing

import numpy as np
import pytest

from edge_harmony.backends.tensorrt.cuda.api import CudaError
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.errors import ArtifactError, CapabilityError, EdgeHarmonyError, InputError, UsageError
from tests.fakes.tensorrt import VERSIONS, fake_tensorrt

NOISE = np.random.default_rng(3).random((4, 4, 4, 4), dtype=np.float32)


def engine_of(version, world, folder, options=None, **arguments):
    tensorrt, options = fake_tensorrt(version, world), options or BuildOptions()
    path = folder / "x.plan"
    path.write_bytes(json.dumps({"fake": True, "stripped": options.strip_weights}).encode())
    return Engine(tensorrt, world.cuda, path, options, **arguments)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("graph", [False, True])
def test_engines_run_at_every_batch(version, graph, world, tmp_path):
    world.open_batch = True
    with closing(engine_of(version, world, tmp_path)) as engine, closing(engine.context()) as context:
        assert engine.device_memory == (1024 if version == "8.6" else 2048)
        for batch in (4, 1, 3):
            inputs = {"composite": NOISE[:batch, :3], "mask": NOISE[:batch, 3:]}
            if graph:
                context.resize({name: array.shape for name, array in inputs.items()})
                context.capture()
            result = context.run(inputs)["transform"]
            assert np.array_equal(result, NOISE[:batch, :3] + NOISE[:batch, 3:])
        assert world.cuda.launched == (3 if graph and version != "rtx-1.7" else 0)  # which launches its own
    context.close()
    assert world.cuda.held == {}


def test_halves_are_taken_and_given(world, tmp_path):
    world.halves = True
    with closing(engine_of("11.4", world, tmp_path)) as engine, closing(engine.context()) as context:
        result = context.run({"composite": NOISE[:1, :3], "mask": NOISE[:1, 3:]})["transform"]
        assert result.dtype == np.float16
        assert np.allclose(result, NOISE[:1, :3] + NOISE[:1, 3:], atol=2e-3)


@pytest.mark.parametrize(
    ("call", "after"), [("create_stream", 0), *((call, after) for call in ("allocate", "pin") for after in range(3))]
)
def test_a_context_that_cannot_be_made_leaves_nothing_behind(call, after, world, tmp_path):
    world.cuda.failing = {call: after}
    engine = engine_of("10.3", world, tmp_path)
    with pytest.raises(CudaError, match="out of memory"):
        engine.context()
    assert world.cuda.held == {}


@pytest.mark.parametrize("call", ["copy_to_device", "copy_to_host", "synchronize"])
def test_a_failing_query_can_be_repeated(call, world, tmp_path):
    with closing(engine_of("10.3", world, tmp_path)) as engine, closing(engine.context()) as context:
        inputs = {"composite": NOISE[:1, :3], "mask": NOISE[:1, 3:]}
        world.cuda.failing = {call: 0}
        with pytest.raises(CudaError):
            context.run(inputs)
        world.cuda.failing = {}
        assert np.array_equal(context.run(inputs)["transform"], NOISE[:1, :3] + NOISE[:1, 3:])
    assert world.cuda.held == {}


@pytest.mark.parametrize(
    ("fails", "kind", "said"),
    [
        ({"context": "out of memory"}, CapabilityError, "no memory for an execution context (out of memory)"),
        ({"address": ""}, ArtifactError, "refuses the buffer"),
        ({"enqueue": "CUDNN_STATUS_MAPPING_ERROR"}, CapabilityError, "CUDNN_STATUS_MAPPING_ERROR"),
    ],
)
def test_what_tensorrt_refuses_at_run_time(fails, kind, said, world, tmp_path):
    world.fails = fails
    engine = engine_of("10.3", world, tmp_path)
    with pytest.raises(kind) as error, closing(engine.context()) as context:
        context.run({"composite": NOISE[:1, :3], "mask": NOISE[:1, 3:]})
    assert said in str(error.value)
    assert world.cuda.held == {}


@pytest.mark.parametrize("fails", ["enqueue", "end_capture"])
def test_a_failing_capture_leaves_no_graph(fails, world, tmp_path):
    with closing(engine_of("10.3", world, tmp_path)) as engine, closing(engine.context()) as context:
        enqueue, queued = context.enqueue, []

        def second_fails():
            queued.append(1)
            if fails == "enqueue" and len(queued) == 2:
                world.fails = {"enqueue": "not permitted when stream is capturing"}
            enqueue()

        context.enqueue = second_fails
        world.cuda.failing = {"end_capture": 0} if fails == "end_capture" else {}
        with pytest.raises(EdgeHarmonyError):
            context.capture()
        assert "graph" not in world.cuda.held.values() or fails == "end_capture"
        assert world.cuda.recording == {}
        world.fails, world.cuda.failing = {}, {}
        context.enqueue = enqueue
        inputs = {"composite": NOISE[:1, :3], "mask": NOISE[:1, 3:]}
        assert np.array_equal(context.run(inputs)["transform"], NOISE[:1, :3] + NOISE[:1, 3:])


def test_wrong_inputs_are_refused(world, tmp_path):
    world.open_batch = True
    with closing(engine_of("10.3", world, tmp_path)) as engine, closing(engine.context()) as context:
        with pytest.raises(
            InputError, match=r"outside the engine's profile; it takes \(1, 3, 4, 4\) to \(4, 3, 4, 4\)"
        ):
            context.run({"composite": np.zeros((5, 3, 4, 4), np.float32)})
        with pytest.raises(InputError, match="no input 'picture'"):
            context.run({"picture": NOISE})


def test_threads_have_a_context_each(world, tmp_path):
    failures = []
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        contexts = [engine.context() for _ in range(4)]

        def work(context, seed):
            dice = np.random.default_rng(seed)
            for _ in range(50):
                picture, mask = dice.random((1, 3, 4, 4), np.float32), dice.random((1, 1, 4, 4), np.float32)
                if not np.array_equal(context.run({"composite": picture, "mask": mask})["transform"], picture + mask):
                    failures.append(seed)

        threads = [threading.Thread(target=work, args=(context, k)) for k, context in enumerate(contexts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for context in contexts:
            context.close()
    assert failures == []
    assert world.cuda.held == {}
    with pytest.raises(RuntimeError, match="closed"):
        engine.context()


def test_truncated_plans_are_refused(world, tmp_path):
    (tmp_path / "x.plan").write_bytes(b'{"fak')
    for words, kind in (("Serialization assertion failed", ArtifactError), ("out of memory", CapabilityError)):
        world.fails = {"deserialize": words}
        with pytest.raises(kind, match=words):
            Engine(fake_tensorrt("10.3", world), world.cuda, tmp_path / "x.plan", BuildOptions())


def test_what_an_engine_was_built_with_decides_how_it_is_loaded(world, onnx_file, tmp_path):
    engine_of("10.3", world, tmp_path, BuildOptions(dla_core=1, gpu_fallback=True)).close()
    assert world.runtimes[-1].DLA_core == 1
    engine_of("10.3", world, tmp_path, BuildOptions(version_compatible=True)).close()
    assert world.runtimes[-1].engine_host_code_allowed
    stripped = BuildOptions(strip_weights=True, refit=True)
    with pytest.raises(UsageError, match="built without weights"):
        engine_of("10.3", world, tmp_path, stripped)
    engine_of("10.3", world, tmp_path, stripped, weights=onnx_file).close()
    with pytest.raises(UsageError, match="there is no file"):
        engine_of("10.3", world, tmp_path, stripped, weights=tmp_path / "none.onnx")
    world.fails = {"refit": ""}
    with pytest.raises(ArtifactError, match="do not fit the engine"):
        engine_of("10.3", world, tmp_path, stripped, weights=onnx_file)
