"""``edge-harmony harmonize``: one picture, a folder of them, a video or a camera."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_harmony.backends.base import DEFAULT_PRECISION, LoadRequest
from edge_harmony.backends.discovery import load_request
from edge_harmony.cli.console import (
    ArtifactOption,
    BackendOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    ThreadsOption,
    WeightsOption,
    print_json,
    tell,
)
from edge_harmony.errors import ExitCode, UsageError
from edge_harmony.files.identity import is_address
from edge_harmony.files.names import LONGEST
from edge_harmony.files.stderr import silent_libraries
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.models.registry import DEFAULT_MODEL
from edge_harmony.pictures.encode import check_writable
from edge_harmony.pictures.images import SUFFIXES
from edge_harmony.pictures.parallel_rows import set_threads
from edge_harmony.pictures.placement import Placement
from edge_harmony.pipeline.apply import STRONGEST
from edge_harmony.pipeline.stream import StreamOptions
from edge_harmony.video.names import WRITTEN, is_moving, is_video

_FOLDERS, _VIDEOS, _PLACING = "Folders", "Videos and cameras", "On a background picture, whose size the result has"


@silent_libraries()
def harmonize(
    composite: Annotated[str, typer.Argument(help="Composite: a picture, a video, camera:0, a folder or an address.")],
    mask: Annotated[
        str | None,
        typer.Argument(
            help="Its mask (white: foreground), of the same kind; one picture is enough for a video. A cut-out with "
            "transparency and a --background needs none."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, by default dog_harmonized.jpg beside dog.jpg; a folder or address for folders.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier result that has the default name.")
    ] = False,
    model: ModelOption = DEFAULT_MODEL,
    backend: BackendOption = None,
    precision: PrecisionOption = DEFAULT_PRECISION,
    artifact: ArtifactOption = None,
    weights: WeightsOption = None,
    threads: ThreadsOption = 0,
    device: DeviceOption = "auto",
    background: Annotated[
        str | None,
        typer.Option("--background", help="Picture, video or camera to paste the foreground on first."),
    ] = None,
    position: Annotated[
        str | None,
        typer.Option(
            "--position",
            metavar="X,Y",
            help="Pixel of the background for the anchor; by default the point that the anchor names.",
            rich_help_panel=_PLACING,
        ),
    ] = None,
    scale: Annotated[
        float, typer.Option("--scale", help="Size of the foreground; 1: its own.", rich_help_panel=_PLACING)
    ] = 1.0,
    anchor: Annotated[
        str,
        typer.Option(
            "--anchor",
            help="Point of the foreground picture: center, top, bottom-left, ...",
            rich_help_panel=_PLACING,
        ),
    ] = "center",
    fit_mask: Annotated[
        bool, typer.Option("--fit-mask", help="Resize masks (and backgrounds of videos) of another size.")
    ] = False,
    mask_value: Annotated[
        int | None,
        typer.Option("--mask-value", min=0, metavar="N", help="The class id that is the foreground in masks."),
    ] = None,
    invert_mask: Annotated[bool, typer.Option("--invert-mask", help="White in masks is the background.")] = False,
    strength: Annotated[
        float, typer.Option("--strength", min=0, max=STRONGEST, help="Size of the change; 0: none, 1: as predicted.")
    ] = 1.0,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of JPEG, WebP, HEIC and AVIF output.")] = 95,
    preview: Annotated[
        Path | None, typer.Option("--before-after", help="Also write composite, mask and result side by side.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option("--workers", min=0, help="Processes, or Ray actors; 0: by cores.", rich_help_panel=_FOLDERS),
    ] = 0,
    engine: Annotated[str, typer.Option("--engine", help="Engine: local or ray.", rich_help_panel=_FOLDERS)] = "local",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run; keep finished results.", rich_help_panel=_FOLDERS)
    ] = False,
    every: Annotated[
        int, typer.Option("--every", min=1, help="Predict only every N-th frame.", rich_help_panel=_VIDEOS)
    ] = 1,
    keep: Annotated[
        float,
        typer.Option(
            "--keep", min=0, max=0.99, help="Smoothness: share kept from frame to frame.", rich_help_panel=_VIDEOS
        ),
    ] = StreamOptions.keep,
    cut: Annotated[
        float,
        typer.Option("--cut", min=0, max=1, help="Difference that begins a scene; 0: off.", rich_help_panel=_VIDEOS),
    ] = StreamOptions.cut,
    codec: Annotated[
        str | None, typer.Option("--codec", help="FFmpeg's encoder: libx265, ffv1, ...", rich_help_panel=_VIDEOS)
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder", metavar="KEY=VALUE", help="Option of the encoder: crf=23, ...", rich_help_panel=_VIDEOS
        ),
    ] = None,
    sound: Annotated[bool, typer.Option("--sound/--no-sound", help="Keep the sound.", rich_help_panel=_VIDEOS)] = True,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Stop after N frames; 0: no limit.", rich_help_panel=_VIDEOS)
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Repaint the foreground so that it fits. Any size, 8 or 16 bits, alpha; the background does not change.

    In a folder the mask of dog.jpg is dog.png, dog_mask.png, or (iHarmony4) the mask of a_b_c.jpg is a_b.png. A file
    that fails is reported and the rest goes on; the exit status is then 1. A folder of pictures with -o out.mp4
    becomes a video. Ctrl-C ends a video or a folder after what is being worked on: the video can be played, and
    --resume goes on with the folder.
    """
    began = time.perf_counter()
    output = output or str(_beside(composite, overwrite=overwrite))
    to_video = Path(composite).is_dir() and is_video(output) and not Path(output).is_dir()
    moving = is_moving(composite) or to_video
    folder = not to_video and (is_address(composite) or Path(composite).is_dir())
    if mask is None and (folder or moving):
        raise UsageError("there is no mask", "give a folder of masks" if folder else "give a mask for every frame")
    if preview is not None and (folder or moving):
        raise UsageError("--before-after is for one picture", "leave it out")
    placement: dict[str, Any] = {"position": _point(position), "scale": scale, "anchor": anchor}
    if (folder or moving) and Placement(**placement) != Placement():
        raise UsageError("--position, --scale and --anchor are for one picture", "leave them out")
    over_time: dict[str, Any] = {"every": every, "keep": keep, "cut": cut, "strength": strength}
    over_time |= {"sound": sound, "codec": codec, "encoder": _options(encoder or [])}
    set_threads(threads)
    request = LoadRequest(model, precision, artifact, weights, threads, device, backend=backend).resolved()
    made: dict[str, Any] = {"output": output, "model": request.model}
    made |= {"backend": request.backend, "precision": request.precision}
    if folder and mask is not None:
        if background is not None:
            raise UsageError("--background is for one picture or a video", "give composites")
        if limit:
            raise UsageError("--limit is for one video", "leave it out for a folder")
        from edge_harmony.cli.harmonize_many import one_folder

        how: dict[str, Any] = {"strength": strength, "fit": fit_mask, "mask_value": mask_value}
        how |= {"invert_mask": invert_mask, "quality": quality}
        found, status = one_folder(
            request,
            composite,
            mask,
            output,
            over_time=over_time,
            how=how,
            workers=workers,
            engine=engine,
            resume=resume,
        )
    elif moving and mask is not None:
        from edge_harmony.cli.harmonize_many import one_video

        found, status = one_video(
            request,
            composite,
            mask,
            Path(output),
            over_time=over_time,
            background=background,
            fit=fit_mask,
            mask_value=mask_value,
            invert_mask=invert_mask,
            limit=limit,
        )
    else:
        for path in (Path(output), preview):
            if path is not None:
                check_writable(path)
        with Harmonizer(load_request(request)) as harmonizer:
            size = harmonizer.harmonize_file(
                composite,
                mask,
                output,
                background=background,
                **placement,
                fit=fit_mask,
                mask_value=mask_value,
                invert_mask=invert_mask,
                strength=strength,
                quality=quality,
                preview=preview,
            )
        megabytes, seconds = Path(output).stat().st_size / 1e6, time.perf_counter() - began
        tell(f"wrote {output}: {size[0]}x{size[1]}, {megabytes:.2f} MB, in {seconds:.1f} s")
        found, status = {}, ExitCode.OK
    if json:
        print_json(made | found)
    if found.get("stopped"):
        raise typer.Exit(status)
    if found.get("failed"):
        raise typer.Exit(ExitCode.FAILURE)


def _beside(composite: str, *, overwrite: bool) -> Path:
    """The path of a result where none is given: beside the composite, whose name it has with ``_harmonized``.

    Raises:
        UsageError: the composite is no file, the name is too long, or there is such a result and it shall not be
            overwritten.
    """
    path = Path(composite)
    if is_address(composite) or path.is_dir() or (is_moving(composite) and not is_video(composite)):
        raise UsageError(f"there is no output for {composite}", "name it with -o")
    writable = WRITTEN if is_video(composite) else SUFFIXES
    suffix = path.suffix if path.suffix.lower() in writable else ".mp4" if is_video(composite) else ".png"
    named = path.with_name(f"{path.stem}_harmonized{suffix}")
    if len(os.fsencode(named.name)) > LONGEST:
        raise UsageError(f"the name {named.name} is too long", "choose a shorter one with -o")
    if named.exists() and not overwrite:
        raise UsageError(f"there is a {named} already", "replace it with --overwrite, or choose a name with -o")
    return named


def _point(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        x, y = map(int, text.split(","))
    except ValueError:
        raise UsageError(f"--position {text} is not X,Y", "write --position 640,360") from None
    return x, y


def _options(pairs: list[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise UsageError(f"--encoder {wrong[0]} is not KEY=VALUE", "write --encoder crf=23")
    return dict(pair.split("=", 1) for pair in pairs)
