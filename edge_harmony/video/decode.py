"""From a stream of a container to upright, progressive frames: what decoders leave to the player."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.video.ffmpeg import require_av

_ALPHA_APART = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders of codecs whose alpha is a picture of its own, which FFmpeg's own decoders leave out."""


def pictures_of(container: Any) -> Any:
    """The stream that is watched: the first one that is no cover picture; None if there is none."""
    streams = container.streams.video
    cover = require_av().stream.Disposition.attached_pic
    return next((stream for stream in streams if not stream.disposition & cover), None)


def decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames as they are shown, as stored: turned, and interlaced where they are."""
    decoder = _ALPHA_APART.get(stream.codec_context.name) if stream.metadata.get("alpha_mode") == "1" else None
    if decoder is None:
        yield from container.decode(stream)
        return
    context = require_av().CodecContext.create(decoder, "r")
    for packet in container.demux(stream):
        for frame in context.decode(packet if packet.size else None):
            frame.time_base = stream.time_base
            yield frame


def progressive(frames: Iterator[Any], found: Callable[[], None]) -> Iterator[Any]:
    """Deinterlace frames: each one made of two fields becomes one picture at its time, by FFmpeg's bwdif.

    Other frames pass unchanged. ``found`` is called at the first interlaced frame.
    """
    graph: Any = None
    for frame in frames:
        if graph is None and frame.interlaced_frame:
            found()
            graph = _deinterlacer(frame)
        if graph is None:
            yield frame
        else:
            graph.vpush(frame)
            yield from _pulled(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph)


def upright(pixels: NDArray[Any], frame: Any) -> NDArray[Any]:
    """Pixels as the frame's display matrix turns and mirrors them."""
    across, (right, down) = _orientation(frame)
    if across:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels[:: 1 if down else -1, :: 1 if right else -1])


def is_on_its_side(frame: Any) -> bool:
    """Whether width and height change places."""
    return _orientation(frame)[0]


def is_lossless(stream: Any) -> bool:
    """Whether a stream's codec keeps every level; not of codecs that can and need not."""
    codec = stream.codec_context.codec
    return bool(codec.lossless and not codec.lossy)


def has_alpha(format_: Any) -> bool:
    """Whether a pixel format of PyAV has an alpha channel."""
    return any(component.is_alpha for component in format_.components)


def _orientation(frame: Any) -> tuple[bool, tuple[bool, bool]]:
    """Whether rows become columns, and whether then columns go right and rows down, of a display matrix.

    It maps ``(x, y)`` to ``(a x + c y, b x + d y)``, FFmpeg's ``libavutil/display.h``.
    """
    found = frame.side_data.get(require_av().sidedata.sidedata.Type.DISPLAYMATRIX)
    if found is None:
        return False, (True, True)
    a, b, _, c, d = np.frombuffer(found, np.int32)[:5].tolist()
    return (True, (c >= 0, b >= 0)) if abs(b) > abs(a) else (False, (a >= 0, d >= 0))


def _deinterlacer(frame: Any) -> Any:
    graph = require_av().filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 25)
    )
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    av = require_av()
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
