"""The HTTP service under load: answers a second, waits, refusals, and its memory from beginning to end.

    python benchmarks/serve.py --minutes 10 -o benchmarks/results/0.1.0/serve.json

The service runs in a process of its own, as a user starts it. More clients than it has places send composites of three
sizes and kinds, each its next one as soon as the last is answered or, after a 503, when ``Retry-After`` has passed; one
in ten requests is hostile: damaged, too large, no form, or hung up in the middle.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
from provenance import provenance

from edge_harmony.files.atomic import write_json
from edge_harmony.samples import sample_files

SIZES = {"640 x 480 JPEG": ((640, 480), ".jpg"), "1920 x 1080 JPEG": ((1920, 1080), ".jpg")}
SIZES |= {"1280 x 720 PNG": ((1280, 720), ".png")}
HOSTILE = 0.1
LOOK_SECONDS = 1.0
WORST = {"damaged": 422, "many pixels": 413, "large": 413, "no form": 415}
"""Statuses of the answers to hostile requests; those that hang up get none."""


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    """A picture file."""
    data: bytes = cv2.imencode(suffix, pixels)[1].tobytes()
    return data


def requests() -> dict[str, dict[str, Any]]:
    """Arguments of a post for each kind of request."""
    composite, mask = (cv2.imread(str(path)) for path in next(iter(sample_files())))
    kinds: dict[str, dict[str, Any]] = {}
    for name, (size, suffix) in SIZES.items():
        files = {"composite": encoded(cv2.resize(composite, size), suffix)}
        kinds[name] = {"files": files | {"mask": encoded(cv2.resize(mask, size), ".png")}}
    good = kinds["640 x 480 JPEG"]["files"]
    kinds["damaged"] = {"files": good | {"composite": good["composite"][:2000]}}
    kinds["many pixels"] = {"files": good | {"composite": encoded(np.zeros((8000, 8000), np.uint8), ".png")}}
    kinds["large"] = {"files": good | {"composite": bytes(65 << 20)}}
    kinds["no form"] = {"json": {"composite": 1}}
    return kinds


def hang_up(port: int) -> None:
    """Promise a body, send a part of it, and go away."""
    head = b"POST /harmonize HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as gone:
        gone.sendall(head + b"content-length: 10000000\r\n\r\n--b\r\n" + bytes(100_000))


class Crowd:
    """Clients in threads, and what they were answered."""

    def __init__(self, url: str, port: int, until: float) -> None:
        self.url, self.port, self.until = url, port, until
        self.answers: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, list[float]] = {name: [] for name in SIZES}
        self.wrong: list[str] = []
        self._kinds, self._lock = requests(), threading.Lock()

    def run(self, number: int) -> None:
        """One client, until the time is over."""
        dice = random.Random(number)
        with httpx.Client(timeout=120) as client:
            while time.monotonic() < self.until:
                if dice.random() >= HOSTILE:
                    self._post(client, dice.choice(list(SIZES)))
                elif dice.random() < 0.2:
                    hang_up(self.port)
                    with self._lock:
                        self.answers["hung up", 0] += 1
                else:
                    self._post(client, dice.choice(list(WORST)))

    def _post(self, client: httpx.Client, kind: str) -> None:
        start = time.perf_counter()
        answer = client.post(f"{self.url}/harmonize", **self._kinds[kind])
        seconds = time.perf_counter() - start
        with self._lock:
            self.answers[kind, answer.status_code] += 1
            if answer.status_code == 200:
                self.seconds[kind].append(seconds)
            elif answer.status_code not in (503, WORST.get(kind)):
                self.wrong.append(f"{kind}: {answer.status_code} {answer.text[:200]}")
        if answer.status_code == 503:
            time.sleep(int(answer.headers["retry-after"]))


def figure(text: str, name: str) -> float:
    """A figure of ``/metrics``."""
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).rsplit(" ", 1)[1])


def measure(minutes: float, clients: int, waiting: int) -> dict[str, Any]:
    """Run the service and the crowd."""
    command = [sys.executable, "-m", "edge_harmony", "serve", "--port", "0", "--waiting", str(waiting), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["url"]
            crowd = Crowd(url, int(url.rsplit(":", 1)[1]), time.monotonic() + 60 * minutes)
            threads = [threading.Thread(target=crowd.run, args=(number,)) for number in range(clients)]
            for thread in threads:
                thread.start()
            memory = []
            with httpx.Client(timeout=60) as watching:
                while time.monotonic() < crowd.until or any(thread.is_alive() for thread in threads):
                    text = watching.get(f"{url}/metrics").text
                    memory.append(figure(text, "process_resident_memory_bytes") / 2**20)
                    time.sleep(LOOK_SECONDS)
                last = watching.get(f"{url}/metrics").text
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(120)
    answered = sum(map(len, crowd.seconds.values()))
    third = max(1, len(memory) // 3)
    return {
        "minutes": minutes,
        "clients": clients,
        "waiting": waiting,
        "answers": {f"{kind}: {status}": count for (kind, status), count in sorted(crowd.answers.items())},
        "wrong": crowd.wrong,
        "results_a_second": round(answered / (60 * minutes), 2),
        "seconds": {
            name: {f"p{p}": round(float(np.percentile(s, p)), 3) for p in (50, 90, 99)}
            for name, s in crowd.seconds.items()
            if s
        },
        "memory_mib": {
            "looks": len(memory),
            "first_third_most": round(max(memory[:third])),
            "last_third_most": round(max(memory[-third:])),
            "most": round(max(memory)),
        },
        "left_admitted": figure(last, "edge_harmony_requests_admitted"),
        "exit_status": status,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--waiting", type=int, default=6)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    found = measure(arguments.minutes, arguments.clients, arguments.waiting)
    result = {**provenance("fastapi", "uvicorn", "onnxruntime", "opencv-python"), **found}
    write_json(arguments.output, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
