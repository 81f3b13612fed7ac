"""Counts and times of a server as text for Prometheus.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from edge_harmony.machine.counters import resident_memory

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class _Histogram:
    """Seconds in buckets, each of which counts all times up to its bound."""

    def __init__(self) -> None:
        self._counts = [0] * len(_BOUNDS)
        self._total, self._sum = 0, 0.0

    def add(self, seconds: float) -> None:
        self._counts = [count + (seconds <= bound) for count, bound in zip(self._counts, _BOUNDS, strict=True)]
        self._total += 1
        self._sum += seconds

    def lines(self, name: str) -> Iterator[str]:
        for bound, count in zip(_BOUNDS, self._counts, strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {count}'
        yield f'{name}_bucket{{le="+Inf"}} {self._total}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {self._total}"


class Metrics:
    """What a server has done since it started; all of it is counted in the thread of its event loop.

    Args:
        facts: labels of ``edge_harmony_info``, such as the version and the network.
    """

    def __init__(self, facts: Mapping[str, str]) -> None:
        self._facts = dict(facts)
        self._answers: Counter[int] = Counter()
        self._request, self._work = _Histogram(), _Histogram()
        self._pixels = self._received = self._sent = 0

    def answered(self, status: int, seconds: float, received: int, sent: int) -> None:
        """Count a request to ``/harmonize``.

        Args:
            status: of the answer; 499 where the client went away first.
            seconds: from its first line to the end of the answer.
            received: bytes of its body that were read.
            sent: bytes of the answer's body.
        """
        self._answers[status] += 1
        self._request.add(seconds)
        self._received += received
        self._sent += sent

    def harmonized(self, seconds: float, pixels: int) -> None:
        """Count a result, the seconds of its work in a thread, and its pixels."""
        self._work.add(seconds)
        self._pixels += pixels

    def text(self, running: int, admitted: int) -> str:
        """All figures.

        Args:
            running: jobs that are being worked on.
            admitted: requests that have a place, those among them that are being worked on too.
        """
        return "\n".join(self._lines(running, admitted)) + "\n"

    def _lines(self, running: int, admitted: int) -> Iterator[str]:
        facts = ",".join(f'{name}="{_escaped(value)}"' for name, value in self._facts.items())
        yield from _head("info", "gauge", "Version and network.")
        yield f"edge_harmony_info{{{facts}}} 1"
        yield from _head("requests_total", "counter", "Requests to /harmonize by status; 499: the client went away.")
        yield from (f'edge_harmony_requests_total{{status="{s}"}} {n}' for s, n in sorted(self._answers.items()))
        yield from _head("request_seconds", "histogram", "Requests, from the first line to the end of the answer.")
        yield from self._request.lines("edge_harmony_request_seconds")
        yield from _head("work_seconds", "histogram", "Decoding, prediction, apply and encoding of a result.")
        yield from self._work.lines("edge_harmony_work_seconds")
        singles = (
            ("pixels_total", "counter", "Pixels of results.", self._pixels),
            ("received_bytes_total", "counter", "Bytes of bodies that were read.", self._received),
            ("sent_bytes_total", "counter", "Bytes of bodies that were sent.", self._sent),
            ("jobs_running", "gauge", "Requests that are being worked on.", running),
            ("requests_admitted", "gauge", "Requests that have a place: arriving, waiting or running.", admitted),
        )
        for name, kind, text, value in singles:
            yield from _head(name, kind, text)
            yield f"edge_harmony_{name} {value}"
        memory = resident_memory().value
        if memory is not None:
            yield "# HELP process_resident_memory_bytes Resident memory of the process."
            yield "# TYPE process_resident_memory_bytes gauge"
            yield f"process_resident_memory_bytes {memory:.0f}"


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP edge_harmony_{name} {text}", f"# TYPE edge_harmony_{name} {kind}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
