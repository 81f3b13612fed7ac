"""Plans: built once for equal wishes, refused where they do not run, damaged ones."""

from __future__ import annotations

import multiprocessing

import pytest

from edge_harmony.backends.tensorrt.cuda.api import Device
from edge_harmony.backends.tensorrt.engines import make_engine
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.backends.tensorrt.plan import cached, check_plan, facts_of, write_plan
from edge_harmony.errors import ArtifactError, UsageError
from edge_harmony.files.manifest import manifest_path
from tests.fakes.tensorrt import fake_tensorrt


def test_the_cache_builds_once_and_notices_changes(world, onnx_file, small_networks, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path))
    tensorrt, device = fake_tensorrt("10.3", world), world.cuda.model
    first = make_engine(tensorrt, onnx_file, BuildOptions(), device)
    again = make_engine(tensorrt, onnx_file, BuildOptions(), device)
    assert (first.built is not None, again.built, world.builds) == (True, None, 1)
    assert check_plan(again.path, tensorrt, device) == again.facts
    first.path.write_bytes(b"half a pl")
    assert make_engine(tensorrt, onnx_file, BuildOptions(), device).built is not None
    others = [
        (tensorrt, onnx_file, BuildOptions(refit=True), device),
        (fake_tensorrt("10.13", world), onnx_file, BuildOptions(), device),
        (tensorrt, small_networks["fp32"], BuildOptions(), device),
        (tensorrt, onnx_file, BuildOptions(), Device(0, "Thor", (11, 0), 1, 1, "13.0")),
    ]
    paths = {make_engine(*arguments).path for arguments in others}
    assert len(paths) == 4
    assert first.path not in paths


def _want(facts, path, folder, gate, queue):
    gate.wait()
    queue.put(str(cached(facts, path, lambda: (folder / "built").open("a").write("x") and b"plan")))


def test_two_processes_build_an_engine_once(world, onnx_file, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path / "home"))
    facts = facts_of(fake_tensorrt("10.3", world), onnx_file, BuildOptions(), world.cuda.model)
    context = multiprocessing.get_context("fork")
    gate, queue = context.Event(), context.Queue()
    workers = [context.Process(target=_want, args=(facts, onnx_file, tmp_path, gate, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    gate.set()
    found = {queue.get(timeout=600) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(found) == 1
    assert (tmp_path / "built").read_text() == "x"


@pytest.mark.parametrize(
    ("version", "device", "said"),
    [
        ("10.13", Device(0, "Orin", (8, 7), 1, 1, "12.6"), "built by 10.3.0, this is 10.13.0"),
        ("10.3", Device(0, "Thor", (11, 0), 1, 1, "13.0"), "built for sm87, this is sm110 (Thor)"),
        ("10.3", Device(0, "Orin Nano", (8, 7), 1, 1, "12.6"), "built on Orin, this is Orin Nano"),
        ("rtx-1.7", Device(0, "Orin", (8, 7), 1, 1, "12.6"), "built by tensorrt, this is tensorrt-rtx"),
    ],
)
def test_engines_of_another_machine_are_refused_with_the_way_out(version, device, said, world, onnx_file, tmp_path):
    path = tmp_path / "a.plan"
    write_plan(
        path, b"plan", facts_of(fake_tensorrt("10.3", world), onnx_file, BuildOptions(), world.cuda.model), onnx_file
    )
    with pytest.raises(ArtifactError) as error:
        check_plan(path, fake_tensorrt(version, world), device)
    assert said in str(error.value)
    assert f"edge-harmony build MODEL.onnx --saveEngine={path}" in str(error.value)


def test_compatible_engines_pass_elsewhere(world, onnx_file, tmp_path):
    options = BuildOptions(version_compatible=True, hardware_compatibility="ampere+")
    facts = facts_of(fake_tensorrt("10.3", world), onnx_file, options, world.cuda.model)
    write_plan(tmp_path / "a.plan", b"plan", facts, onnx_file)
    newer, other = fake_tensorrt("10.16", world), Device(0, "RTX 4090", (8, 9), 1, 1, "12.6")
    assert check_plan(tmp_path / "a.plan", newer, other) == facts
    with pytest.raises(ArtifactError, match="this is sm75"):
        check_plan(tmp_path / "a.plan", newer, Device(0, "T4", (7, 5), 1, 1, "12.6"))


def test_damaged_engines_are_one_clear_error(world, onnx_file, tmp_path):
    path, tensorrt = tmp_path / "a.plan", fake_tensorrt("10.3", world)
    with pytest.raises(UsageError, match="there is no engine"):
        check_plan(path, tensorrt, world.cuda.model)
    write_plan(path, b"plan", facts_of(tensorrt, onnx_file, BuildOptions(), world.cuda.model), onnx_file)
    path.write_bytes(b"pla")
    with pytest.raises(ArtifactError, match="not the file its manifest describes"):
        check_plan(path, tensorrt, world.cuda.model)
    path.write_bytes(b"plan")
    manifest_path(path).write_text("{")
    with pytest.raises(ArtifactError, match="is damaged"):
        check_plan(path, tensorrt, world.cuda.model)
    manifest_path(path).unlink()
    with pytest.raises(ArtifactError, match="has no manifest"):
        check_plan(path, tensorrt, world.cuda.model)
