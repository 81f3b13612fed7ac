"""The page's server: its address, the command that starts it, calls of the command that are wrong."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from edge_harmony.cli.main import main
from edge_harmony.demo.server import serve
from edge_harmony.errors import UsageError
from edge_harmony.extras import install_command

pytestmark = pytest.mark.lengthy

gradio = pytest.importorskip("gradio")

PORT = 7895 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@pytest.fixture(scope="module")
def address():
    page = serve("127.0.0.1", PORT)
    yield page.local_url
    page.close()


def test_wrong_calls(capsys, monkeypatch):
    assert main(["demo", "--port", "0"]) == 2
    assert main(["demo", "--host", "203.0.113.7", "--port", str(PORT + 1)]) == 2
    assert "cannot listen" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo"]) == 3
    assert install_command("demo") in capsys.readouterr().err


def test_the_command_says_where_and_ends_with_ctrl_c():
    call = [sys.executable, "-m", "edge_harmony", "demo", "--port", str(PORT + 2), "--json"]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        assert json.loads("".join(lines)) == {"url": f"http://127.0.0.1:{PORT + 2}/"}
        with urlopen(f"http://127.0.0.1:{PORT + 2}/") as answer:
            assert b"edge-harmony" in answer.read()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "until Ctrl-C" in err


def test_it_is_reached_from_this_machine_only_and_a_taken_port_is_an_error(address):
    assert address == f"http://127.0.0.1:{PORT}/"
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    assert [where for where in listening if where.endswith(f":{PORT:04X}")] == [f"0100007F:{PORT:04X}"]
    with pytest.raises(UsageError, match="--port"):
        serve("127.0.0.1", PORT)
