"""The page itself, built with Gradio."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.demo.guard import Guard
from edge_harmony.demo.limits import answer_values, limit_editor, limit_image
from edge_harmony.demo.offers import Loaded, Offer, Offers
from edge_harmony.errors import EdgeHarmonyError, InputError, UsageError, is_out_of_memory
from edge_harmony.extras import require
from edge_harmony.pictures.arrays import checked_pair, fit_mask
from edge_harmony.pictures.images import read_mask
from edge_harmony.pictures.mask_edges import grow_mask, refine_mask
from edge_harmony.pipeline.apply import STRONGEST, apply_grid
from edge_harmony.pipeline.harmonize import predict
from edge_harmony.samples import sample_files
from edge_harmony.web.listen import listen
from edge_harmony.web.pixels import MOST_PIXELS

log = logging.getLogger(__name__)

TITLE = "edge-harmony"
_INTRODUCTION = """# edge-harmony
Take a sample, or drop a composite and paint over what was pasted, or give its mask: the colours of the foreground are
made to fit."""
_BRUSH = "rgba(255, 59, 48, 0.6)"
_MAX_UPLOAD = 100 << 20
MOST_GROWN = 20
"""Pixels by which a mask can grow or shrink."""
_STYLE = """
#samples .caption-label { display: none }
#samples .grid-container { grid-template-columns: repeat(5, minmax(0, 112px)) }
#samples .thumbnail-item { max-width: 100%; aspect-ratio: 3 / 2 }
#samples .thumbnail-item img { height: 100%; object-fit: cover }
.dark #composite:has(.empty) canvas { opacity: 0.12 }
.dark #composite .empty, .dark #composite .empty * { color: var(--body-text-color) }
@media (max-width: 640px) {
  #harmonize { position: fixed; left: 16px; right: 16px; bottom: 8px; width: auto; z-index: 50 }
  .gradio-container { padding-bottom: 64px }
  #choices input { font-size: 13px }
  #choices .icon-wrap { right: 2px }
}
"""
"""The names of samples are their alternative texts; on a phone the button stays at the lower edge."""
_TO_RESULT = """() => {
  const result = document.querySelector('#result');
  if (window.innerWidth <= 640) result.scrollIntoView({ behavior: 'smooth', block: 'center' });
}"""
"""On a phone the result is below the screen."""
_SCRIPT = """() => {
  const texts = { mask: ['the mask'], result: ['before', 'after'] };
  const name = () => Object.entries(texts).forEach(([id, names]) =>
    document.querySelectorAll(`#${id} img`).forEach((image, k) => { image.alt ||= names[k % names.length]; }));
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
}"""
"""Gives Gradio's pictures the alternative texts for which its components have no argument."""
_KEPT_SECONDS, _SESSIONS, _WAITING = 900, 16, 64
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
    offers, loaded = Offers(), Loaded()

    def run(
        edited: dict[str, Any] | None,
        mask: str | None,
        model: str,
        backend: str,
        precision: str,
        strength: float,
        grow: float,
        refine: bool,
    ) -> tuple[Any, str, Prediction]:
        with answered(gradio):
            offer = (model, backend, precision)
            if offer not in offers:
                raise UsageError("this network does not run here in this way", "choose a network, then the rest")
            edge = MaskEdge(checked_pixels(grow), bool(refine))
            return harmonize(loaded, edited, mask, offer, checked_strength(strength), edge)

    def run_again(prediction: Prediction | None, strength: float) -> tuple[Any, Any]:
        if prediction is None:  # nothing to change yet; the button will use this strength
            return gradio.skip(), gradio.skip()
        with answered(gradio):
            return apply_again(prediction, checked_strength(strength))

    def choose_backend(model: str) -> Any:
        with answered(gradio):
            backends = chosen(offer[1] for offer in offers.all() if offer[0] == model)
            return gradio.Dropdown(backends, value=backends[0])

    def choose_precision(model: str, backend: str) -> Any:
        with answered(gradio):
            precisions = chosen(offer[2] for offer in offers.all() if offer[:2] == (model, backend))
            return gradio.Dropdown(precisions, value=precisions[0])

    def choices() -> list[Any]:
        with answered(gradio):
            return [gradio.Dropdown(names) for names in choices_beside(offers.first, offers.all())]

    copies, samples = _copied_samples()

    def take_sample(event: Any) -> tuple[Any, str]:
        with answered(gradio):
            if event.index not in range(len(samples)):
                raise UsageError("there is no such sample", "take one from the page")
            composite, mask = samples[event.index]
        return {"background": str(composite), "layers": [], "composite": str(composite)}, str(mask)

    take_sample.__annotations__["event"] = gradio.SelectData  # Gradio passes what the annotation names

    with gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(_KEPT_SECONDS, _KEPT_SECONDS)) as page:
        page.copies = copies  # as long as there is the page
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
                    brush=gradio.Brush(colors=[_BRUSH], default_color=_BRUSH, color_mode="fixed"),
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
        heavy = {"concurrency_id": _HEAVY, "concurrency_limit": os.cpu_count() or 1}
        button.click(run, inputs, outputs, api_name="harmonize", **heavy).success(js=_TO_RESULT)
        strength.input(
            run_again,
            [kept, strength],
            [slider, told],
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
            **heavy,
        )
        model.input(choose_backend, model, backend, api_visibility="private").then(
            choose_precision, [model, backend], precision, api_visibility="private"
        )
        backend.input(choose_precision, [model, backend], precision, api_visibility="private")
        # the page is shown before all backends have been asked
        page.load(choices, None, [model, backend, precision], show_progress="hidden", api_visibility="private")
        gallery.select(take_sample, None, [editor, mask], api_visibility="private").then(
            run, inputs, outputs, api_visibility="private", **heavy
        ).success(js=_TO_RESULT)
    answer_values(gradio, page)
    page.queue(api_open=False, max_size=_WAITING)
    return page


@dataclass(frozen=True)
class MaskEdge:
    """What is done to the edge of a mask before it is used.

    Attributes:
        grow: pixels by which the foreground becomes larger, or smaller below 0; after the refinement.
        refine: whether the edge is led along the edges of the picture.
    """

    grow: int = 0
    refine: bool = False

    def of(self, weight: NDArray[np.float32], composite: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The mask ``(H, W)`` of a composite ``(H, W, 3)`` with another edge."""
        return grow_mask(refine_mask(composite, weight) if self.refine else weight, self.grow)


@contextlib.contextmanager
def answered(gradio: Any) -> Iterator[None]:
    """The boundary between a call from the page, or from elsewhere, and our code: any error is answered in a sentence.

    Raises:
        gradio.Error: in place of every exception.
    """
    try:
        yield
    except EdgeHarmonyError as error:
        raise gradio.Error(str(error), print_exception=False) from None
    except Exception as error:
        if is_out_of_memory(error):
            raise gradio.Error("the server has too little memory for it now", print_exception=False) from None
        log.exception("a call failed")
        raise gradio.Error("this failed, and the log of the server says why", print_exception=False) from None


def checked_strength(strength: Any) -> float:
    """The strength of a call.

    Raises:
        UsageError: it is no number.
    """
    if isinstance(strength, bool) or not isinstance(strength, int | float):
        raise UsageError("the strength is no number", f"give one from 0 to {STRONGEST}")
    return float(strength)


def checked_pixels(pixels: Any) -> int:
    """The pixels by which the mask of a call grows.

    Raises:
        UsageError: they are no number, or too many.
    """
    if isinstance(pixels, bool) or not isinstance(pixels, int | float) or not abs(pixels) <= MOST_GROWN:
        raise UsageError("the mask cannot grow by that", f"give pixels from -{MOST_GROWN} to {MOST_GROWN}")
    return round(pixels)


def chosen(names: Iterable[str]) -> list[str]:
    """What there is to choose from.

    Raises:
        UsageError: nothing.
    """
    found = _distinct(names)
    if not found:
        raise UsageError("there is nothing to choose from", "choose a network first")
    return found


def choices_beside(offer: Offer, offers: list[Offer]) -> tuple[list[str], list[str], list[str]]:
    """The networks, the backends of an offer's network, and the precisions of both, each to choose from."""
    return (
        _distinct(other[0] for other in offers),
        _distinct(other[1] for other in offers if other[0] == offer[0]),
        _distinct(other[2] for other in offers if other[:2] == offer[:2]),
    )


def _copied_samples() -> tuple[Any, list[tuple[Path, Path]]]:
    """The samples in a folder of their own, so that the page does not tell where the package is installed."""
    folder = tempfile.TemporaryDirectory(prefix=f"{TITLE}-")
    copied = [(_copy(composite, folder.name), _copy(mask, folder.name)) for composite, mask in sample_files()]
    return folder, copied


def _copy(file: Path, folder: str) -> Path:
    return Path(shutil.copy(file, folder))


Slides = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Before and after."""


@dataclass(frozen=True)
class Prediction:
    """The data kept of a picture, so that another strength needs no new prediction.

    Attributes:
        composite: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` float32 in [0, 1].
        grid: the network's prediction; see :func:`~edge_harmony.pipeline.apply.apply_grid`.
    """

    composite: NDArray[np.uint8]
    mask: NDArray[np.float32]
    grid: NDArray[np.float32]


def harmonize(
    loaded: Loaded,
    edited: dict[str, Any] | None,
    mask: str | None,
    offer: Offer,
    strength: float = 1.0,
    edge: MaskEdge | None = None,
) -> tuple[Slides, str, Prediction]:
    """Harmonize the picture in the editor; the button calls this.

    Args:
        loaded: the networks.
        edited: contents of the editor: ``background`` ``(H, W, 4)``, and the ``layers`` painted on it.
        mask: path of a mask; it is united with the painted one.
        offer: network, backend and precision.
        strength: size of the change.
        edge: what is done to the edge of the mask; None for nothing.

    Returns:
        Composite and result, ``(H, W, 3)`` uint8, a message about them, and the input of :func:`apply_again`.

    Raises:
        InputError: there is no picture, or it has no foreground.
        UsageError: the strength is out of range.
    """
    if not edited or edited.get("background") is None:
        raise InputError("there is no composite yet", "drop one, or take a sample")
    composite = np.ascontiguousarray(edited["background"][..., :3])
    weight = painted(edited["layers"], composite.shape[:2])
    note = ""
    if mask:
        given = read_mask(mask)
        if given.shape != composite.shape[:2]:
            note = f" The mask was resized from {given.shape[1]} x {given.shape[0]}."
        weight = np.maximum(weight, fit_mask(given, composite))
    if not weight.any():
        raise InputError("nothing is foreground yet", "paint over it, or give its mask")
    if edge is not None:
        weight = edge.of(weight, composite)
        if not weight.any():
            raise InputError("nothing of the mask is left", "shrink it by less")
    runner = loaded.get(offer).runner
    start = time.perf_counter()
    prediction = Prediction(composite, weight, predict(runner, *checked_pair(composite, weight)))
    result = apply_grid(composite, weight, prediction.grid, strength=strength)
    milliseconds = 1e3 * (time.perf_counter() - start)
    share = 100 * float((weight > 0).mean())
    told = (
        f"**{milliseconds:.0f} ms** for {composite.shape[1]} x {composite.shape[0]} pixels, {share:.0f} % of them "
        f"foreground: {' '.join(offer)}.{note}"
    )
    return (composite, result), told, prediction


def apply_again(prediction: Prediction, strength: float) -> tuple[Slides, str]:
    """Apply the kept grid at another strength, without a prediction; the slider of the strength calls this.

    Returns:
        Composite and result, and a message about them.

    Raises:
        UsageError: the strength is out of range.
    """
    start = time.perf_counter()
    result = apply_grid(prediction.composite, prediction.mask, prediction.grid, strength=strength)
    milliseconds = 1e3 * (time.perf_counter() - start)
    told = f"**{milliseconds:.0f} ms** to apply the same prediction at strength {strength:.2f}."
    return (prediction.composite, result), told


def painted(layers: list[NDArray[np.uint8]], size: tuple[int, int]) -> NDArray[np.float32]:
    """The mask ``(H, W)`` in [0, 1] of the pixels painted in layers ``(H, W, 4)``; the brush's alpha counts as 1."""
    alpha = np.zeros(size, np.float32)
    for layer in layers:
        if layer.shape[:2] == size and layer.shape[2:] == (4,):
            alpha = np.maximum(alpha, layer[..., 3])
    return np.minimum(alpha / np.float32(255 * float(_BRUSH.rstrip(")").rsplit(",", 1)[1])), np.float32(1))


def serve(host: str, port: int, *, pixels: int = MOST_PIXELS) -> Any:
    """Serve the page from threads of this process.

    Args:
        host: address to listen on; ``127.0.0.1`` can be reached from this machine only.
        port: port to listen on.
        pixels: the most that a picture may have.

    Returns:
        The page: ``local_url`` is its address, ``close`` stops it.

    Raises:
        CapabilityError: Gradio is not installed.
        UsageError: the port is taken, or the address is not one of this machine.
    """
    gradio = require_gradio()
    listen(host, port).close()  # Gradio opens its own, and tells less where it cannot
    page = make_page(pixels)
    own = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]  # no fonts from other servers
    page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        show_error=True,
        footer_links=[],
        max_file_size=_MAX_UPLOAD,
        state_session_capacity=_SESSIONS,
        enable_monitoring=False,
        app_kwargs={"middleware": [_middleware()]},
        css=_STYLE,
        js=_SCRIPT,
        theme=gradio.themes.Default(font=own[0], font_mono=own[1]),
    )
    return page


def _middleware() -> Any:
    from starlette.middleware import Middleware

    return Middleware(Guard, largest=_MAX_UPLOAD)


def require_gradio() -> Any:
    """The module ``gradio``.

    Raises:
        CapabilityError: Gradio is not installed.
    """
    return require("gradio", "the demo page needs Gradio")


def _distinct(names: Any) -> list[str]:
    return list(dict.fromkeys(names))
