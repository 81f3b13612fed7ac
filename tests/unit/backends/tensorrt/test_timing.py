"""Timing as trtexec does it: what is queued where, which queries count, its figures and files."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pytest

from edge_harmony.backends.tensorrt.cuda.api import CudaError
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.figures import averages, export_outputs, export_times, summarize, warnings_of
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.backends.tensorrt.timing import TimedQuery, TimingOptions, time_engine
from edge_harmony.errors import InputError, UsageError
from tests.fakes.tensorrt import fake_tensorrt

NOISE = np.random.default_rng(3).random((1, 4, 4, 4), dtype=np.float32)


def engine_of(version, world, folder):
    path = folder / "x.plan"
    path.write_bytes(json.dumps({"fake": True, "stripped": False}).encode())
    return Engine(fake_tensorrt(version, world), world.cuda, path, BuildOptions())


@pytest.mark.parametrize("version", ["10.3", "11.4"])
def test_timing_follows_the_version_and_frees_what_it_takes(version, world, tmp_path):
    chosen = TimingOptions.defaults(fake_tensorrt(version, world))
    assert (chosen.graph, chosen.spin, chosen.transfers) == ((version == "11.4"),) * 2 + ((version != "11.4"),)
    options = TimingOptions(0, 0, 20, chosen.graph, chosen.spin, chosen.transfers)
    with closing(engine_of(version, world, tmp_path)) as engine:
        timed = time_engine(engine, options, profiled=3)
        assert "Int8" in engine.information()
    assert len(timed.samples) == 20
    parts = timed.samples[0].parts
    assert (parts["h2dMs"] > 0) == (parts["d2hMs"] > 0) == chosen.transfers
    assert parts["computeMs"] > 0
    assert timed.layers.rows() == [
        {"count": 3},
        {"name": "conv", "timeMs": 0.75, "averageMs": 0.25, "medianMs": 0.25, "percentage": 100.0},
    ]
    assert set(world.cuda.blocking[:-1]) == {not chosen.spin}
    assert world.cuda.held == {}


@pytest.mark.parametrize(("overlap", "under_way"), [(True, 2), (False, 1)])
def test_two_queries_of_a_context_are_under_way_unless_dma_is_exposed(overlap, under_way, world, tmp_path, monkeypatch):
    """A query is queued before the one before it has ended: what trtexec's throughput is made of."""
    queued, ended, most = [], [], []
    launch, wait = type(world.cuda).copy_to_host, type(world.cuda).wait

    def copied(self, memory, address, size, stream):
        queued.append(stream)
        most.append(len(queued) - len(ended))
        launch(self, memory, address, size, stream)

    def waited(self, event):
        ended.append(event)
        wait(self, event)

    monkeypatch.setattr(type(world.cuda), "copy_to_host", copied)
    monkeypatch.setattr(type(world.cuda), "wait", waited)
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        timed = time_engine(engine, TimingOptions(0, 0, 12, overlap=overlap))
    assert len(timed.samples) == len(ended) == 12
    assert max(most[:12]) == under_way
    assert len(set(queued[:12])) == 1


@pytest.mark.parametrize("threads", [False, True])
def test_contexts_run_at_a_time(threads, world, tmp_path):
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        if threads:  # the stand-in's queues are not for several threads: one thread, and its own path
            timed = time_engine(engine, TimingOptions(0, 0, 6, threads=True))
            assert len(timed.samples) == 6
        else:
            timed = time_engine(engine, TimingOptions(0, 0, 6, streams=3))
            assert len(timed.samples) == 18
            assert "several contexts" in warnings_of(timed.samples, 3)[-1]
    starts = [query.startH2dMs for query in timed.samples]
    assert starts == sorted(starts)
    assert world.cuda.held == {}


def test_queries_of_the_warm_up_do_not_count(world, tmp_path):
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        timed = time_engine(engine, TimingOptions(warm_up=200, duration=0.1, iterations=1))
    assert min(query.startComputeMs for query in timed.samples) >= 200
    assert max(query.startComputeMs for query in timed.samples) >= 300


def test_a_graph_that_cannot_be_captured_is_named_and_done_without(world, tmp_path):
    world.cuda.failing = {"begin_capture": 0}
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        timed = time_engine(engine, TimingOptions(0, 0, 5, graph=True))
    assert (timed.options.graph, len(timed.samples), world.cuda.launched) == (False, 5, 0)
    assert "timed without a CUDA graph" in timed.notes[0]
    assert world.cuda.held == {}


@pytest.mark.parametrize("call", ["create_event", "create_stream", "record", "stream_wait", "launch"])
def test_a_failing_timing_frees_what_it_took(call, world, tmp_path):
    world.cuda.failing = {call: 2 if call.startswith(("create", "record")) else 0}
    with closing(engine_of("10.3", world, tmp_path)) as engine, pytest.raises(CudaError):
        time_engine(engine, TimingOptions(0, 0, 5, graph=True))
    assert world.cuda.held == {}


def test_values_come_from_files_and_outputs_are_kept(world, tmp_path):
    NOISE[:, :3].tofile(tmp_path / "composite.bin")
    NOISE[:, 3:].tofile(tmp_path / "mask.bin")
    files = {name: tmp_path / f"{name}.bin" for name in ("composite", "mask")}
    options = TimingOptions(0, 0, 3, transfers=False)
    with closing(engine_of("10.3", world, tmp_path)) as engine:
        outputs = time_engine(engine, options, inputs=files).outputs
        np.testing.assert_array_equal(outputs["transform"], NOISE[:, :3] + NOISE[:, 3:])
        export_outputs(outputs, tmp_path / "outputs.json")
        with pytest.raises(InputError, match=r"has 64 bytes, and composite \(1x3x4x4, float32\) has 192"):
            time_engine(engine, options, inputs={"composite": files["mask"]})
        with pytest.raises(UsageError, match="names picture, which is no input"):
            time_engine(engine, options, inputs={"picture": files["mask"]})
        with pytest.raises(UsageError, match="there is no file"):
            time_engine(engine, options, inputs={"mask": tmp_path / "none"})
    rows = json.loads((tmp_path / "outputs.json").read_text())
    assert (rows[0]["name"], rows[0]["dimensions"]) == ("transform", "1x3x4x4")
    np.testing.assert_allclose(rows[0]["values"], (NOISE[:, :3] + NOISE[:, 3:]).ravel())
    assert world.cuda.held == {}


def queries(computes):
    """Back to back, 1 ms to copy in and 2 ms to copy out."""
    found, at = [], 0.0
    for compute in computes:
        found.append(TimedQuery(at, at + 0.5, at, at + 1, at + 1, at + 1 + compute, at + 1 + compute, at + 3 + compute))
        at += compute + 3
    return found


def test_figures_are_trtexecs():
    samples = queries(range(10, 20))
    summary = summarize(samples, batch=4, percentiles=(0, 50, 90, 99, 100))
    wall = sum(range(10, 20)) + 30
    assert summary["throughput_qps"] == pytest.approx(10 / (wall / 1e3))
    assert summary["images_per_second"] == pytest.approx(4 * summary["throughput_qps"])
    # sampleReporting.cpp: sorted[max(n - 1 - int((1 - p / 100) * n), 0)], in single precision
    expected = {"min": 10, "max": 19, "mean": 14.5, "median": 14.5, "p0": 10, "p50": 14, "p90": 18, "p99": 19}
    assert summary["computeMs"] == {**expected, "p100": 19}
    assert summary["latencyMs"]["min"] == 13
    assert averages(samples, 4) == [
        {"latencyMs": mean + 3, "enqMs": pytest.approx(0.5), "h2dMs": 1, "computeMs": mean, "d2hMs": 2}
        for mean in (11.5, 15.5)
    ]


def test_times_are_written_under_trtexecs_keys(tmp_path):
    export_times(queries([5]), tmp_path / "times.json")
    rows = json.loads((tmp_path / "times.json").read_text())
    assert list(rows[0]) == [
        "startEnqMs", "endEnqMs", "startH2dMs", "endH2dMs", "startComputeMs", "endComputeMs", "startD2hMs", "endD2hMs",
        "h2dMs", "computeMs", "d2hMs", "latencyMs",
    ]  # fmt: skip
    assert [rows[0][key] for key in ("h2dMs", "computeMs", "d2hMs", "latencyMs")] == [1, 5, 2, 8]


def test_warnings_are_trtexecs():
    assert warnings_of(queries([10] * 5)) == []
    slow = [TimedQuery(0, 100, *list(vars(query).values())[2:]) for query in queries([10] * 5)]
    assert "bound by enqueuing" in warnings_of(slow)[0]
    assert "unstable" in warnings_of(queries(range(20, 40)))[0]
    assert [word for word in ("inputs", "outputs") if word in str(warnings_of(queries([1.5] * 5)))] == ["outputs"]
