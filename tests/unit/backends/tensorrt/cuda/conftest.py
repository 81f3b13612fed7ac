"""A driver written in C for cuda-bindings as they are, and PyCUDA's stand-in."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

import tests.fakes
from edge_harmony.backends.tensorrt.cuda import find
from tests.fakes.pycuda_driver import FakeLibrary, FakePycuda

SOURCE = Path(tests.fakes.__file__).with_name("libcuda.c")


@pytest.fixture(scope="session")
def driver_folder(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler for the stand-in driver")
    folder = tmp_path_factory.mktemp("driver")
    target = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", target, SOURCE, "-lpthread"], check=True)
    return folder


@pytest.fixture
def on_driver(driver_folder, tmp_path):
    """Run Python on the stand-in driver; gives what it leaves in ``found``, and what CUDA was not given back."""

    def run(code, **settings):
        report = tmp_path / "left"
        program = (
            "import json, sys, threading\n"
            "import numpy as np\n"
            "from edge_harmony.backends.tensorrt.cuda.find import find_cuda\n"
            "from edge_harmony.errors import EdgeHarmonyError\n"
            "def said(call, *arguments):\n"
            "    try:\n        call(*arguments)\n"
            "    except EdgeHarmonyError as error:\n        return str(error)\n"
            f"{textwrap.dedent(code)}\nprint(json.dumps(found))"
        )
        environment = os.environ | {
            "LD_LIBRARY_PATH": str(driver_folder),
            "FAKE_CUDA_REPORT": str(report),
            **{f"FAKE_CUDA_{name.upper()}": str(value) for name, value in settings.items()},
        }
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), report.read_text()

    return run


@pytest.fixture
def pycuda(monkeypatch):
    """PyCUDA alone is installed; at the end of the test its process ends."""
    fake = FakePycuda(devices=2)
    package, module = ModuleType("pycuda"), ModuleType("pycuda.driver")
    for name in [n for n in dir(fake) if not n.startswith("_")]:
        setattr(module, name, getattr(fake, name))
    package.driver = module
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", module)
    monkeypatch.delitem(sys.modules, "edge_harmony.backends.tensorrt.cuda.pycuda", raising=False)
    monkeypatch.setattr(find, "is_installed", lambda name: name.startswith("pycuda"))
    ours = importlib.import_module("edge_harmony.backends.tensorrt.cuda.pycuda")
    monkeypatch.setattr(ours, "DriverLibrary", lambda: FakeLibrary(fake))
    yield fake
    gc.collect()
    fake.check()
