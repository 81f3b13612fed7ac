"""A crowd at the demo page: many requests at once, of which some are hostile; each is answered."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from tests.demo_visitor import PATIENCE, Visitor, file_data
from tests.faults.mutators import mutate
from tests.faults.seeds import ROOT, as_bytes, foreground, pixels


@dataclass
class Crowd:
    """What a crowd met.

    Attributes:
        answers: number of requests that were answered as they should be.
        wrong: what others got instead.
        memory: the most resident bytes that the page's process had, besides those after its first picture.
        printed: its stderr.
    """

    answers: int = 0
    wrong: list[str] = field(default_factory=list)
    memory: int = 0
    printed: str = ""


class Page(Visitor):
    """A demo page in a process of its own.

    Args:
        home: folder for its files.
        port: port to listen on.
    """

    def __init__(self, home: Path, port: int) -> None:
        super().__init__(f"http://127.0.0.1:{port}")
        self._home = home
        home.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "GRADIO_TEMP_DIR": str(home / "uploads"),
            "TMPDIR": str(home),
            "OMP_NUM_THREADS": "1",
        }
        self.printed = home / "stderr"
        with self.printed.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge_harmony", "demo", "--port", str(port), "--json"],
                cwd=ROOT,
                env=environment | {"PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self.process.stdout is not None
        while b"}" not in self.process.stdout.readline():
            if self.process.poll() is not None:
                raise RuntimeError(self.printed.read_text())

    def picture(self, composite: bytes, mask: bytes | None, suffix: str = ".png") -> list[Any]:
        """What the page's controls hold, with uploaded files."""
        background = file_data(self.upload(composite, f"picture{suffix}"))
        given = None if mask is None else file_data(self.upload(mask, "mask.png"))
        editor = {"background": background, "layers": [], "composite": background}
        return [editor, given, "edge-s", "onnxruntime", "int8", 1.0, 0, False]

    def memory(self, kind: str = "VmHWM") -> int:
        """Resident bytes of the process, at most so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()


def good(page: Page, rng: np.random.Generator) -> str:
    """A picture and its mask; a result is the answer."""
    size = tuple(int(side) for side in rng.integers(40, 700, 2))
    picture = Image.fromarray(pixels()).resize(size)
    mask = Image.fromarray(foreground()).resize(size)
    said = page.harmonize(page.picture(as_bytes(picture, "PNG"), as_bytes(mask, "PNG")))
    return "" if "event: complete" in said else f"a sound picture: {said[-300:]}"


def refused(said: str) -> str:
    """An error with a sentence is the answer, or a result."""
    if "event: complete" in said:
        return ""
    if "event: error" not in said:
        return f"no answer: {said[-300:]}"
    return "Traceback in an answer" if "Traceback" in said else ""


def mutated(page: Page, rng: np.random.Generator) -> str:
    """A damaged picture or mask."""
    picture, mask = as_bytes(Image.fromarray(pixels()), "PNG"), as_bytes(Image.fromarray(foreground()), "PNG")
    if rng.random() < 0.5:
        return refused(page.harmonize(page.picture(mutate(picture, rng, ()), mask)))
    return refused(page.harmonize(page.picture(picture, mutate(mask, rng, ()))))


def huge(page: Page, rng: np.random.Generator) -> str:
    """A small file of 64 megapixels."""
    target = io.BytesIO()
    Image.new("RGB", (8000, 8000), (90, 120, 60)).save(target, "PNG")
    mask = as_bytes(Image.new("L", (8000, 8000), 255), "PNG")
    return refused(page.harmonize(page.picture(target.getvalue(), mask)))


def odd_call(page: Page, rng: np.random.Generator) -> str:
    """Choices that are not there, and values of other types."""
    picture, mask = as_bytes(Image.fromarray(pixels()), "PNG"), as_bytes(Image.fromarray(foreground()), "PNG")
    data = page.picture(picture, mask)
    k = int(rng.integers(0, 7))  # all but the check box, in which anything is a yes or a no
    values: tuple[Any, ...] = (
        None,
        7,
        "x",
        [],
        {},
        -1e9,
        {"path": "/etc/passwd"},
        {"background": None, "layers": None},
    )
    data[k] = values[int(rng.integers(0, len(values)))]
    return refused_or_http(page, data)


def foreign_file(page: Page, rng: np.random.Generator) -> str:
    """A path that is not an upload."""
    paths = ("/etc/passwd", "../../../etc/passwd", "/dev/zero", "http://127.0.0.1:1/a.png", "")
    editor = {"background": file_data(paths[int(rng.integers(0, len(paths)))]), "layers": [], "composite": None}
    said = refused_or_http(page, [editor, None, "edge-s", "onnxruntime", "int8", 1.0])
    return said


def refused_or_http(page: Page, data: list[Any]) -> str:
    """An answer, or a status of HTTP that refuses the call."""
    try:
        return refused(page.harmonize(data))
    except urllib.error.HTTPError as error:
        return "" if error.code in (400, 403, 404, 413, 422, 500) else f"status {error.code}"


def broken_body(page: Page, rng: np.random.Generator) -> str:
    """A body that is no JSON, or too deep."""
    bodies = (b"", b"{", b"[" * 100_000, b'{"data": 1}', b'{"data": []}', rng.bytes(300))
    try:
        page.ask("/gradio_api/call/harmonize", bodies[int(rng.integers(0, len(bodies)))])
    except urllib.error.HTTPError as error:
        return "" if error.code < 600 else f"status {error.code}"
    return ""


HOSTILE: tuple[Callable[[Page, np.random.Generator], str], ...] = (mutated, huge, odd_call, foreign_file, broken_body)


def meet(home: Path, port: int, requests: int, *, at_a_time: int = 8, seed: int = 1) -> Crowd:
    """Send requests to a page, every tenth of them hostile."""
    page, crowd, lock = Page(home, port), Crowd(), threading.Lock()

    def send(number: int) -> None:
        rng = np.random.default_rng((seed, number))
        act = HOSTILE[(number // 10) % len(HOSTILE)] if number % 10 == 9 else good
        try:
            wrong = act(page, rng)
        except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
            wrong = f"{act.__name__}: {type(error).__name__}: {error}"
        with lock:
            crowd.answers += not wrong
            crowd.wrong += [f"{number}: {wrong}"] if wrong else []

    try:
        wrong = good(page, np.random.default_rng(0))
        assert not wrong, wrong
        before = page.memory("VmRSS")
        with ThreadPoolExecutor(at_a_time) as pool:
            list(pool.map(send, range(requests)))
        crowd.memory = page.memory() - before
        assert psutil.pid_exists(page.process.pid)
    finally:
        page.close()
    crowd.printed = page.printed.read_text(errors="replace")
    return crowd


def kill_in_flight(home: Path, port: int, requests: int = 6) -> str:
    """Kill a page while it answers, start another at the same port, and return what is wrong with its answer."""
    page = Page(home, port)

    def send(number: int) -> None:
        with contextlib.suppress(urllib.error.URLError, OSError, ValueError, KeyError):
            good(page, np.random.default_rng(number))

    try:
        wrong = good(page, np.random.default_rng(0))
        senders = [threading.Thread(target=send, args=(k,)) for k in range(requests)]
        for sender in senders:
            sender.start()
        page.process.kill()
        for sender in senders:
            sender.join()
    finally:
        page.close()
    after = Page(home, port)
    try:
        return wrong or good(after, np.random.default_rng(1))
    finally:
        after.close()
