"""Files as phones, cameras and tools write them: a case of each kind that users of such programs report.

Through the public calls only. The kinds are tested one by one beside their modules.
"""

import io
import os
import struct
import subprocess
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from edge_harmony.cli.main import main
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.folder.run import run_folder
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.encode import write_picture
from edge_harmony.pictures.images import read_mask, read_picture
from tests.unit.folder.making import REAL
from tests.unit.pipeline.test_harmonize import FakeRunner
from tests.unit.video.making import make_video

pytestmark = pytest.mark.lengthy

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
INNER = np.s_[15:25, 25:45]


def gradient(height=40, width=60):
    across, down = np.meshgrid(np.linspace(60, 180, width), np.linspace(60, 180, height))
    return np.dstack([across, down, np.full_like(across, 120)]).astype(np.uint8)


def square(value=255, height=40, width=60):
    mask = np.zeros((height, width), np.uint8)
    mask[10:30, 20:50] = value
    return mask


def jpeg(pixels=None, **options):
    out = io.BytesIO()
    Image.fromarray(gradient() if pixels is None else pixels).save(out, "JPEG", quality=95, **options)
    return out.getvalue()


@pytest.fixture
def put(tmp_path):
    """Writes bytes or pixels under a name, and returns the path."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            Image.fromarray(content).save(path)
        return path

    return write


@pytest.fixture(scope="module")
def harmonizer():
    with Harmonizer(FakeRunner(value=0.1)) as one:
        yield one


def changed(path, before):
    """Mean change of a result in its foreground."""
    return float((read_picture(path).pixels.astype(int) - before)[INNER].mean())


def test_1_the_profile_beside_a_second_picture(put):
    out = io.BytesIO()
    pictures = [Image.fromarray(gradient(20, 30))]
    Image.fromarray(gradient()).save(out, "MPO", save_all=True, append_images=pictures, icc_profile=SRGB)
    source = put("p.jpg", out.getvalue())
    write_picture(source.with_name("o.png"), read_picture(source))
    with Image.open(source.with_name("o.png")) as made:
        assert made.info["icc_profile"] == SRGB


def test_2_motion_photos(put):
    film = b"\0\0\0\x18ftypmp42" + b"\xff\xda\xff\xd8" * 50
    assert read_picture(put("p.jpg", jpeg() + film)).pixels.shape == (40, 60, 3)


def test_3_one_limit_of_pixels(put, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_picture(put("p.jpg", jpeg())).pixels.shape == (40, 60, 3)


def test_4_profiles_of_other_spaces_are_not_written(put):
    cmyk = SRGB[:16] + b"CMYK" + SRGB[20:]
    assert read_picture(put("p.jpg", jpeg(icc_profile=cmyk))).icc is None


def test_5_no_preview_of_the_old_picture(put, tmp_path):
    preview = jpeg(gradient(16, 24))
    first = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 26)  # turned; the second directory is at 26
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(preview), 0)
    block = struct.pack("<2sHI", b"II", 42, 8) + first + second + preview
    write_picture(tmp_path / "o.jpg", read_picture(put("p.jpg", jpeg(exif=b"Exif\0\0" + block))))
    assert preview not in (tmp_path / "o.jpg").read_bytes()
    with Image.open(tmp_path / "o.jpg") as made:
        assert made.size == (40, 60)
        assert made.getexif().get(0x0112, 1) == 1
        assert not made.getexif().get_ifd(1)


def test_6_a_background_in_another_profile(put, tmp_path, harmonizer):
    """What looks red in the background has the numbers of blue there, and of red in the result."""
    red, blue = (np.full((40, 60, 3), colour, np.uint8) for colour in ((200, 20, 20), (20, 20, 200)))
    out = io.BytesIO()
    Image.fromarray(blue).save(out, "PNG", icc_profile=swapped_profile())
    foreground, mask, background = put("f.png", red), put("m.png", square()), put("b.png", out.getvalue())
    harmonizer.harmonize_file(foreground, mask, tmp_path / "o.png", background=background)
    assert np.abs(read_picture(tmp_path / "o.png").pixels[0, 0].astype(int) - (200, 20, 20)).max() < 12


def swapped_profile():
    """sRGB with red and blue exchanged."""
    count = struct.unpack_from(">I", SRGB, 128)[0]
    made = bytearray(SRGB)
    places = {bytes(SRGB[132 + 12 * k : 136 + 12 * k]): 132 + 12 * k for k in range(count)}
    made[places[b"rXYZ"] : places[b"rXYZ"] + 4], made[places[b"bXYZ"] : places[b"bXYZ"] + 4] = b"bXYZ", b"rXYZ"
    return bytes(made)


def test_7_names_of_255_bytes(put, tmp_path):
    picture = read_picture(put("p.png", gradient()))
    write_picture(tmp_path / ("x" * 251 + ".png"), picture)
    assert (tmp_path / ("x" * 251 + ".png")).is_file()


@pytest.mark.parametrize("value", [1, 15, 38])
def test_8_masks_of_two_values(put, tmp_path, harmonizer, value):
    result = harmonizer.harmonize(gradient(), square(value))
    assert (result.astype(int) - gradient())[INNER].mean() > 20
    harmonizer.harmonize_file(put("c.png", gradient()), put("m.png", square(value)), tmp_path / "o.png")
    assert changed(tmp_path / "o.png", gradient()) > 20


def test_9_a_cut_out_needs_no_mask(put, tmp_path):
    cut_out, street = put("c.png", np.dstack([gradient(), square()])), put("b.png", gradient()[::-1])
    made = tmp_path / "o.png"
    assert main(["harmonize", str(cut_out), "--background", str(street), "-o", str(made), "--model", "edge-n"]) == 0
    np.testing.assert_array_equal(read_picture(made).pixels[0], gradient()[-1])


def test_10_a_mask_on_sensor_pixels(put, tmp_path, harmonizer):
    exif = Image.Exif()
    exif[0x0112] = 6
    harmonizer.harmonize_file(put("c.jpg", jpeg(exif=exif)), put("m.png", square()), tmp_path / "o.png")
    before, after = (read_picture(tmp_path / name).pixels.astype(int) for name in ("c.jpg", "o.png"))
    assert (after - before)[25:45, 15:25].mean() > 20
    np.testing.assert_array_equal(after[:19], before[:19])


def test_11_pictures_and_masks_in_one_folder(put, tmp_path):
    for name in ("in/dog.jpg", "in/IMG_1.JPG"):
        put(name, jpeg())
    put("in/dog_mask.png", square())
    put("in/IMG_1.PNG", square())
    report = run_folder(REAL, str(tmp_path / "in"), str(tmp_path / "in"), str(tmp_path / "out"))
    assert (report.done, report.failed) == (2, [])


# Videos

LEVELS = (120, 128, 128)


def film(path, count=10, *, prepare=lambda stream: None, codec="libx264", options=None, kind="yuv420p", luma=None):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, kind
        prepare(stream)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 + 4 * number, np.uint8), "rgb24")
            if luma is not None:
                frame = av.VideoFrame.from_ndarray(np.dstack([luma(number)] * 3), "rgb24")
            frame = frame.reformat(format=kind)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def harmonized(tmp_path, put):
    """The result of a video, by ``harmonize_video``."""
    pytest.importorskip("av")
    from edge_harmony.video.job import VideoJob, VideoOptions, harmonize_video
    from edge_harmony.video.reader import VideoReader

    def do(source, name, **options):
        mask = put("m.png", np.pad(np.full((28, 44), 255, np.uint8), 10))
        job = VideoJob(str(source), str(mask), tmp_path / name, options=VideoOptions(**options))
        harmonize_video(FakeRunner(value=0.1), job)
        return VideoReader(tmp_path / name)

    return do


def test_12_the_shape_of_pixels(tmp_path, harmonized):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)

    import av

    harmonized(film(tmp_path / "s.mp4", prepare=prepare), "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(64, 45)


def test_13_interlaced_frames(tmp_path, harmonized):
    def luma(number):
        lines = np.full((48, 64), 50, np.uint8)
        lines[0::2, (4 * number) % 48 : (4 * number) % 48 + 16] = 200
        lines[1::2, (4 * number + 2) % 48 : (4 * number + 2) % 48 + 16] = 200
        return lines

    options = {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "1"}
    made = harmonized(film(tmp_path / "s.mp4", luma=luma, options=options), "o.mp4")
    combs = [np.abs(np.diff(pixels[:9, :, 1].astype(int), axis=0)).mean() for pixels, _ in made]
    assert len(combs) == 10
    assert max(combs[2:-2]) < 3


def test_14_edit_lists(tmp_path, harmonized):
    path = film(tmp_path / "s.mp4", 30)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    data[at + 12 : at + 16] = struct.pack(">I", 800)  # of 1,200 ms
    path.write_bytes(data)
    from edge_harmony.video.reader import VideoReader

    assert VideoReader(path).count == 20
    assert len(list(harmonized(path, "o.mp4"))) == 20


def test_15_sound_that_mp4_cannot_hold(tmp_path, harmonized):
    source = make_video(
        tmp_path / "s.avi", [LEVELS] * 10, codec="mpeg4", kind="yuv420p", sound=True, sound_codec="pcm_u8"
    )
    made = harmonized(source, "o.mp4")
    assert len(list(made)) == 10
    assert made.has_sound


def test_16_mirrored_videos(tmp_path, harmonized):
    def luma(number):
        lines = np.full((48, 64), 30, np.uint8)
        lines[:16, :8] = 220
        return lines

    matrix = [-1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]
    made = harmonized(
        film(tmp_path / "s.mp4", luma=luma, prepare=lambda stream: stream.set_display_matrix(matrix)), "o.mp4"
    )
    (pixels, _), *_ = made
    assert pixels[1:7, -7:-1].mean() > 180
    assert pixels[1:7, 1:7].mean() < 60
    assert pixels[-7:-1].mean() < 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_17_loaded_once_and_forked():
    code = (
        "import os, signal; import numpy as np; from edge_harmony import Harmonizer;"
        "harmonizer = Harmonizer.from_pretrained('edge-n', threads=2);"
        "composite = np.arange(300 * 400 * 3, dtype=np.uint32).reshape(300, 400, 3).astype(np.uint8);"
        "mask = np.zeros((300, 400), np.uint8); mask[50:250, 50:350] = 255;"
        "before = harmonizer.harmonize(composite, mask); child = os.fork();"
        "child or signal.alarm(300);"  # a child that hangs is ended
        "child or os._exit(not np.array_equal(harmonizer.harmonize(composite, mask), before));"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


def test_19_metadata_from_format_to_format(put, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a dog"
    picture = read_picture(put("p.jpg", jpeg(exif=exif, dpi=(300, 300), comment="of mine")))
    write_picture(tmp_path / "o.tif", picture)
    write_picture(tmp_path / "o.png", picture)
    with Image.open(tmp_path / "o.tif") as tiff, Image.open(tmp_path / "o.png") as png:
        assert tiff.getexif()[0x010E] == "a dog"
        assert png.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert png.text == {"Comment": "of mine"}


def test_20_void_around_a_class_id(put):
    mask = square(15)
    mask[8:10, 18:52] = mask[30:32, 18:52] = 255
    mask[8:32, 18:20] = mask[8:32, 50:52] = 255
    found = read_mask(put("m.png", mask))
    assert found[INNER].min() == 1
    assert found[9, 30] == 0


def test_21_chapters_and_ends(tmp_path, harmonized):
    import av

    path = tmp_path / "s.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        times = {"start": 0, "end": 400, "time_base": Fraction(1, 1000)}
        container.set_chapters([{"id": 1, "metadata": {"title": "one"}, **times}])
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    harmonized(path, "o.mkv")
    with av.open(str(tmp_path / "o.mkv")) as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["one"]
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(EdgeHarmonyError):
        harmonized(path, "cut.mkv")


def test_22_too_little_memory_is_no_damage(put, tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        error = cv2.error("Insufficient memory")
        error.code = cv2.Error.StsNoMem
        raise error

    picture, mask = put("p.png", gradient()), put("m.png", square())
    for name in ("imdecode", "imread"):
        monkeypatch.setattr(cv2, name, refuse)
    assert main(["harmonize", str(picture), str(mask), "-o", str(tmp_path / "o.png"), "--model", "edge-n"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "memory" in line
