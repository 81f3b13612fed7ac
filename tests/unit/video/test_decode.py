"""What players do with videos and decoders do not: shape of pixels, fields, mirrors, edit lists, ends."""

import struct
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from edge_harmony.errors import InputError
from edge_harmony.video.reader import VideoReader
from edge_harmony.video.writer import VideoWriter
from tests.unit.video.making import make_video

pytestmark = pytest.mark.lengthy

LEVELS = (120, 128, 128)


def written(path, frames, *, codec="libx264", kind="yuv420p", size=(64, 48), options=None, prepare=lambda stream: None):
    """``frames`` are planes of brightness."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, kind
        prepare(stream)
        for number, luma in enumerate(frames):
            frame = av.VideoFrame(*size, kind)
            lines = np.zeros((size[1], frame.planes[0].line_size), np.uint8)
            lines[:, : size[0]] = luma
            frame.planes[0].update(lines.tobytes())
            for plane in frame.planes[1:]:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def again(reader, path, **options):
    with VideoWriter(path, reader.size, reader.rate, source=reader, deep=reader.deep, **options) as writer:
        for pixels, time in reader:
            writer.write(pixels, time)
    return VideoReader(path)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", None), (".mov", None), (".mkv", None), (".webm", None), (".mkv", "libvpx-vp9"), (".webm", "libsvtav1")],
)
@pytest.mark.parametrize("shape", [Fraction(64, 45), Fraction(8, 9), Fraction(1)])
def test_the_shape_of_pixels_is_kept(tmp_path, caplog, suffix, codec, shape):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = shape

    reader = VideoReader(written(tmp_path / "s.mkv", [100] * 3, prepare=prepare))
    assert reader.aspect == shape
    made = again(reader, tmp_path / f"o{suffix}", codec=codec)
    assert float(made.aspect or 1) == pytest.approx(float(shape), rel=0.01)  # the width is a whole number of pixels
    assert len(list(made)) == 3
    assert not caplog.records
    assert made.titles == {}


@pytest.mark.parametrize("title", ["view", "A very long name of a track, longer than what is kept free for the shape"])
def test_the_shape_of_pixels_leaves_the_name_of_the_track(tmp_path, title):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.metadata["title"] = title

    reader = VideoReader(written(tmp_path / "s.mkv", [100] * 3, prepare=prepare))
    made = again(reader, tmp_path / "o.webm")
    assert (made.titles, made.aspect) == ({"title": title}, Fraction(85, 64))


def test_the_shape_of_pixels_turns_with_the_picture(tmp_path):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)

    reader = VideoReader(written(tmp_path / "s.mp4", [100] * 3, prepare=prepare))
    assert (reader.size, reader.aspect) == ((48, 64), Fraction(3, 4))
    assert again(reader, tmp_path / "o.mp4").aspect == Fraction(3, 4)


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "mpeg2video"), (".mp4", "libx264"), (".mkv", "libx264")])
def test_fields_become_pictures(tmp_path, caplog, suffix, codec):
    """A bar that has moved on between the two fields of a frame."""
    frames = []
    for k in range(12):
        luma = np.full((48, 64), 50, np.uint8)
        luma[:, :16] = 200
        luma[0::2], luma[1::2] = np.roll(luma[0::2], 8 * k, 1), np.roll(luma[1::2], 8 * k + 4, 1)
        frames.append(luma)
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1"} if codec == "libx264" else {"flags": "+ildct+ilme"}
    if codec == "mpeg2video":
        options["qscale"] = "1"
    reader = VideoReader(written(tmp_path / f"s{suffix}", frames, codec=codec, options=options))
    found = list(reader)
    assert len(found) == len(frames)
    steps = np.diff([float(time) for _, time in found])
    np.testing.assert_allclose(steps, 1 / 25, atol=2e-3)
    combed = [np.abs(np.diff(luma.astype(int), axis=0)).mean() for luma in frames]
    for (pixels, _), before in zip(found[2:-2], combed[2:-2], strict=True):
        assert np.abs(np.diff(pixels[..., 1].astype(int), axis=0)).mean() < before / 4
    list(reader)
    assert [record.message.count("interlaced") for record in caplog.records] == [2]


@pytest.mark.parametrize("matrix", range(8))
def test_pictures_are_turned_and_mirrored_as_players_do(tmp_path, matrix):
    across, right, down = bool(matrix & 4), 1 if matrix & 1 else -1, 1 if matrix & 2 else -1
    a, b, c, d = (0, down, right, 0) if across else (right, 0, 0, down)
    numbers = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    luma = np.full((48, 64), 30, np.uint8)
    luma[:16, :32] = 220  # above on the left
    path = written(tmp_path / "s.mp4", [luma] * 2, prepare=lambda stream: stream.set_display_matrix(numbers))
    reader = VideoReader(path)
    (pixels, _), _ = reader
    assert pixels.shape[1::-1] == reader.size == ((48, 64) if across else (64, 48))
    height, width = pixels.shape[:2]
    wanted = np.zeros((height, width), bool)
    for y in range(0, 16):
        for x in range(0, 32):
            to_x, to_y = a * x + c * y, b * x + d * y  # libavutil/display.h
            wanted[to_y if to_y > 0 or down > 0 else to_y - 1, to_x if to_x > 0 or right > 0 else to_x - 1] = True
    assert pixels[wanted].mean() > 200
    assert pixels[~wanted].mean() < 50


def cut_by_edit_list(path, begin, count):
    """As tools that trim without loss do it: all samples are there, and a list says which are shown."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    version, entries, _, start = struct.unpack(">IIIi", data[at + 4 : at + 20])
    assert (version, entries) == (0, 1)
    scale, step = 12800, 512  # FFmpeg's for 25 frames a second
    data[at + 12 : at + 20] = struct.pack(">Ii", count * 1000 // 25, start + begin * step)
    assert scale == step * 25
    path.write_bytes(data)


@pytest.mark.parametrize(("begin", "count"), [(0, 20), (5, 25), (12, 10)])
def test_what_an_edit_list_cuts_off_is_not_counted(tmp_path, begin, count):
    path = written(tmp_path / "s.mp4", [60 + 4 * k for k in range(30)])
    whole = [pixels.mean() for pixels, _ in VideoReader(path)]
    cut_by_edit_list(path, begin, count)
    reader = VideoReader(path)
    found = [pixels.mean() for pixels, _ in reader]
    np.testing.assert_allclose(found, whole[begin : begin + count])
    assert reader.count == reader.shown() == count


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
@pytest.mark.parametrize("share", [0.98, 0.7])
def test_a_file_that_is_cut_off_is_no_shorter_film(tmp_path, suffix, share):
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(suffix, "libx264")
    noise = np.random.default_rng(1).integers(0, 255, (20, 48, 64), np.uint8)
    path = tmp_path / f"s{suffix}"
    with av.open(str(path), "w", options={"movflags": "faststart"} if suffix in (".mp4", ".mov") else {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, luma in enumerate(noise):
            frame = av.VideoFrame.from_ndarray(np.repeat(luma[..., None], 3, 2), "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert len(list(VideoReader(path))) == 20
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="cut off"):
        VideoReader(path)


def test_files_without_an_end_are_read(tmp_path):
    """Written without going back: fragments, a live stream, and something after the last box."""
    for name, options in (("f.mp4", {"movflags": "frag_keyframe+empty_moov"}), ("l.mkv", {"live": "1"})):
        with av.open(str(tmp_path / name), "w", options=options) as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(5):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        assert len(list(VideoReader(tmp_path / name))) == 5
    path = make_video(tmp_path / "s.mp4", [LEVELS] * 5, codec="libx264", kind="yuv420p")
    path.write_bytes(path.read_bytes() + b"something else of its maker")
    assert len(list(VideoReader(path))) == 5


@pytest.mark.parametrize("name", ["a:b.mp4", "https:x.mkv", "file:c.mp4", "12:30:00 %d.mov"])
def test_names_with_colons_are_names(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "s.mp4", [LEVELS] * 5, codec="libx264", kind="yuv420p", sound=True).rename(tmp_path / name)
    made = again(VideoReader(name), tmp_path / f"o{name}")
    assert made.has_sound
    assert len(list(made)) == 5


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_texts_of_old_tools_are_read(tmp_path, suffix):
    """Latin-1, where UTF-8 is expected: of the file and of a track."""
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    path = make_video(tmp_path / f"s{suffix}", [LEVELS] * 5, codec=codec, kind="yuv420p", sound=True, title="Xrger")
    path.write_bytes(path.read_bytes().replace(b"Xrger", b"\xc4rger").replace(b"SoundHandler", b"S\xf6undHandler"))
    reader = VideoReader(path)
    assert reader.metadata["title"].endswith("rger")
    made = again(reader, tmp_path / "o.mkv")
    assert len(list(made)) == 5
    assert made.metadata["title"] == reader.metadata["title"]


def test_the_log_of_pyav_may_be_on(tmp_path):
    """Its lock and a decoder's threads waited for each other."""
    path = make_video(tmp_path / "s.mp4", [LEVELS] * 5, codec="libx264", kind="yuv420p")
    code = (
        "import av, sys; av.logging.set_level(av.logging.VERBOSE);"
        "from edge_harmony.video.reader import VideoReader; sys.exit(len(list(VideoReader(sys.argv[1]))) != 5)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], timeout=300, check=False).returncode == 0
