"""A visitor of the demo page, who sends what the page sends; Gradio's client wants a description of the calls first."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE = 900
"""Seconds for one answer, on a machine that is busy with other things too."""


class Visitor:
    """A visitor.

    Args:
        url: of the page, without a slash at its end.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        """The body of an answer.

        Raises:
            urllib.error.HTTPError: the page refuses.
        """
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind} if body is not None else {})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            data: bytes = answer.read()
            return data

    def upload(self, data: bytes, name: str) -> str:
        """The page's path of an uploaded file."""
        edge = "edge-of-parts"
        head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{edge}--\r\n".encode()
        answer = self.ask("/gradio_api/upload", body, f"multipart/form-data; boundary={edge}")
        paths: list[str] = json.loads(answer)
        return paths[0]

    def file(self, path: Path) -> dict[str, Any]:
        """An uploaded file, as calls name it."""
        return file_data(self.upload(path.read_bytes(), path.name))

    def editor(self, path: Path) -> dict[str, Any]:
        """What the editor holds with an uploaded picture."""
        background = self.file(path)
        return {"background": background, "layers": [], "composite": background}

    def harmonize(self, data: list[Any]) -> str:
        """Press the button; returns the event that ends it: ``complete`` or ``error``, with its data."""
        started = json.loads(self.ask("/gradio_api/call/harmonize", json.dumps({"data": data}).encode()))
        told = self.ask(f"/gradio_api/call/harmonize/{started['event_id']}").decode()
        return told.strip().split("\n\n")[-1]  # after those that say that it is being worked on


def file_data(path: str) -> dict[str, Any]:
    """A file, as Gradio's API names it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
