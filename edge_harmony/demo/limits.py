"""Components of Gradio with limits of their own: on pixels before they are decoded, and on what waits in memory."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from edge_harmony.errors import EdgeHarmonyError, UsageError
from edge_harmony.web.pixels import refuse_large

_WAITING = 16
"""Pictures of editors that are kept for calls to come; each belongs to one press of the button."""
_LAYERS = 4
_UNUSABLE = "a value of this call cannot be used: give a picture, its mask, and choices of the page"


def answer_values(gradio: Any, page: Any) -> None:
    """Have a page answer values of a call that it cannot use in a sentence, where Gradio tells of its insides.

    Methods of ``page`` and of components are replaced, because Gradio writes a file beside the code of a class that
    derives from one of its components.
    """
    read = page.preprocess_data

    async def preprocess_data(function: Any, values: list[Any], *arguments: Any, **named: Any) -> Any:
        try:
            _refuse_addresses(values)
            return await read(function, values, *arguments, **named)
        except Exception as error:  # of Gradio, of a model of its data, of a decoder
            reasons = (error, error.__cause__)
            told = [str(reason) for reason in reasons if isinstance(reason, EdgeHarmonyError)]
            told += [str(reason.message) for reason in reasons if isinstance(reason, gradio.Error)]
            raise gradio.Error(next(iter(told), _UNUSABLE), print_exception=False) from None

    page.preprocess_data = preprocess_data


def _refuse_addresses(value: Any) -> None:
    """Refuse files that are named by an address: Gradio would fetch them, of any size, for whoever asks.

    Raises:
        UsageError: there is one.
    """
    if isinstance(value, dict):
        if "://" in str(value.get("path")):
            raise UsageError("a picture is named by an address", "upload it")
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            _refuse_addresses(part)


def limit_editor(gradio: Any, editor: Any, pixels: int) -> None:
    """Have an ``ImageEditor`` take pictures of at most so many pixels, and keep few of them."""
    convert, read, accept = editor.convert_and_format_image, editor.preprocess, editor.accept_blobs

    def convert_and_format_image(file: Any, *arguments: Any, **named: Any) -> Any:
        if file is not None:
            refuse_large(file if isinstance(file, bytes) else Path(file.path).read_bytes(), pixels, "the picture")
        return convert(file, *arguments, **named)

    def preprocess(payload: Any) -> Any:
        try:
            return read(payload)
        finally:  # Gradio keeps it where the picture cannot be read
            if payload is not None:
                editor.blob_storage.pop(payload.id, None)

    @functools.wraps(accept)
    def accept_blobs(data: Any) -> None:
        index = str(data.data.get("index") or "null")
        if index != "null" and index not in map(str, range(_LAYERS)):
            raise gradio.Error(f"a picture has at most {_LAYERS} layers", print_exception=False)
        accept(data)
        while len(editor.blob_storage) > _WAITING:
            editor.blob_storage.pop(next(iter(editor.blob_storage)))

    editor.convert_and_format_image, editor.preprocess = convert_and_format_image, preprocess
    editor.accept_blobs = accept_blobs


def limit_image(image: Any, pixels: int) -> None:
    """Have an ``Image`` take pictures of at most so many pixels."""
    read = image.preprocess

    def preprocess(payload: Any) -> Any:
        if payload is not None and payload.path:
            refuse_large(Path(payload.path).read_bytes(), pixels, "the picture")
        return read(payload)

    image.preprocess = preprocess
