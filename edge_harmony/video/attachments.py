"""What lies beside the tracks of a video: cover pictures and attached files, copied as they are."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from edge_harmony.errors import name_some
from edge_harmony.video.ffmpeg import open_video, require_av

log = logging.getLogger(__name__)

_AS_FILES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
"""Names and types of cover pictures in Matroska, by codec."""
_AS_STREAMS = ("mjpeg", "png", "bmp")
"""Codecs of cover pictures in MP4."""


class Attachments:
    """The cover pictures and attached files (fonts of subtitles) of a video.

    A line in the log names those that the container cannot hold.

    Args:
        path: of the video.
        target: container of PyAV that is being written, before its header.
    """

    def __init__(self, path: Path, target: Any) -> None:
        av = require_av()
        self._target, self._packets, self._opened = target, [], None
        container, lost = target.format.name, []
        source = open_video(path)
        try:
            cover = av.stream.Disposition.attached_pic
            for stream in [stream for stream in source.streams.video if stream.disposition & cover]:
                packet = next((packet for packet in source.demux(stream) if packet.size), None)
                codec = stream.codec_context.name
                if packet is None:
                    continue
                if container == "matroska" and codec in _AS_FILES:
                    target.add_attachment(*_AS_FILES[codec], bytes(packet))
                elif container == "mp4" and codec in _AS_STREAMS:
                    packet.stream = target.add_stream_from_template(stream)
                    packet.stream.disposition = cover
                    packet.pts = packet.dts = 0
                    self._packets.append(packet)
                else:
                    lost.append(f"cover picture ({codec})")
            for attached in source.streams.attachments:
                if container == "matroska":
                    target.add_attachment(attached.name or "", attached.mimetype or "", attached.data)
                else:
                    lost.append(attached.name or "a file")
        finally:
            source.close()
        if lost:
            log.warning("attached to %s and left out, %s cannot hold it: %s", path.name, container, name_some(lost))

    def start(self) -> None:
        """Write cover pictures, once the target has its header."""
        for packet in self._packets:
            self._target.mux(packet)
        self._packets.clear()
