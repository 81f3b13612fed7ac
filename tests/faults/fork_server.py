"""A warm process that runs scenarios in forked children, into which the preload library puts its faults.

Requests in, outcomes out, a line of JSON each. The imports and one export to ONNX are done once,
before the first child, and the children begin with them. The server itself must start no threads: a fork copies none.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch

from edge_harmony.export.onnx import export_onnx
from tests.faults.scenarios import SCENARIOS, Scenario, weights

BLOCKED = 900
"""Seconds after which a child counts as hanging, on a machine that is busy with other things too."""


def warm_up() -> None:
    """Do once what every child needs."""
    import edge_harmony.cli.main  # noqa: F401
    from edge_harmony.cli.verbs import VERBS, load_verb
    from edge_harmony.harmonizer import Harmonizer
    from edge_harmony.pictures.parallel_rows import set_threads

    for verb in VERBS:
        load_verb(verb)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    set_threads(1)
    with Harmonizer.from_pretrained("edge-n", threads=1) as harmonizer:
        harmonizer.harmonize(np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32))
    keep_exports()
    export_once()


def export_once() -> None:
    """Export the network of the scenarios."""
    with tempfile.TemporaryDirectory() as folder:
        weights(Path(folder))
        export_onnx("edge-n", Path(folder) / "edge-n.safetensors", Path(folder), precision="int8", flavour="unsigned")


def keep_exports() -> None:
    """Let torch's exporter, which takes seconds, work once for each network."""
    import onnx
    import torch.onnx

    real, kept = torch.onnx.export, {}

    def export(model: Any, inputs: Any, **options: Any) -> Any:
        key = repr(([tuple(value.shape) for value in inputs], sorted(options.items())))
        if key not in kept:
            kept[key] = real(model, inputs, **options).model_proto.SerializeToString()
        return SimpleNamespace(model_proto=onnx.load_from_string(kept[key]))

    torch.onnx.export = export


def arm(library: ctypes.CDLL, request: dict[str, Any]) -> None:
    """Put the request's fault into this process, or into those that it starts."""
    work, token = str(Path(request["folder"]) / "work" / "out"), request.get("token", "")
    if token:
        given = (work, request["nth"], request["action"], request["number"], token)
        os.environ["FAULTS_ARM"] = "|".join(map(str, given))
    else:
        library.faults_arm(work.encode(), request["nth"], request["action"], request["number"], b"")


def life_of_child(scenario: Scenario, request: dict[str, Any], library: ctypes.CDLL) -> int:
    """Run a scenario in this process; returns the exit status."""
    folder = Path(request["folder"])
    os.setsid()
    for descriptor, name in ((0, os.devnull), (1, folder / "stdout"), (2, folder / "stderr")):
        file = os.open(name, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(folder / "work")
    os.environ.update({"EDGE_HARMONY_HOME": str(folder / "work" / "home"), "TMPDIR": str(folder / "tmp")})
    os.environ.update(request.get("environment", {}))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if scenario.stand_in:
        stand_in(scenario.stand_in)
    if user := request.get("user"):
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    from edge_harmony.cli.main import main

    arm(library, request)
    try:
        status = main(request["arguments"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        logging.getLogger("faults").critical("the verb ended with an exception", exc_info=True)
        status = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    (folder / "tmp" / "seen").write_text(str(library.faults_seen()))
    return status


def stand_in(version: str) -> None:
    """Take the stand-ins for a version of TensorRT and for CUDA."""
    import edge_harmony.backends.tensorrt.engines as engines
    from tests.fakes.tensorrt import World, fake_tensorrt

    world = World()
    vars(engines).update(
        find_tensorrt=lambda distribution=None: fake_tensorrt(version, world),
        find_cuda=lambda package=None, device=0: world.cuda,
    )


def wait_for(child: int) -> int:
    """The exit status of a child, negative for a signal; one that hangs is ended with SIGALRM."""
    until = time.monotonic() + BLOCKED
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.kill(child, signal.SIGALRM)
            until += 10
        time.sleep(0.005)


def serve() -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    library = ctypes.CDLL(None)
    library.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
    library.faults_seen.restype = ctypes.c_long
    warm_up()
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    for line in sys.stdin:
        request = json.loads(line)
        if "prepare" in request:
            folder = Path(request["prepare"])
            folder.mkdir(parents=True)
            scenarios[request["scenario"]].prepare(folder)
            print(json.dumps({}), file=answers)
            continue
        (Path(request["folder"]) / "tmp").mkdir(exist_ok=True)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = life_of_child(scenarios[request["scenario"]], request, library)
            finally:
                os._exit(status)
        status = wait_for(child)
        seen = Path(request["folder"]) / "tmp" / "seen"
        count = int(seen.read_text()) if seen.exists() else 0
        seen.unlink(missing_ok=True)
        print(json.dumps({"status": status, "seen": count, "group": child}), file=answers)


if __name__ == "__main__":
    serve()
