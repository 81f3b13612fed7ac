"""What goes along with pictures: sound that fits, does not fit or cannot be decoded; broken times."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from edge_harmony.video import companions
from edge_harmony.video.reader import VideoReader
from edge_harmony.video.writer import VideoWriter
from tests.unit.video.making import make_video, sound_packets, tone

pytestmark = pytest.mark.lengthy

COUNT, RATE = 25, 25


def source_of(path, codec, **options):
    kind = "mpeg4" if path.suffix == ".avi" else "libx264"
    return make_video(
        path, [(120, 128, 128)] * COUNT, codec=kind, kind="yuv420p", sound=True, sound_codec=codec, **options
    )


def again(source, output, frames=COUNT, **options):
    """Written once more, its first frames."""
    reader = VideoReader(source)
    with VideoWriter(output, reader.size, reader.rate, source=reader, **options) as writer:
        for (pixels, time), _ in zip(reader, range(frames), strict=False):
            writer.write(pixels, time)
    assert len(list(VideoReader(output))) == frames
    return output


def streams(path):
    with av.open(str(path)) as container:
        return [(s.type, s.codec_context.name) for s in container.streams if s.type in ("audio", "subtitle")]


def seconds_of_sound(path):
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize("codec", ["pcm_s16le", "libmp3lame", "aac"])
@pytest.mark.parametrize("source", [".avi", ".mkv"])
@pytest.mark.parametrize("output", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_where_it_fits(tmp_path, caplog, codec, source, output):
    made = again(source_of(tmp_path / f"s{source}", codec), tmp_path / f"o{output}")
    wanted = [data for _, data in sound_packets(tmp_path / f"s{source}")]
    assert b"".join(data for _, data in sound_packets(made)) == b"".join(wanted)
    assert not caplog.records


@pytest.mark.parametrize(
    ("codec", "source", "output", "wanted"),
    [("aac", ".mp4", ".webm", "opus"), ("pcm_s16le", ".avi", ".webm", "opus"), ("libopus", ".mkv", ".mov", "aac")],
)
def test_sound_that_does_not_fit_is_encoded_anew(tmp_path, caplog, codec, source, output, wanted):
    made = again(source_of(tmp_path / f"s{source}", codec), tmp_path / f"o{output}")
    assert streams(made) == [("audio", wanted)]
    assert seconds_of_sound(made) == pytest.approx(1, abs=0.05)
    assert [record.message.count("encoded anew") for record in caplog.records] == [1]
    half = again(tmp_path / f"s{source}", tmp_path / f"half{output}", frames=COUNT // 2)
    assert seconds_of_sound(half) == pytest.approx(0.5, abs=0.06)  # it ends with the frames


def test_sound_that_nobody_knows_is_left_out_beside_sound_that_is_kept(tmp_path, caplog):
    """As telephones write it: AAC, and the same in a codec of their maker."""
    path = tmp_path / "s.mp4"
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=RATE)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        voices = [container.add_stream("aac", rate=48000, layout="mono") for _ in range(2)]
        for number in range(COUNT):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([100]) * plane.buffer_size)
            frame.pts = number
            container.mux(pictures.encode(frame))
            for voice in voices:
                container.mux(voice.encode(tone(number, RATE, voice)))
        for stream in (pictures, *voices):
            container.mux(stream.encode(None))
    data = path.read_bytes()
    at, described = data.rindex(b"mp4a"), data.rindex(b"esds")
    path.write_bytes(data[:at] + b"apac" + data[at + 4 : described] + b"free" + data[described + 4 :])
    made = again(path, tmp_path / "o.mp4")
    assert streams(made) == [("audio", "aac")]
    assert [data for _, data in sound_packets(made)] == [data for _, data in sound_packets(path)]
    (record,) = caplog.records
    assert "left out" in record.message


@pytest.mark.parametrize("broken", [[0, 1024, 1024, 2048], [0, 3072, 1024, 2048], [5000, 0, 1000, 2000]])
@pytest.mark.parametrize("output", [".mp4", ".mkv", ".webm"])
def test_broken_times_of_sound_lose_nothing(tmp_path, monkeypatch, broken, output):
    source = source_of(tmp_path / "s.mkv", "aac" if output != ".webm" else "libopus")
    wanted = [data for _, data in sound_packets(source)]
    rising = companions.Companions._rising

    def disturbed(self, packets):
        for number, packet in enumerate(rising(self, packets)):
            if number < len(broken):
                packet.pts = packet.dts = round(Fraction(broken[number], 48000) / packet.time_base)
            yield packet

    monkeypatch.setattr(companions.Companions, "_rising", disturbed)
    made = again(source, tmp_path / f"o{output}")
    assert [data for _, data in sound_packets(made)] == wanted
    times = [time for time, _ in sound_packets(made)]
    assert times == sorted(times)


@pytest.mark.parametrize("place", ["take", "flush"])
def test_an_error_in_the_sound_keeps_the_frames(tmp_path, caplog, monkeypatch, place):
    source = source_of(tmp_path / "s.mp4", "aac")
    monkeypatch.setattr(companions, "_works", lambda *arguments: True)

    def fails(self, *arguments):
        raise av.error.InvalidDataError(1, "no sense")

    monkeypatch.setattr(companions._Copied, place, fails)
    again(source, tmp_path / "o.mp4")
    assert [record.message.count("is damaged") for record in caplog.records] == [1]


def test_no_sound(tmp_path):
    assert streams(again(source_of(tmp_path / "s.mp4", "aac"), tmp_path / "o.mp4", sound=False)) == []


def test_a_silent_video_has_no_sound(tmp_path):
    source = make_video(tmp_path / "s.mkv", [(120, 128, 128)] * COUNT)
    assert streams(again(source, tmp_path / "o.mkv", codec="ffv1")) == []
    assert np.all([pixels.shape == (48, 64, 3) for pixels, _ in VideoReader(tmp_path / "o.mkv")])


SRT = "1\n00:00:00,100 --> 00:00:00,400\nGuten Tag\n\n2\n00:00:00,500 --> 00:00:00,900\nAuf Wiedersehen\n"


def with_subtitles(path):
    """Pictures, two tracks of sound with names, subtitles and chapters."""
    (path.parent / "s.srt").write_text(SRT)
    with av.open(str(path.parent / "s.srt")) as text, av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=RATE)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        pictures.metadata["title"] = "the view"
        voices = [container.add_stream("aac", rate=48000, layout="mono") for _ in range(2)]
        for voice, language in zip(voices, ("ger", "fre"), strict=True):
            voice.metadata.update(language=language, title=f"in {language}")
        words = container.add_stream_from_template(text.streams.subtitles[0])
        words.metadata["language"] = "ger"
        times = {"start": 0, "end": 500, "time_base": Fraction(1, 1000)}
        container.set_chapters(
            [
                {"id": 1, "metadata": {"title": "one"}, **times},
                {"id": 2, "metadata": {"title": "two"}, **times, "start": 500, "end": 1000},
            ]
        )
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
            frame.pts = number
            container.mux(pictures.encode(frame))
            for voice in voices:
                container.mux(voice.encode(tone(number, RATE, voice)))
        for stream in (pictures, *voices):
            container.mux(stream.encode(None))
        for packet in text.demux():
            if packet.size:
                packet.stream = words
                container.mux(packet)
    return path


def test_tracks_names_chapters_and_subtitles_are_kept(tmp_path, caplog):
    made = again(with_subtitles(tmp_path / "s.mkv"), tmp_path / "o.mkv")
    assert not caplog.records
    with av.open(str(made)) as container:
        assert [s.type for s in container.streams] == ["video", "audio", "audio", "subtitle"]
        assert [companions.titles(s) for s in container.streams] == [
            {"title": "the view"},
            {"language": "ger", "title": "in ger"},
            {"language": "fre", "title": "in fre"},
            {"language": "ger"},
        ]
        chapters = container.chapters()
        assert [chapter["metadata"]["title"] for chapter in chapters] == ["one", "two"]
        packets = [p for p in container.demux(subtitles=0) if p.size]
        assert [bytes(p).decode() for p in packets] == ["Guten Tag", "Auf Wiedersehen"]
        assert [float(p.pts * p.time_base) for p in packets] == [0.1, 0.5]
        assert [round(float(p.duration * p.time_base), 3) for p in packets] == [0.3, 0.4]


@pytest.mark.parametrize(("suffix", "kind"), [(".mp4", "mov_text"), (".mov", "mov_text"), (".webm", "webvtt")])
def test_subtitles_are_written_as_the_container_has_them(tmp_path, caplog, suffix, kind):
    made = again(with_subtitles(tmp_path / "s.mkv"), tmp_path / f"o{suffix}")
    assert streams(made)[2] == ("subtitle", kind)
    assert [record.message.count("encoded anew") for record in caplog.records] == [1] * (3 if suffix == ".webm" else 1)
    with av.open(str(made)) as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["one", "two"]
        languages = [s.metadata.get("language") for s in (*container.streams.audio, *container.streams.subtitles)]
        assert languages == ["ger", "fre", "ger"] or suffix == ".mov"  # QuickTime knows fewer
        packets = [p for p in container.demux(subtitles=0) if p.size > 2]  # an empty one ends the one before in MP4
        assert [bytes(p)[2 * (kind == "mov_text") :].decode() for p in packets] == ["Guten Tag", "Auf Wiedersehen"]
        assert [float(p.pts * p.time_base) for p in packets] == pytest.approx([0.1, 0.5])
        assert [float(p.duration * p.time_base) for p in packets] == pytest.approx([0.3, 0.4])
    back = again(made, tmp_path / "back.mkv")
    assert streams(back)[2][0] == "subtitle"


def picture(codec):
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 10, 10)).save(out, {"mjpeg": "JPEG", "png": "PNG"}[codec])
    return out.getvalue()


def with_cover(path, codec):
    data = picture(codec)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if path.suffix == ".mkv":
            container.add_attachment("cover.jpg", f"image/{'png' if codec == 'png' else 'jpeg'}", data)
            container.add_attachment("font.ttf", "application/x-truetype-font", b"letters")
        else:
            cover = container.add_stream(codec, rate=1)
            cover.width, cover.height, cover.pix_fmt = 40, 30, "rgb24" if codec == "png" else "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
            container.start_encoding()
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = cover, 0, 0
            container.mux(packet)
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("codec", ["mjpeg", "png"])
@pytest.mark.parametrize("source", [".mp4", ".mkv"])
@pytest.mark.parametrize("output", [".mp4", ".mkv", ".webm"])
def test_covers_and_attached_files_are_kept_or_named(tmp_path, caplog, codec, source, output):
    made = again(with_cover(tmp_path / f"s{source}", codec), tmp_path / f"o{output}")
    lost = (output == ".webm") + (source == ".mkv" and output != ".mkv")
    with av.open(str(made)) as container:
        covers = [s for s in container.streams.video if s.disposition & av.stream.Disposition.attached_pic]
        assert len(covers) == (output != ".webm")
        for stream in covers:
            assert bytes(next(p for p in container.demux(stream) if p.size)) == picture(codec)
        files = [(s.name, s.data) for s in container.streams.attachments]
        assert files == ([("font.ttf", b"letters")] if source == output == ".mkv" else [])
    assert len(caplog.records) == bool(lost)
    assert "left out" in caplog.text or not lost
