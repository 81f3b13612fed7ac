"""The page itself: its parts, made with Gradio, and which call each of them makes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from edge_harmony.demo.calls import MOST_GROWN, Calls
from edge_harmony.demo.limits import answer_values, limit_editor, limit_image
from edge_harmony.demo.looks import BRUSH, TO_RESULT
from edge_harmony.demo.offers import Offers
from edge_harmony.demo.uploads import Uploads
from edge_harmony.extras import require
from edge_harmony.pictures.parallel_rows import cores
from edge_harmony.pipeline.apply import STRONGEST
from edge_harmony.samples import sample_files
from edge_harmony.web.pixels import MOST_PIXELS

TITLE = "edge-harmony"
_INTRODUCTION = """# edge-harmony
Take a sample, or drop a composite and paint over what was pasted, or give its mask: the colours of the foreground are
made to fit."""
_KEPT_SECONDS, _LOOK_SECONDS, _WAITING = 900, 60, 64
_HEAVY = "heavy"
"""Name of the queue of what takes a core: as many of these jobs run at a time as there are cores."""


def make_page(pixels: int = MOST_PIXELS) -> Any:
    """The page, a ``gradio.Blocks``.

    Args:
        pixels: the most that a picture may have.

    Raises:
        CapabilityError: Gradio is not installed, or no network can be loaded.
    """
    gradio = require_gradio()
    offers, (copies, samples) = Offers(), _copied_samples()
    calls = Calls(gradio, offers, samples)

    def take_sample(event: Any) -> tuple[Any, str]:
        return calls.take_sample(event.index)

    take_sample.__annotations__["event"] = gradio.SelectData  # Gradio passes what the annotation names

    uploads = Uploads()  # before the parts of the page ask for its name
    with gradio.Blocks(title=TITLE, analytics_enabled=False) as page:
        page.copies, page.uploads = copies, uploads  # as long as there is the page
        gradio.Markdown(f"{_INTRODUCTION} A picture has up to {pixels / 1e6:g} megapixels.")
        gallery = gradio.Gallery(
            [(str(composite), f"sample: {composite.stem.replace('-', ' ')}") for composite, _ in samples],
            label="Samples",
            show_label=False,
            elem_id="samples",
            columns=len(samples),
            height=110,
            object_fit="contain",
            allow_preview=False,
            interactive=False,
            buttons=[],
        )
        with gradio.Row():
            with gradio.Column():
                editor = gradio.ImageEditor(
                    label="Composite",
                    elem_id="composite",
                    format="png",
                    layers=False,
                    transforms=(),
                    sources=("upload", "clipboard"),
                    brush=gradio.Brush(colors=[BRUSH], default_color=BRUSH, color_mode="fixed"),
                    height=400,
                )
                limit_editor(gradio, editor, pixels)
                mask = gradio.Image(
                    label="or its mask: white where pasted",
                    elem_id="mask",
                    type="filepath",
                    sources=["upload", "clipboard"],
                    height=200,
                )
                limit_image(mask, pixels)
                grow = gradio.Slider(
                    -MOST_GROWN, MOST_GROWN, value=0, step=1, label="Grow the mask, pixels", elem_id="grow"
                )
                refine = gradio.Checkbox(False, label="Refine its edge", elem_id="refine")
            with gradio.Column():
                slider = gradio.ImageSlider(label="Before | after", elem_id="result", format="png", max_height=480)
                told = gradio.Markdown(elem_id="told")
                button = gradio.Button("Harmonize", variant="primary", elem_id="harmonize")
                strength = gradio.Slider(0, STRONGEST, value=1, step=0.05, label="Strength", elem_id="strength")
                with gradio.Row(elem_id="choices"):
                    model, backend, precision = (
                        gradio.Dropdown([name], value=name, label=label)
                        for label, name in zip(("Network", "Backend", "Precision"), offers.first, strict=True)
                    )
        kept = gradio.State(time_to_live=_KEPT_SECONDS)
        inputs = [editor, mask, model, backend, precision, strength, grow, refine]
        outputs = [slider, told, kept]
        heavy = {"concurrency_id": _HEAVY, "concurrency_limit": cores()}
        button.click(calls.run, inputs, outputs, api_name="harmonize", **heavy).success(js=TO_RESULT)
        strength.input(
            calls.run_again,
            [kept, strength],
            [slider, told],
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
            **heavy,
        )
        model.input(calls.choose_backend, model, backend, api_visibility="private").then(
            calls.choose_precision, [model, backend], precision, api_visibility="private"
        )
        backend.input(calls.choose_precision, [model, backend], precision, api_visibility="private")
        # the page is shown before all backends have been asked
        page.load(calls.choices, None, [model, backend, precision], show_progress="hidden", api_visibility="private")
        gallery.select(take_sample, None, [editor, mask], api_visibility="private").then(
            calls.run, inputs, outputs, api_visibility="private", **heavy
        ).success(js=TO_RESULT)
    answer_values(gradio, page)
    page.queue(api_open=False, max_size=_WAITING)
    shown = {file for part in page.blocks.values() for file in getattr(part, "keep_in_cache", ())}
    uploads.watch(_KEPT_SECONDS, _LOOK_SECONDS, shown)
    return page


def _copied_samples() -> tuple[Any, list[tuple[Path, Path]]]:
    """The samples in a folder of their own, so that the page does not tell where the package is installed."""
    folder = tempfile.TemporaryDirectory(prefix=f"{TITLE}-")
    copied = [(_copy(composite, folder.name), _copy(mask, folder.name)) for composite, mask in sample_files()]
    return folder, copied


def _copy(file: Path, folder: str) -> Path:
    return Path(shutil.copy(file, folder))


def require_gradio() -> Any:
    """The module ``gradio``.

    Raises:
        CapabilityError: Gradio is not installed.
    """
    return require("gradio", "the demo page needs Gradio")
