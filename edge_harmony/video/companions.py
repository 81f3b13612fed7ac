"""Sound and subtitles of a video, copied packet by packet or encoded anew."""

from __future__ import annotations

import io
import itertools
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from edge_harmony.errors import first_line
from edge_harmony.video.ffmpeg import open_video, require_av

log = logging.getLogger(__name__)

_ENCODERS = {"webm": "libopus"}
"""Of sound, by container; AAC elsewhere."""
_WORDED = {"mp4": "mov_text", "mov": "mov_text", "webm": "webvtt", "matroska": "subrip"}
"""Encoders of subtitles, by container."""
_KINDS = {"audio": "sound", "subtitle": "subtitles"}
_TRIED_PACKETS, _LOOKED_AT = 3, 500
_MILLISECOND = Fraction(1, 1000)
_GAP = Fraction(1, 10)
"""Seconds: a shorter one between packets is how containers round, shorter sound before the start is the codec's."""


class _Track(Protocol):
    """A stream of the target that packets of the source go to."""

    def take(self, packet: Any) -> None:
        """Write what becomes of a packet."""

    def flush(self) -> None:
        """Write what is left."""


class Companions:
    """The sound and subtitles of a video, written as far as its pictures have come.

    A stream that the container can hold is copied as it is, with times that rise; other sound is encoded as AAC (Opus
    in WebM), other subtitles of text as the container has them; what can be neither is left out. Everything but a copy
    is said in one line of the log, and nothing that is wrong with a stream ends the video.

    Args:
        path: of the video.
        target: container of PyAV that is being written, before its header.
        sound: keep the sound.
    """

    def __init__(self, path: Path, target: Any, *, sound: bool) -> None:
        self._path = path
        self._source = open_video(path)
        self._tracks: dict[int, _Track] = {}
        for stream in self._source.streams:
            if stream.type == "subtitle" or (stream.type == "audio" and sound):
                track = self._tracked(stream, target)
                if track is not None:
                    self._tracks[stream.index] = track
        self._packets = self._rising(self._source.demux(*(self._source.streams[index] for index in self._tracks)))
        self._next: Any = None

    def copy_until(self, time: Fraction) -> None:
        """Write what is heard and read before ``time``, in seconds."""
        if not self._tracks:
            return
        self._next = self._next or next(self._packets, None)
        while self._next is not None and self._next.dts * self._next.time_base < time:
            self._with_track(self._next.stream.index, "take", self._next)
            self._next = next(self._packets, None)

    def finish(self, time: Fraction) -> None:
        """Write what comes before ``time``, and what encoders still hold."""
        self.copy_until(time)
        for index in list(self._tracks):
            self._with_track(index, "flush")

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _tracked(self, stream: Any, target: Any) -> _Track | None:
        name, suffix = f"the {_KINDS[stream.type]} of {self._path.name} ({_codec(stream)})", target.format.name
        if _works(_Copied, self._path, stream.index, suffix):
            return _Copied(stream, target)
        other: type[_Encoded] | type[_Worded] = _Encoded if stream.type == "audio" else _Worded
        if _works(other, self._path, stream.index, suffix):
            log.warning("%s: encoded anew, %s cannot hold it as it is", name, suffix)
            return other(stream, target)
        log.warning("%s: left out, %s cannot hold it%s", name, suffix, "; .mkv may" if suffix != "matroska" else "")
        return None

    def _with_track(self, index: int, method: str, *arguments: Any) -> None:
        """Have a track do something; one that cannot goes on no longer, the others and the pictures do."""
        if index not in self._tracks:
            return
        try:
            getattr(self._tracks[index], method)(*arguments)
        except (require_av().FFmpegError, ValueError) as error:
            del self._tracks[index]
            stream = self._source.streams[index]
            kind = _KINDS[stream.type]
            log.warning("the %s of %s is damaged (%s): what was before it is kept", kind, self._path, first_line(error))

    def _rising(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Packets with something in them, each with a time to decode it."""
        try:
            for packet in packets:
                packet.dts = packet.pts if packet.dts is None else packet.dts
                if not packet.size or packet.dts is None:
                    continue
                if packet.is_discard and packet.dts * packet.time_base < -_GAP:
                    continue  # cut off by an edit list, and not needed to begin with what follows
                yield packet
        except require_av().FFmpegError as error:
            log.warning("the sound of %s is damaged (%s): what was before it is kept", self._path, error.strerror)


class _Copied:
    """Packets as they are, at times that rise as containers want them."""

    def __init__(self, stream: Any, target: Any) -> None:
        self._target = target
        self._stream = target.add_stream_from_template(stream)
        _label(self._stream, stream)
        self._last: int | None = None

    def take(self, packet: Any) -> None:
        """See :class:`_Track`."""
        packet.stream = self._stream
        base = self._stream.time_base
        packet.rescale_ts(require_av().AVRational(base.numerator, base.denominator))
        if self._last is not None:
            packet.dts = max(packet.dts, self._last + 1)
        packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
        self._last = packet.dts
        self._target.mux(packet)

    def flush(self) -> None:
        """See :class:`_Track`: no packet is waiting."""


class _Encoded:
    """Sound that is decoded and encoded anew."""

    def __init__(self, stream: Any, target: Any) -> None:
        av = require_av()
        name = _ENCODERS.get(target.format.name, "aac")
        context, rates = stream.codec_context, av.codec.Codec(name, "w").audio_rates
        if context is None:
            raise ValueError("it cannot be decoded")
        self._rate = context.sample_rate if not rates or context.sample_rate in rates else 48_000
        few = {1: "mono", 2: "stereo"}.get(context.channels)
        layout = few or (context.layout.name if name == "aac" else "stereo")
        self._target = target
        self._stream = target.add_stream(name, rate=self._rate, layout=layout)
        _label(self._stream, stream)
        encoder = self._stream.codec_context
        self._resampler = av.AudioResampler(encoder.format, layout, self._rate)
        self._samples: int | None = None

    def take(self, packet: Any) -> None:
        """See :class:`_Track`."""
        at = packet.dts * packet.time_base
        for frame in packet.decode():
            frame.pts = None
            self._encode(self._resampler.resample(frame), at)

    def flush(self) -> None:
        """See :class:`_Track`."""
        self._encode(self._resampler.resample(None), Fraction(0))
        self._target.mux(self._stream.encode(None))

    def _encode(self, frames: list[Any], at: Fraction) -> None:
        for frame in frames:
            if self._samples is None or at > Fraction(self._samples, self._rate) + _GAP:
                self._samples = round(at * self._rate)
            frame.pts, frame.time_base = self._samples, Fraction(1, self._rate)
            self._samples += frame.samples
            self._target.mux(self._stream.encode(frame))


class _Worded:
    """Subtitles of text in another of its forms."""

    def __init__(self, stream: Any, target: Any) -> None:
        self._decoder, self._target = stream.codec_context, target
        if self._decoder is None:
            raise ValueError("they cannot be decoded")
        self._decoder.open(False)
        self._stream = target.add_stream(_WORDED[target.format.name])
        self._encoder = self._stream.codec_context
        self._encoder.subtitle_header = self._decoder.subtitle_header
        _label(self._stream, stream)

    def take(self, packet: Any) -> None:
        """See :class:`_Track`."""
        found, seconds = self._decoder.decode2(packet), (packet.duration or 0) * packet.time_base
        for part in found.rects if found is not None else ():
            if part.type != b"ass":
                raise ValueError("they are pictures")
            words = require_av().subtitles.subtitle.SubtitleSet.create(part.ass, 0, round(seconds * 1000))
            made = self._encoder.encode_subtitle(words)
            made.stream, made.time_base = self._stream, _MILLISECOND
            made.pts = made.dts = round((packet.dts if packet.pts is None else packet.pts) * packet.time_base * 1000)
            made.duration = round(seconds * 1000)
            self._target.mux(made)

    def flush(self) -> None:
        """See :class:`_Track`: nothing waits."""


def _works(kind: type[_Copied] | type[_Encoded] | type[_Worded], path: Path, index: int, container: str) -> bool:
    """Whether a stream can go into a container that way: tried on its first packets, in memory."""
    av = require_av()
    try:
        with open_video(path) as source, av.open(io.BytesIO(), "w", format=container) as target:
            track = kind(source.streams[index], target)
            target.start_encoding()
            looked = itertools.islice(source.demux(), _LOOKED_AT)
            first = (p for p in looked if p.stream.index == index and p.size and p.dts is not None)
            for packet in itertools.islice(first, _TRIED_PACKETS):
                track.take(packet)
            track.flush()
    except (av.FFmpegError, ValueError, LookupError):
        return False
    return True


def _label(stream: Any, source: Any) -> None:
    """Give a stream the language, title and purpose of another one."""
    stream.metadata.update(titles(source))
    stream.disposition = source.disposition


def titles(stream: Any) -> dict[str, str]:
    """Language and title of a stream, however its container calls them."""
    found = {key.lower(): value for key, value in stream.metadata.items()}
    title = found.get("title") or found.get("name")
    language = found.get("language", "und")
    return ({"language": language} if language != "und" else {}) | ({"title": title} if title else {})


def _codec(stream: Any) -> str:
    context = stream.codec_context
    return context.name if context is not None else "a codec that this FFmpeg does not know"
