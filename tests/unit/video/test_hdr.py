"""HDR: curves against the standards' points, there and back; what displays are told; what networks see."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from edge_harmony.video.hdr import HLG, PQ, from_sdr, to_sdr
from edge_harmony.video.job import VideoJob, VideoOptions, harmonize_video
from edge_harmony.video.reader import VideoReader
from edge_harmony.video.writer import VideoWriter
from tests.unit.pipeline.test_harmonize import FakeRunner

DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
PARAMS = f"log-level=error:hdr10=1:repeat-headers=1:master-display={DISPLAY}:max-cll=1000,400"


def source_of(path, transfer=PQ, luma=(300, 600), codec="libx265", params=PARAMS):
    """Halves of two brightnesses, of 10 bits, BT.2020."""
    with av.open(str(path), "w") as container:
        options = {"x265-params": params} if codec == "libx265" else {}
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = 9, 1, 9, transfer
        for number in range(3):
            frame = av.VideoFrame(64, 48, "yuv420p10le")
            lines = np.zeros((48, frame.planes[0].line_size // 2), np.uint16)
            lines[:24], lines[24:] = luma
            frame.planes[0].update(lines.tobytes())
            for plane in frame.planes[1:]:
                plane.update((512).to_bytes(2, "little") * (plane.buffer_size // 2))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def srgb(share):
    return 1.055 * share ** (1 / 2.4) - 0.055


@pytest.mark.parametrize(("transfer", "white"), [(PQ, 0.5806), (HLG, 0.75)])  # ITU-R BT.2408, table 1: 203 nits
def test_diffuse_white_is_bright_and_not_the_end(transfer, white):
    codes = np.rint(np.array([0, white, 1]) * 65535).astype(np.uint16)
    black, diffuse, peak = to_sdr(codes, transfer) / 65535
    assert (black, peak) == (0, 1)
    assert 0.75 < diffuse < 0.95


def test_what_is_dark_keeps_its_light():
    """PQ of 20.3 nits, a tenth of diffuse white."""
    root = (20.3 / 10_000) ** 0.1593017578125
    code = ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375  # SMPTE ST 2084, the inverse curve
    found = to_sdr(np.array([round(code * 65535)], np.uint16), PQ)[0] / 65535
    assert found == pytest.approx(srgb(0.1), abs=5e-3)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_there_and_back(transfer):
    codes = np.arange(65536, dtype=np.uint16)
    there = to_sdr(codes, transfer)
    assert (np.diff(there.astype(int)) >= 0).all()
    np.testing.assert_array_equal(from_sdr(there, codes, transfer), codes)
    bright = codes[codes > 6000]  # below it a step of 16 bits of sRGB is many of PQ: thousandths of a nit
    changed = np.where(there[bright] < 65535, there[bright] + 1, there[bright] - 1).astype(np.uint16)
    assert np.abs(from_sdr(changed, bright, transfer).astype(int) - bright).max() < 64  # a step of 10 bits


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_displays_are_told_is_kept(tmp_path, caplog, suffix):
    (tmp_path / "in").mkdir()
    source = source_of(tmp_path / "in" / "s.mkv")
    light = VideoReader(source).light
    assert (light.mastering, light.content) == (DISPLAY, (1000, 400))
    cv2.imwrite(str(tmp_path / "m.png"), np.full((48, 64), 255, np.uint8))
    made = tmp_path / f"o{suffix}"
    harmonize_video(
        FakeRunner(value=0.0),
        VideoJob(str(source), str(tmp_path / "m.png"), made, options=VideoOptions(codec="libx265")),
    )
    assert not caplog.records
    reader = VideoReader(made)
    assert reader.light == light
    assert (reader.colour.matrix, reader.colour.primaries, reader.colour.transfer) == (9, 9, PQ)
    harmonize_video(FakeRunner(value=0.0), VideoJob(str(source), str(tmp_path / "m.png"), tmp_path / "x.mp4"))
    assert [record.message.count("codec=libx265") for record in caplog.records] == [1]


def with_hdr10_plus(path):
    """A message of user data, ITU-T T.35 and SMPTE ST 2094-40, before the first slice of an HEVC stream."""
    data = source_of(path).read_bytes()
    bits = "01" + f"{400:027b}" + "0" + f"{100:017b}" * 4 + "0000" + f"{0:010b}" + "000"
    bits += "0" * (-len(bits) % 8)
    body = bytes.fromhex("b5003c00010401") + int(bits, 2).to_bytes(len(bits) // 8, "big")
    message = bytes((4, len(body))) + body + b"\x80"
    for after in (0, 1, 2, 3):  # emulation prevention
        message = message.replace(bytes((0, 0, after)), bytes((0, 0, 3, after)))
    at = data.index(b"\0\0\1\x28\1") if b"\0\0\1\x28\1" in data else data.index(b"\0\0\1\x26\1")
    path.write_bytes(data[:at] + b"\0\0\1\x4e\1" + message + data[at:])
    return path


def test_what_frames_say_of_themselves_is_left_out_with_a_line(tmp_path, caplog):
    """HDR10+ described the frames before."""
    source = with_hdr10_plus(tmp_path / "s.hevc")
    reader = VideoReader(source)
    assert reader.dynamic == "HDR10+"
    options = {"deep": True, "codec": "libx265"}
    with VideoWriter(tmp_path / "o.mp4", reader.size, reader.rate, source=reader, **options) as writer:
        for pixels, time in reader:
            writer.write(pixels, time)
    made = VideoReader(tmp_path / "o.mp4")
    assert (made.dynamic, made.light) == ("", reader.light)
    assert [record.message.count("HDR10+") for record in caplog.records] == [1]


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_networks_see_what_they_know_and_the_rest_stays(tmp_path, transfer):
    source = source_of(tmp_path / "s.mkv", transfer, codec="ffv1")
    mask = np.zeros((48, 64), np.uint8)
    mask[:24] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    seen = []

    class Seeing(FakeRunner):
        def infer(self, composite, mask):
            seen.append(composite.copy())
            return super().infer(composite, mask)

    job = VideoJob(str(source), str(tmp_path / "m.png"), tmp_path / "o.mkv", options=VideoOptions(codec="ffv1"))
    harmonize_video(Seeing(value=0.05), job)
    before, after = (next(iter(VideoReader(path)))[0] for path in (source, tmp_path / "o.mkv"))
    wanted = to_sdr(before, transfer) / 65535
    assert seen[0][0, :, 10].mean() == pytest.approx(wanted[4].mean(), abs=0.01)
    np.testing.assert_array_equal(after[25:], before[25:])
    change = to_sdr(after, transfer)[4].mean() / 65535 - wanted[4].mean()
    assert change == pytest.approx(0.05, abs=0.01)
    assert VideoReader(tmp_path / "o.mkv").colour.transfer == transfer
