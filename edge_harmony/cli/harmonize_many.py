"""Folders, videos and cameras of ``edge-harmony harmonize``: imported for these alone, so that one picture starts."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_harmony.backends.base import LoadRequest
from edge_harmony.backends.discovery import load_request
from edge_harmony.cli.console import err, notes, rate_bar, stopping, tell
from edge_harmony.cli.flags import with_flags
from edge_harmony.cli.plain_progress import duration
from edge_harmony.cli.streams import one_line
from edge_harmony.errors import name_some
from edge_harmony.folder.items import Outcome
from edge_harmony.folder.run import FAILED, FolderReport, run_folder, works_of
from edge_harmony.video.job import VideoJob, VideoOptions, harmonize_video, network_threads


def one_folder(
    request: LoadRequest,
    composites: str,
    masks: str,
    output: str,
    *,
    over_time: dict[str, Any],
    how: dict[str, Any],
    **options: Any,
) -> tuple[dict[str, Any], int]:
    """Harmonize a folder; returns what ``--json`` prints of it, and the exit status of a run that was stopped.

    Args:
        request: the network; resolved.
        composites: folder or address.
        masks: folder or address.
        output: folder or address.
        over_time: fields of :class:`~edge_harmony.video.job.VideoOptions`, for videos in the folder.
        how: of :func:`~edge_harmony.folder.run.works_of`.
        options: of :func:`~edge_harmony.folder.run.run_folder`.
    """
    began = time.perf_counter()
    with stopping() as stop, rate_bar("harmonizing", "files") as (started, advance):

        def show(outcome: Outcome) -> None:
            if outcome.error:
                line = one_line(f"error: {Path(outcome.item.composite).name}: {with_flags(outcome.error or '')}")
                err.print(line, markup=False, highlight=False, soft_wrap=True)
            advance()

        works = works_of(request, VideoOptions(**over_time), **how)
        report = run_folder(works, composites, masks, output, stop=stop, started=started, advance=show, **options)
    if report.stopped:
        notes.print(f"stopped: {report.done + report.skipped} are done; --resume goes on", highlight=False)
    for line in summary(report, output, time.perf_counter() - began):
        tell(line)
    failed = [{"file": outcome.item.composite, "error": with_flags(outcome.error or "")} for outcome in report.failed]
    passed = [{"file": lost.name, "reason": lost.reason} for lost in report.passed_over]
    numbers = {"done": report.done, "skipped": report.skipped, "passed_over": passed}
    return numbers | {"failed": failed, "stopped": report.stopped}, stop.exit_status


def summary(report: FolderReport, output: str, seconds: float) -> list[str]:
    """The last lines of a folder run: what was written, what was done before, what failed, what was passed over."""
    parts = [f"wrote {report.done} {'result' if report.done == 1 else 'results'} to {output} in {duration(seconds)}"]
    parts += [f"{report.skipped} were done before"] if report.skipped else []
    parts += [f"{len(report.failed)} failed, see {FAILED} there"] if report.failed else []
    lines = ["; ".join(parts)]
    for reason in dict.fromkeys(lost.reason for lost in report.passed_over):
        names = [lost.name for lost in report.passed_over if lost.reason == reason]
        lines.append(f"passed over {len(names)}: {name_some(names)} ({reason})")
    return lines


def one_video(
    request: LoadRequest, composite: str, masks: str, output: Path, *, over_time: dict[str, Any], **options: Any
) -> tuple[dict[str, Any], int]:
    """Harmonize a video or a camera; returns what ``--json`` prints of it, and the exit status if it was stopped.

    Args:
        request: the network; resolved.
        composite: its name.
        masks: name of the video, camera, folder or picture of masks.
        output: file to write.
        over_time: fields of :class:`~edge_harmony.video.job.VideoOptions`.
        options: further fields of :class:`~edge_harmony.video.job.VideoJob`.
    """
    job = VideoJob(composite, masks, output, options=VideoOptions(**over_time), **options)
    request = replace(request, threads=network_threads(request.threads))
    with load_request(request) as runner, stopping() as stop, rate_bar("harmonizing", "fps") as (started, advance):
        report = harmonize_video(runner, job, stop=stop, started=started, advance=advance)
    told = f"{report.frames} frames, {report.fps:.1f} fps" + (f", {report.dropped} dropped" if report.dropped else "")
    notes.print(f"{'stopped' if report.stopped else 'done'}: {told}", highlight=False)
    numbers = {"frames": report.frames, "fps": round(report.fps, 2), "dropped": report.dropped}
    return numbers | {"stopped": report.stopped}, stop.exit_status
