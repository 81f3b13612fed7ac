"""A whole folder: find the work, do it once, and record the outcomes."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import edge_harmony
from edge_harmony.backends.base import DEFAULT_PRECISION, LoadRequest
from edge_harmony.errors import CapabilityError, UsageError, parsing
from edge_harmony.extras import install_hint
from edge_harmony.files.identity import check_outputs, local_path
from edge_harmony.files.lock import alone
from edge_harmony.folder.clips import VideoWork
from edge_harmony.folder.items import Item, Outcome, PassedOver, find_items, unknown_files
from edge_harmony.folder.on_ray import run_on_ray
from edge_harmony.folder.processes import run_in_processes
from edge_harmony.folder.storage import join, list_files, make, read, suffix_of, write
from edge_harmony.folder.work import Work
from edge_harmony.models.registry import DEFAULT_MODEL
from edge_harmony.pictures.heif import is_readable
from edge_harmony.pictures.images import SUFFIXES
from edge_harmony.video.job import VideoOptions
from edge_harmony.video.names import READ as VIDEO_SUFFIXES

FolderEngine = Callable[[Work, Sequence[Item], int, threading.Event], Iterator[Outcome]]
ENGINES: dict[str, FolderEngine] = {"local": run_in_processes, "ray": run_on_ray}
"""Engines that do the work, by name."""

log = logging.getLogger(__name__)

RECORD = "edge-harmony.json"
"""File in the folder of results with the settings of the run, written when it begins. Older results are not its own."""
FAILED = "edge-harmony-failed.json"
"""File in the folder of results with the failures and their reasons, written when the run ends."""


@dataclass(frozen=True)
class FolderReport:
    """Outcome of :func:`harmonize_folder`.

    Attributes:
        done: number of files that were harmonized.
        skipped: number of files that were done before.
        failed: the files that failed, with the reasons.
        stopped: whether the run was stopped before the end.
        passed_over: files of the folder that are not worked on, with the reasons.
    """

    done: int
    skipped: int
    failed: list[Outcome] = field(default_factory=list)
    stopped: bool = False
    passed_over: list[PassedOver] = field(default_factory=list)


def harmonize_folder(
    composites: Path | str,
    masks: Path | str,
    output: Path | str,
    *,
    model: str = DEFAULT_MODEL,
    backend: str | None = None,
    precision: str = DEFAULT_PRECISION,
    artifact: Path | str | None = None,
    weights: Path | str | None = None,
    threads: int = 0,
    device: str = "auto",
    strength: float = 1.0,
    fit: bool = False,
    mask_value: int | None = None,
    invert_mask: bool = False,
    quality: int = 95,
    video: VideoOptions | None = None,
    workers: int = 0,
    engine: str = "local",
    resume: bool = False,
    stop: threading.Event | None = None,
    started: Callable[[int | None], None] = lambda count: None,
    advance: Callable[[Outcome], None] = lambda outcome: None,
) -> FolderReport:
    """Harmonize the pictures of a folder, or its videos, or both.

    Every result appears whole under its name, or not at all. A file that fails is reported, and the run goes on. With
    ``resume`` an interrupted run is continued: results that are newer than picture and mask are kept.

    Args:
        composites: folder of pictures or videos; a path, or an address such as ``s3://bucket/folder``.
        masks: folder of their masks. The mask of ``dog.jpg`` is ``dog.png``, ``dog_mask.png`` or ``dog-mask.png``.
        output: folder of the results and of the run's record, ``edge-harmony.json``.
        model: the network; ``backend``, ``precision``, ``artifact``, ``weights``, ``threads`` and ``device`` are those
            of :func:`edge_harmony.load_runner`.
        strength: size of the change, 0 to 1.5.
        fit: resize masks of another size instead of refusing them.
        mask_value: the class id that is the foreground in masks.
        invert_mask: what is white in masks is the background.
        quality: of JPEG, WebP, HEIC and AVIF, 1 to 100.
        video: how videos are harmonized and written; ``strength`` is that of the folder.
        workers: how many work at a time; 0 leaves it to the engine.
        engine: ``local`` (processes) or ``ray``.
        resume: keep the results of an interrupted run.
        stop: set it to end early.
        started: called with the number of files that are left to do.
        advance: called with every outcome.

    Returns:
        How many files were harmonized, how many were done before, and which failed.

    Raises:
        UsageError: a folder does not exist, is empty or cannot be written; another run is writing to it; or the run to
            resume had other settings.
        CapabilityError: a package is not installed.
    """
    artifact, weights = (None if path is None else Path(path) for path in (artifact, weights))
    request = LoadRequest(model, precision, artifact, weights, threads, device, backend=backend).resolved()
    how: dict[str, Any] = {"fit": fit, "quality": quality, "mask_value": mask_value, "invert_mask": invert_mask}
    return run_folder(
        works_of(request, video or VideoOptions(), strength=strength, **how),
        str(composites),
        str(masks),
        str(output),
        workers=workers,
        engine=engine,
        resume=resume,
        stop=stop,
        started=started,
        advance=advance,
    )


def works_of(request: LoadRequest, video: VideoOptions, *, strength: float, **how: Any) -> list[Work]:
    """The work on the pictures of a folder and that on its videos.

    Args:
        request: the network; resolved.
        video: how videos are harmonized and written, but for ``strength`` and ``in_place``.
        strength: size of the change, 0 to 1.5.
        how: further fields of :class:`~edge_harmony.folder.work.Work`.
    """
    of_videos = replace(video, in_place=True, strength=strength)
    every: dict[str, Any] = {"backend": str(request.backend), "request": request, "strength": strength} | how
    return [Work(**every), VideoWork(**every, video=of_videos)]


def run_folder(
    works: Work | Sequence[Work],
    composites: str,
    masks: str,
    output: str,
    *,
    workers: int = 0,
    engine: str = "local",
    resume: bool = False,
    stop: threading.Event | None = None,
    started: Callable[[int | None], None] = lambda count: None,
    advance: Callable[[Outcome], None] = lambda outcome: None,
) -> FolderReport:
    """Do any work on a folder; see :func:`harmonize_folder` for the other arguments.

    Args:
        works: the work, one for every kind of files.
    """
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}", f"choose from {', '.join(ENGINES)}")
    stop = stop or threading.Event()
    check_outputs([output], [composites, masks])
    works = [works] if isinstance(works, Work) else works
    settings: dict[str, object] = {"version": edge_harmony.__version__}
    for work in works:
        settings |= work.settings()
    begun = _begun(output, settings) if resume else None
    found = [find_items(work.kind, composites, masks, output, since=begun) for work in works]
    passed_over = unknown_files([work.kind for work in works], composites, masks)
    passed_over += [PassedOver(PurePath(lost.composite).name, _unread()) for items, _ in found for lost in _lost(items)]
    found = [(_readable(items, before), before) for items, before in found]
    left, skipped = sum(len(items) for items, _ in found), sum(before for _, before in found)
    if not left + skipped:
        suffixes = [suffix for work in works for suffix in work.kind.suffixes]
        raise UsageError(f"{composites} holds nothing to harmonize", f"put files with {' '.join(suffixes)} there")
    here = local_path(output)
    if here is not None and not here.is_dir() and suffix_of(output) in (*SUFFIXES, *VIDEO_SUFFIXES):
        raise UsageError(f"{output} is the name of a file, not of a folder", "name a folder for the results")
    make(output)
    with alone(here) if here is not None else contextlib.nullcontext():
        if begun is None:
            _write_json(output, RECORD, settings)
        started(left)
        done, failed = 0, []
        for work, (items, _) in zip(works, found, strict=True):
            at_a_time = workers if engine != "local" else work.at_a_time or workers
            for outcome in ENGINES[engine](work, items, at_a_time, stop):
                done += outcome.error is None
                failed += [outcome] if outcome.error else []
                advance(outcome)
        failed.sort(key=lambda outcome: outcome.item.composite)
        told = [{"file": outcome.item.composite, "error": outcome.error} for outcome in failed]
        _write_json(output, FAILED, told)
        return FolderReport(done, skipped, failed, done + len(failed) < left, passed_over)


def _readable(items: list[Item], before: int) -> list[Item]:
    """The items without photographs that a missing package would read; that they are passed over is said in one line.

    Raises:
        CapabilityError: all are such, and none was done before.
    """
    lost = _lost(items)
    if not lost:
        return items
    message = f"{len(lost)} pictures in HEIC or AVIF are passed over ({PurePath(lost[0].composite).name})"
    hint = install_hint("pillow_heif")
    if len(lost) == len(items) and not before:
        raise CapabilityError(message, hint)
    log.warning("%s; %s", message, hint)
    return [item for item in items if item not in lost]


def _lost(items: list[Item]) -> list[Item]:
    return [item for item in items if not is_readable(suffix_of(item.composite))]


def _unread() -> str:
    return f"HEIC and AVIF need a package: {install_hint('pillow_heif')}"


def _begun(output: str, settings: dict[str, object]) -> float | None:
    """When the run to resume began, by the clock of the file system; None: there is no run."""
    begun = (list_files(output) or {}).get(RECORD)
    if begun is None:
        return None
    record = read(join(output, RECORD))
    hint = "leave resume=True out; then everything is done again"
    with parsing(f"{join(output, RECORD)} is damaged", hint, UsageError):
        of_then = json.loads(record)
    if of_then != settings:
        raise UsageError(f"{output} was begun with other settings", "choose another folder, or leave resume=True out")
    return begun


def _write_json(output: str, name: str, value: object) -> None:
    write(join(output, name), (json.dumps(value, indent=2) + "\n").encode())
