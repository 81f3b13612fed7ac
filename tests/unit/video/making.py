"""Small videos, written with PyAV alone, so that reading is not tested against our own writing."""

from fractions import Fraction

import av
import numpy as np

SIZE = (64, 48)
BT709 = (0.2126, 0.0722)
BT601 = (0.299, 0.114)


def make_video(
    path,
    frames,
    *,
    codec="ffv1",
    kind="yuv444p",
    rate=25,
    times=None,
    base=Fraction(1, 1000),
    sound=False,
    rotation=0,
    tags=(1, 1),
    title=None,
    sound_codec="aac",
):
    """``frames`` are tuples of constant Y, U, V, or ``(H, W, 3)`` RGB arrays; ``tags`` matrix and range."""
    with av.open(str(path), "w") as container:
        first = frames[0]
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = SIZE if isinstance(first, tuple) else first.shape[1::-1]
        stream.pix_fmt = kind
        stream.codec_context.colorspace, stream.codec_context.color_range = tags
        if times is not None:
            stream.codec_context.time_base = stream.time_base = base
        if rotation:
            stream.set_display_rotation(rotation)
        if title:
            container.metadata["title"] = title
        voice = container.add_stream(sound_codec, rate=48000, layout="mono") if sound else None
        for number, given in enumerate(frames):
            frame = constant(given, kind) if isinstance(given, tuple) else av.VideoFrame.from_ndarray(given, "rgb24")
            frame.colorspace, frame.color_range = tags
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate) if times is None else base
            container.mux(stream.encode(frame))
            if voice is not None:
                container.mux(voice.encode(tone(number, rate, voice)))
        container.mux(stream.encode(None))
        if voice is not None:
            container.mux(voice.encode(None))
    return path


def constant(levels, kind):
    frame = av.VideoFrame(*SIZE, kind)
    for plane, level in zip(frame.planes, levels, strict=False):
        deep = level > 255
        plane.update(
            int(level).to_bytes(2, "little") * (plane.buffer_size // 2) if deep else bytes([level]) * plane.buffer_size
        )
    return frame


def tone(number, rate, stream):
    """A frame's worth of a tone."""
    samples = 48000 // rate
    at = np.arange(number * samples, (number + 1) * samples)
    wave = (0.2 * np.sin(2 * np.pi * 440 * at / 48000)).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, number * samples, Fraction(1, 48000)
    return frame


def rgb(levels, weights, full):
    """ITU-R BT.709/BT.601, equations 3: what 8-bit Y, U, V stand for, 0 to 255."""
    y, u, v = levels
    luma, blue, red = (
        (y / 255, (u - 128) / 255, (v - 128) / 255) if full else ((y - 16) / 219, (u - 128) / 224, (v - 128) / 224)
    )
    of_red, of_blue = weights
    r, b = luma + 2 * (1 - of_red) * red, luma + 2 * (1 - of_blue) * blue
    return np.array([r, (luma - of_red * r - of_blue * b) / (1 - of_red - of_blue), b]) * 255


def sound_packets(path):
    """Time and bytes of every packet of sound."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(audio=0) if p.pts is not None]
