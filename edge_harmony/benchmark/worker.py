"""The process of a contender: ``python -m edge_harmony.benchmark.worker`` answers requests in lines of JSON.

Requests are ``{"do": "open", "job": {...}}``, ``{"do": "take", "count": n}``, ``{"do": "cost"}`` and
``{"do": "score", ...}``; the end of the input ends the process. Every answer is one line: the result, or
``{"error": text, "exit_code": n}``. Output of libraries goes to the error stream.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from edge_harmony.backends.base import REFERENCE_BACKEND, Runner
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.benchmark.job import ContenderJob
from edge_harmony.benchmark.peers import PEERS
from edge_harmony.benchmark.result import Case, MeanHarm, MeanScores, Parity, Truth
from edge_harmony.benchmark.subjects import Crowd, FilePictures, MemoryPictures, Subject, of_runner, timing_pictures
from edge_harmony.data.iharmony4 import Triplet, read_split
from edge_harmony.errors import EdgeHarmonyError, ExitCode, UsageError, first_line
from edge_harmony.machine.counters import peak_memory
from edge_harmony.machine.meter import Meter
from edge_harmony.pictures.encode import write_picture
from edge_harmony.pictures.images import Picture
from edge_harmony.pictures.parallel_rows import set_threads
from edge_harmony.quality.evaluation import Harmonize, panels, score_samples, summarize, worst_rows
from edge_harmony.quality.parity import compare
from edge_harmony.quality.preparation import SEALED
from edge_harmony.samples import sample_pictures

_PANEL = 320
"""Longest side of pictures in reports, pixels."""


class ContenderWorker:
    """One contender, from opening to close."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()
        self._runners: list[Runner] = []

    def open(self, job: dict[str, Any]) -> dict[str, Any]:
        """Load the contender and warm it up; returns the hash of its file."""
        self._job = ContenderJob.model_validate(job)
        suite = self._job.suite
        if suite.threads:
            cv2.setNumThreads(suite.threads)
            set_threads(suite.threads)
        self._pairs = timing_pictures(suite.height, suite.width)
        streams = suite.streams if suite.scenario in ("multi-stream", "offline") else 1
        members = [self._member() for _ in range(streams)]
        pictures = {"multi-stream": streams, "offline": suite.pictures}.get(suite.scenario, 1)
        self._subject: Subject = Crowd(members, pictures) if streams > 1 or pictures > 1 else members[0]
        for _ in range(suite.effort.warm_up):
            self._subject.query()
        self._meter = Meter(self._job.device)
        self._held.callback(self._meter.close)
        return {"sha256": self._runners[0].sha256 if self._runners else None}

    def _member(self) -> Subject:
        entry, suite = self._job.entry, self._job.suite
        end_to_end = suite.scenario == "end-to-end"
        if entry.peer:
            self._harmonize: Harmonize = PEERS[entry.peer].load(entry.checkout, entry.checkpoint)
            subject: Any = MemoryPictures(self._harmonize, self._pairs)
        else:
            runner = self._held.enter_context(get_backend(entry.backend).load(self._job.request()))
            self._runners.append(runner)
            subject, self._harmonize = of_runner(runner, self._pairs, entry.kind, parts=end_to_end)
        if end_to_end:
            folder = Path(self._held.enter_context(tempfile.TemporaryDirectory()))
            subject = FilePictures(subject, self._pairs, folder)
        return subject

    def take(self, count: int) -> dict[str, Any]:
        """Answer one uncounted query, to warm the caches, and then ``count`` counted ones."""
        time.sleep(self._job.suite.settle)
        self._subject.query()
        for times in self._subject.stages.values():
            times.clear()
        samples = []
        self._meter.start()
        for _ in range(count):
            began = time.perf_counter_ns()
            self._subject.query()
            samples.append((time.perf_counter_ns() - began) / 1e6)
        self._meter.stop(count)
        stages = {name: times for name, times in self._subject.stages.items() if times}
        return {"ms": samples, "stages": stages, "throttled": self._meter.throttled().value}

    def cost(self) -> dict[str, Any]:
        """Costs of the queries besides time, see :class:`edge_harmony.benchmark.result.Cost`."""
        meter = self._meter
        readings = {
            "peak_memory": peak_memory(),
            "device_memory": meter.device_memory(),
            "energy": meter.energy(),
            "temperature": meter.temperature(),
            "throttled": meter.throttled(),
        }
        return {name: asdict(reading) for name, reading in readings.items()}

    def score(self, data: str | None, limit: int, worst: int, folder: str | None) -> dict[str, Any]:
        """Parity with the reference and scores against real pictures, for the contender that was timed.

        Args:
            data: root of a data set; without one the shipped samples are compared.
            limit: number of pictures, evenly spread over the test split; 0 for all.
            worst: number of worst pictures to name and to show.
            folder: folder for these pictures, as ``<number>-<panel>.webp``.
        """
        triplets = _spread(read_split(data, "test"), limit) if data else []
        name = f"{Path(data).resolve().name}, test" if data else "shipped samples"
        answer: dict[str, Any] = {"parity": None, "truth": None}
        reasons = []
        try:
            answer["parity"] = self._parity(triplets, name, worst)
        except EdgeHarmonyError as error:
            reasons.append(error.message)
        if triplets:
            answer["truth"] = self._truth(triplets, name, worst, Path(folder) if folder else None)
        else:
            reasons.append("no data set was given")
        return answer | {"unscored": "; ".join(reasons)}

    def _parity(self, triplets: list[Triplet], name: str, worst: int) -> dict[str, Any]:
        """See :class:`edge_harmony.benchmark.result.Parity`.

        Raises:
            EdgeHarmonyError: there is nothing to compare with.
        """
        if not self._runners:
            raise UsageError("a peer has no reference")
        if self._job.is_reference:
            raise UsageError("this contender is the reference")
        request = self._job.request()
        with load_runner(
            request.model, backend=REFERENCE_BACKEND, precision="fp32", weights=self._job.weights
        ) as reference:
            if request.manifest is not None and request.manifest.weights_sha256 != reference.sha256:
                raise UsageError("the file's weights were not given")
            samples = ((t.name, *t.load()[:2]) for t in triplets) if triplets else sample_pictures()
            found = compare(self._runners[0], reference, samples)
        if found["psnr"] is None:
            raise UsageError("no picture has a foreground")
        return Parity(
            set=name,
            images=found["images"],
            psnr=found["psnr"],
            least=found["psnr_min"],
            largest_level=found["max_level_difference"],
            largest_output_error=found["max_output_error"],
            worst=[Case(name=case["name"], value=case["psnr"]) for case in found["worst"][:worst]],
        ).model_dump()

    def _truth(self, triplets: list[Triplet], name: str, worst: int, folder: Path | None) -> dict[str, Any]:
        rows = score_samples(self._harmonize, triplets)
        means = summarize(rows)
        sealed = summarize(score_samples(self._harmonize, triplets, preparation=SEALED))
        bad = worst_rows(rows, worst)
        if folder is not None:
            for k, row in enumerate(bad):
                for panel, pixels in panels(self._harmonize, row).items():
                    write_picture(folder / f"{k}-{panel}.webp", Picture(_shrunk(pixels)), quality=80)
        keys = MeanScores.model_fields
        return Truth(
            set=name,
            images=len(rows),
            result=MeanScores(**{key: means[key] for key in keys}),
            composite=MeanScores(**{key: means["composite"][key] for key in keys}),
            harm=MeanHarm(**means["harm"]),
            sealed=MeanHarm(**sealed["harm"]),
            worst=[Case(name=row.sample.name, value=row.ours.fmse) for row in bad],
        ).model_dump()

    def close(self) -> None:
        """Free the networks."""
        self._held.close()


def _spread(triplets: list[Triplet], limit: int) -> list[Triplet]:
    """Choose ``limit`` triplets, evenly spread over the list."""
    if not limit or limit >= len(triplets):
        return triplets
    return [triplets[k * len(triplets) // limit] for k in range(limit)]


def _shrunk(pixels: Any) -> Any:
    scale = min(1.0, _PANEL / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.ascontiguousarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until they end."""
    worker = ContenderWorker()
    verbs: dict[str, Callable[..., dict[str, Any]]] = {
        "open": worker.open,
        "take": worker.take,
        "cost": worker.cost,
        "score": worker.score,
    }
    try:
        for line in requests:
            request = json.loads(line)
            try:
                answer = verbs[request.pop("do")](**request)
            except EdgeHarmonyError as error:
                answer = {"error": str(error), "exit_code": int(error.exit_code)}
            except Exception as error:
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {first_line(error)}", "exit_code": int(ExitCode.FAILURE)}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    finally:
        worker.close()


def main() -> None:
    """Serve on standard output, and redirect all other output to the error stream."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
