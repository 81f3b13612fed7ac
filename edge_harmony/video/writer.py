"""Writing videos: frames at their times, with the sound and the colour description of the source video."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import UsageError, first_line
from edge_harmony.video.attachments import Attachments
from edge_harmony.video.companions import Companions
from edge_harmony.video.decode import has_alpha
from edge_harmony.video.ffmpeg import SCREEN, address, require_av
from edge_harmony.video.matroska import RESERVED, set_shape
from edge_harmony.video.reader import VideoReader, colour_format

log = logging.getLogger(__name__)

_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
_OPTIONS = {
    "libx264": {"crf": "20", "preset": "superfast"},
    "libx265": {"crf": "22", "preset": "superfast", "x265-params": "log-level=error"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    "libsvtav1": {"crf": "26", "preset": "10"},
}
"""Of encoders, where theirs are slower or lose more than one sees."""
_WITH_ALPHA = "codec=prores_ks or qtrle (.mov), ffv1 (.mkv), libvpx-vp9 (.webm)"
_RGB, _FULL = 0, 2
_CLOCK = Fraction(1, 90_000)
_OF_CONTAINERS = ("major_brand", "minor_version", "compatible_brands", "encoder")
"""Metadata that describe the container, not the video."""


def default_codec(path: Path) -> str:
    """The encoder for a suffix."""
    return "libvpx-vp9" if path.suffix.lower() == ".webm" else "libx264"


class VideoWriter:
    """Writes a video frame by frame; after :meth:`close` it can be played, with any number of frames.

    Args:
        path: path of the file; the suffix chooses the container.
        size: (width, height).
        rate: frames a second; the times of the frames count, this is a hint to the encoder.
        source: the video that the frames were made from: its unit of time, shape of pixels, colours, metadata,
            subtitles and chapters are kept.
        deep: frames are uint16.
        alpha: frames have an alpha channel; it is kept where the encoder has one.
        sound: keep the sound of the source; see :class:`~edge_harmony.video.companions.Companions`. It ends with the
            frames.
        codec: FFmpeg's name of an encoder: ``libx264``, ``libx265``, ``libvpx-vp9``, ``libsvtav1``, ``ffv1``,
            ``h264_nvenc``, ...; None: the default of the suffix.
        options: options of the encoder: ``crf``, ``preset`` and so on.

    Raises:
        UsageError: container, encoder or options do not go together.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: Fraction,
        *,
        source: VideoReader | None = None,
        deep: bool = False,
        alpha: bool = False,
        sound: bool = True,
        codec: str | None = None,
        options: dict[str, str] | None = None,
    ) -> None:
        av = self._av = require_av()
        codec = codec or default_codec(path)
        self._colour = source.colour if source else SCREEN
        self._base = source.time_base if source else _CLOCK
        self._format = _pixel_format(codec, size, source, deep, alpha)
        made_of = av.VideoFormat(self._format)
        self._opaque = alpha and not has_alpha(made_of)
        if self._opaque:
            log.warning("%s has no alpha here, and it is dropped: %s keep it", codec, _WITH_ALPHA)
        self._kind = colour_format(deep=deep, alpha=alpha and not self._opaque)
        self._end = Fraction(0)
        self._path, self._size, self._source = path, size, source
        self._companions: Companions | None = None
        attachments: Attachments | None = None
        self._container = av.open(address(path), "w", format=_CONTAINERS[path.suffix.lower()])
        try:
            self._stream = self._container.add_stream(
                codec, rate=rate.limit_denominator(65535), options=_options(codec, options or {}, source)
            )
            self._stream.width, self._stream.height, self._stream.pix_fmt = *size, self._format
            context = self._stream.codec_context
            context.time_base = self._stream.time_base = self._base
            is_rgb = made_of.is_rgb
            context.colorspace = _RGB if is_rgb else self._colour.matrix
            context.color_range = _FULL if is_rgb else self._colour.range
            context.color_primaries, context.color_trc = self._colour.primaries, self._colour.transfer
            if source is not None:
                if source.aspect:
                    context.sample_aspect_ratio = source.aspect
                kept = {key: value for key, value in source.metadata.items() if key not in _OF_CONTAINERS}
                self._container.metadata.update(kept)
                self._stream.metadata.update(source.titles)
                if self._is_shaped_later:
                    self._stream.metadata["title"] = RESERVED + source.titles.get("title", "")
                self._container.set_chapters(source.chapters)
                self._companions = Companions(source.path, self._container, sound=sound)
                attachments = Attachments(source.path, self._container)
                if source.dynamic:
                    log.warning("%s of %s: left out, it describes the frames before", source.dynamic, source.path.name)
            self._container.start_encoding()
            if attachments is not None:
                attachments.start()
        except (av.FFmpegError, ValueError) as error:
            self._abandon()
            raise UsageError(
                f"cannot write {path.suffix} with {codec}: {first_line(error)}",
                "choose another codec or suffix (.mkv holds nearly everything)",
            ) from None

    def write(self, pixels: NDArray[Any], time: Fraction) -> None:
        """Append a frame.

        Args:
            pixels: ``(H, W, 3)`` RGB, or ``(H, W, 4)`` with alpha; uint8, or uint16 if the video is deep.
            time: seconds; later than that of the frame before.
        """
        pixels = np.ascontiguousarray(pixels[..., :3] if self._opaque else pixels)
        frame = self._av.VideoFrame.from_numpy_buffer(pixels, self._kind)
        frame = frame.reformat(
            format=self._format, dst_colorspace=self._colour.name, dst_color_range=self._colour.range
        )
        frame.pts, frame.time_base = round(time / self._base), self._base
        self._container.mux(self._stream.encode(frame))
        self._end = time
        if self._companions:
            self._companions.copy_until(time)

    def close(self) -> None:
        """Write the frames that are still in the encoder, and the index."""
        try:
            self._container.mux(self._stream.encode(None))
            if self._companions:
                self._companions.finish(self._end + 1 / self._stream.codec_context.framerate)
        finally:
            self._abandon()
        if self._is_shaped_later and self._source is not None and self._source.aspect:
            set_shape(self._path, self._size, self._source.aspect, self._source.titles.get("title", ""))

    @property
    def _is_shaped_later(self) -> bool:
        """Whether the shape of pixels goes into the finished file: PyAV gives it to the codec alone."""
        aspect = self._source.aspect if self._source else None
        return aspect not in (None, 1) and self._container.format.name in ("matroska", "webm")

    def _abandon(self) -> None:
        if self._companions:
            self._companions.close()
        self._container.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()


def _options(codec: str, given: dict[str, str], source: VideoReader | None) -> dict[str, str]:
    """Of an encoder: ours, those given, and what HDR10 says of the source's light."""
    options = _OPTIONS.get(codec, {}) | given
    light = source.light if source else None
    if light is not None and codec == "libx265":
        options["x265-params"] = ":".join(part for part in (light.x265(), options.get("x265-params", "")) if part)
    elif light is not None:
        log.warning("%s writes no HDR10 metadata (mastering display, MaxCLL) here: codec=libx265 does", codec)
    return options


def _pixel_format(codec: str, size: tuple[int, int], source: VideoReader | None, deep: bool, alpha: bool) -> str:
    """The pixel format for the encoder: the source's if it takes that, else 4:2:0, or 4:4:4 for odd sizes.

    ``alpha`` asks for one with alpha, where it has any.

    Raises:
        UsageError: there is no such encoder.
    """
    av = require_av()
    try:
        encoder = av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        raise UsageError(
            f"the installed FFmpeg has no encoder {codec!r}", "libx264, libx265 and libvpx-vp9 are common"
        ) from None
    if encoder.type != "video":
        raise UsageError(f"{codec} does not encode video", "libx264, libx265 and libvpx-vp9 are common")
    offered = [kind.name for kind in encoder.video_formats or []]
    even = size[0] % 2 == size[1] % 2 == 0
    wanted = _like_source(source, codec, offered, alpha) if source else []
    if alpha:
        wanted += [kind for kind in offered if has_alpha(av.VideoFormat(kind)) and _bits(kind) > 8 * deep]
        wanted += [kind for kind in offered if has_alpha(av.VideoFormat(kind))]
    wanted += [f"yuv4{'20' if even else '44'}p{'10le' if deep else ''}", f"yuv4{'20' if even else '44'}p"]
    if not even:
        wanted = [kind for kind in wanted if not _is_subsampled(kind)]
    wanted = [kind for kind in wanted if kind in offered]
    found = (kind for kind in wanted if not has_alpha(av.VideoFormat(kind)) or _opens(codec, kind, size))
    return next(found, offered[0] if offered else "yuv420p")


def _opens(codec: str, kind: str, size: tuple[int, int]) -> bool:
    """Whether an encoder that offers a layout takes it: libx265 offers alpha that it is often built without."""
    av = require_av()
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt, context.time_base = *size, kind, _CLOCK
    try:
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _like_source(source: VideoReader, codec: str, offered: list[str], alpha: bool) -> list[str]:
    """Layouts that hold what the source's holds; RGB only where the encoder is not one for players."""
    own = source.pixel_format.replace("yuvj", "yuv")
    opaque = own.replace("yuva", "yuv").replace("gbrap", "gbrp")
    if own.startswith("yuv"):
        return [own, opaque] if alpha else [opaque]
    if not require_av().VideoFormat(own).is_rgb or codec in _OPTIONS:
        return []
    kinds = [require_av().VideoFormat(kind) for kind in offered]
    bits = 16 if source.deep else 8
    fit = [kind for kind in kinds if kind.is_rgb and has_alpha(kind) == alpha and _bits(kind.name) >= bits]
    return [own, *(kind.name for kind in sorted(fit, key=lambda kind: _bits(kind.name)))]


def _bits(kind: str) -> int:
    return max(component.bits for component in require_av().VideoFormat(kind).components)


def _is_subsampled(kind: str) -> bool:
    format_ = require_av().VideoFormat(kind)
    return bool(format_.chroma_width(64) != 64 or format_.chroma_height(64) != 64)
