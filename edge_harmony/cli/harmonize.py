"""``edge-harmony harmonize``: one picture, or a folder of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_harmony.artifact import make_folder
from edge_harmony.backends.base import LoadRequest, get_backend
from edge_harmony.cli.console import (
    ArtifactOption,
    BackendOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    ThreadsOption,
    WeightsOption,
    err,
    print_json,
    progress_bar,
)
from edge_harmony.errors import EdgeHarmonyError, ExitCode, InputError, UsageError
from edge_harmony.harmonizer import DEFAULT_BACKEND, DEFAULT_PRECISION, Harmonizer
from edge_harmony.images import SUFFIXES, check_writable, list_pictures
from edge_harmony.models.registry import DEFAULT_MODEL
from edge_harmony.rows import set_threads


def harmonize(
    composite: Annotated[Path, typer.Argument(help="Composite picture, or a folder of them.")],
    mask: Annotated[Path, typer.Argument(help="Its mask (white: foreground), or a folder of masks.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; a folder for folders.")],
    model: ModelOption = DEFAULT_MODEL,
    backend: BackendOption = DEFAULT_BACKEND,
    precision: PrecisionOption = DEFAULT_PRECISION,
    artifact: ArtifactOption = None,
    weights: WeightsOption = None,
    threads: ThreadsOption = 0,
    device: DeviceOption = "auto",
    fit_mask: Annotated[bool, typer.Option("--fit-mask", help="Resize masks of another size.")] = False,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and WebP output.")] = 95,
    preview: Annotated[
        Path | None, typer.Option("--before-after", help="Also write composite, mask and result side by side.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Repaint the foreground so that it fits; any size, 8 or 16 bits, alpha; the background stays as it is.

    In a folder the mask of dog.jpg is dog.png, dog_mask.png, or (iHarmony4) the mask of a_b_c.jpg is a_b.png. A file
    that fails is reported and the rest goes on; the exit status is then 1.
    """
    folder = composite.is_dir()
    if folder and mask.is_file():
        raise UsageError(f"{composite} is a folder but {mask} is a file", "give a folder of masks, or one picture")
    if folder and preview is not None:
        raise UsageError("--before-after is for one picture", "leave it out for a folder")
    if not folder:
        check_writable(output)
        if preview is not None:
            check_writable(preview)
    elif output.is_file():
        raise UsageError(f"{output} is a file", "name a folder for the results of a folder")
    options: dict[str, Any] = {"fit": fit_mask, "quality": quality}
    set_threads(threads)
    request = LoadRequest(model, precision, artifact, weights, threads, device).resolved()
    with Harmonizer(get_backend(backend).load(request)) as harmonizer:
        if not folder:
            harmonizer.harmonize_file(composite, mask, output, preview=preview, **options)
            if json:
                made = {"model": request.model, "backend": backend, "precision": request.precision}
                print_json({"output": str(output)} | made)
            return
        done, failed = _harmonize_folder(harmonizer, composite, mask, output, options)
    if json:
        print_json({"output": str(output), "done": done, "failed": failed})
    if failed:
        raise typer.Exit(ExitCode.FAILURE)


def _harmonize_folder(
    harmonizer: Harmonizer, composites: Path, masks: Path, output: Path, options: dict[str, Any]
) -> tuple[int, list[dict[str, str]]]:
    pictures = list(list_pictures(composites))
    if not pictures:
        raise UsageError(f"{composites} holds no pictures", f"put files with {' '.join(SUFFIXES)} there")
    if not masks.is_dir():
        raise UsageError(f"the mask folder {masks} does not exist", "check the path")
    make_folder(output)
    failed: list[dict[str, str]] = []
    with progress_bar("harmonizing", len(pictures)) as advance:
        for picture in pictures:
            try:
                target = output / picture.name
                if target.resolve() == picture.resolve():
                    raise UsageError("the output folder is the input folder", "choose another with -o")
                harmonizer.harmonize_file(picture, find_mask(masks, picture), target, **options)
            except EdgeHarmonyError as error:
                failed.append({"file": str(picture), "error": str(error)})
                err.print(f"error: {picture.name}: {error}", markup=False, highlight=False, soft_wrap=True)
            advance()
    return len(pictures) - len(failed), failed


def find_mask(folder: Path, picture: Path) -> Path:
    """The mask of a picture by its name.

    Raises:
        InputError: there is none.
    """
    stems = [picture.stem, f"{picture.stem}_mask", f"{picture.stem}-mask", picture.stem.rsplit("_", 1)[0]]
    for stem in stems:
        for suffix in (".png", *SUFFIXES):
            path = folder / f"{stem}{suffix}"
            if path.is_file() and path.resolve() != picture.resolve():
                return path
    raise InputError(f"there is no mask for {picture.name} in {folder}", f"name it {picture.stem}.png")
