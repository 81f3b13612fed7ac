"""From a stream of a container to upright, progressive frames: what decoders leave to the player."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Orientation:
    """How a frame's pixels are turned and mirrored to be shown.

    Attributes:
        rotation: PyAV's number for it, in degrees; mirrored frames have one, too.
        across: rows become columns; the others hold after that.
        right: columns go right.
        down: rows go down.
    """

    rotation: int
    across: bool = False
    right: bool = True
    down: bool = True

    @classmethod
    def of(cls, frame: Any) -> Orientation:
        """Of a decoded frame's display matrix.

        It maps ``(x, y)`` to ``(a x + c y, b x + d y)``, FFmpeg's ``libavutil/display.h``. Call this once for frames of
        equal ``rotation``: PyAV's ``side_data`` and its frame hold each other, so that only the garbage collector frees
        the frame, and its picture of megabytes.
        """
        found = frame.side_data.get(require_av().sidedata.sidedata.Type.DISPLAYMATRIX)
        if found is None:
            return cls(frame.rotation)
        a, b, _, c, d = np.frombuffer(found, np.int32)[:5].tolist()
        across = abs(b) > abs(a)
        return cls(frame.rotation, across, *((c >= 0, b >= 0) if across else (a >= 0, d >= 0)))

    def applied_to(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The pixels as they are shown."""
        if self.across:
            pixels = pixels.swapaxes(0, 1)
        return np.ascontiguousarray(pixels[:: 1 if self.down else -1, :: 1 if self.right else -1])


def is_lossless(stream: Any) -> bool:
    """Whether a stream's codec keeps every level; not of codecs that can and need not."""
    codec = stream.codec_context.codec
    return bool(codec.lossless and not codec.lossy)


def has_alpha(format_: Any) -> bool:
    """Whether a pixel format of PyAV has an alpha channel."""
    return any(component.is_alpha for component in format_.components)


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
