"""Thousands of files, damaged by chance: each is read or refused in one line; no traceback, no crash, no hang.

The work is done in processes of their own, with a limit of memory and of computing time. The slow tests try 600 files;
``EDGE_HARMONY_MUTATED=10`` makes them try 2,400.
"""

import io
import multiprocessing
import os
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.pictures import heif
from edge_harmony.pictures.encode import encode_picture
from edge_harmony.pictures.images import Picture, decode_mask, decode_picture
from tests.unit.pictures.making import SUFFIXES, mutated, repaired, valid_files
from tests.unit.pictures.test_images import smooth

pytestmark = pytest.mark.lengthy

COMPUTING_SECONDS, MEMORY = 900, 12 << 30
BATCH = 100


def pictures():
    yield from valid_files()
    gray = smooth()[..., 0]
    for mode, kind, options in (
        ("P", "PNG", {"transparency": 3}),
        ("LA", "PNG", {}),
        ("1", "PNG", {}),
        ("LAB", "TIFF", {}),
        ("RGB", "TIFF", {"compression": "zstd"}),
        ("RGBA", "TIFF", {"compression": "tiff_lzw"}),
        ("RGBA", "WEBP", {"lossless": True}),
        ("RGB", "GIF", {}),
        ("RGB", "JPEG2000", {}),
    ):
        out = io.BytesIO()
        picture = Image.merge("LAB", [Image.fromarray(gray)] * 3) if mode == "LAB" else Image.fromarray(smooth())
        (picture if mode == "LAB" else picture.convert(mode)).save(out, kind, **options)
        yield out.getvalue()
    for suffix in heif.SUFFIXES[:2]:
        try:
            yield encode_picture(Picture(smooth(channels=4)), suffix)
        except EdgeHarmonyError:
            continue  # its encoder is not installed


def masks():
    square = np.zeros((40, 60), np.uint8)
    square[10:30, 20:50] = 15
    square[9], square[30] = 255, 255
    label = Image.fromarray(square)
    colours = Image.fromarray(square)
    colours.putpalette([k * 37 % 256 for k in range(768)])
    for picture in (label, colours, label.convert("1"), label.convert("LA"), label.convert("RGBA")):
        for kind in ("PNG", "TIFF"):
            out = io.BytesIO()
            picture.save(out, kind)
            yield out.getvalue()


def videos(folder):
    """Containers with edit lists, shapes of pixels, turned pictures, sound, subtitles, chapters, covers."""
    pytest.importorskip("av")
    from fractions import Fraction

    from tests.unit.test_real_files import film
    from tests.unit.video.making import make_video
    from tests.unit.video.test_companions import with_cover, with_subtitles

    def shaped(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)

    film(folder / "shaped.mp4", prepare=shaped)
    film(folder / "alpha.mov", codec="qtrle", kind="argb")
    film(folder / "alpha.webm", codec="libvpx-vp9", kind="yuva420p")
    with_cover(folder / "cover.mp4", "mjpeg")
    with_subtitles(folder / "words.mkv")
    levels = [(120, 128, 128)] * 10
    make_video(folder / "old.avi", levels, codec="mpeg4", kind="yuv420p", sound=True, sound_codec="pcm_s16le")
    make_video(folder / "phone.mov", levels, codec="libx264", kind="yuv420p", sound=True, rotation=270)
    make_video(folder / "stream.ts", levels, codec="mpeg2video", kind="yuv420p", sound=True, sound_codec="mp2")
    for path in sorted(folder.iterdir()):
        if path.suffix != ".srt":
            yield path.suffix, path.read_bytes()


def try_pictures(seed, count, folder):
    rng, files = np.random.default_rng(seed), list(pictures())
    for k in range(count):
        data = repaired(mutated(files[k % len(files)], rng))
        yield data, lambda data=data: [encode_picture(decode_picture(data, "p"), suffix) for suffix in SUFFIXES]


def try_masks(seed, count, folder):
    rng, files = np.random.default_rng(seed), list(masks())
    for k in range(count):
        data = repaired(mutated(files[k % len(files)], rng))
        yield data, lambda data=data: decode_mask(data, "m")


def try_videos(seed, count, folder):
    from edge_harmony.video.reader import VideoReader
    from edge_harmony.video.writer import VideoWriter

    def again(path):
        reader = VideoReader(path)
        if reader.size[0] * reader.size[1] > 1 << 20:
            return
        made = folder / "made.mkv"
        with VideoWriter(made, reader.size, reader.rate, source=reader, deep=reader.deep, alpha=reader.alpha) as writer:
            for (pixels, time), _ in zip(reader, range(30), strict=False):
                writer.write(pixels, time)

    (folder / "whole").mkdir()
    rng, files = np.random.default_rng(seed), list(videos(folder / "whole"))
    for k in range(count):
        suffix, whole = files[k % len(files)]
        data, path = mutated(whole, rng), folder / f"p{suffix}"
        path.write_bytes(data)
        yield data, lambda path=path: again(path)


KINDS = {"pictures": try_pictures, "masks": try_masks, "videos": try_videos}


def work(kind, seed, count, folder):
    """A process's life: its exit status is 1 where something else than an error with one line came up."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (COMPUTING_SECONDS, COMPUTING_SECONDS))
    read = 0
    for number, (data, attempt) in enumerate(KINDS[kind](seed, count, folder)):
        (folder / "tried").write_bytes(data)
        try:
            attempt()
        except EdgeHarmonyError as error:
            if "\n" in str(error):
                sys.exit(f"{kind} {seed} {number}: more than a line: {error}")
        except MemoryError:
            continue  # one line of the command says so
        except Exception:
            traceback.print_exc()
            sys.exit(f"{kind} {seed} {number}")
        else:
            read += 1
    if not 0 < read < count:
        sys.exit(f"{kind} {seed}: {read} of {count} were read")


def check(kind, seed, count, folder):
    process = multiprocessing.get_context("spawn").Process(target=work, args=(kind, seed, count, Path(folder)))
    process.start()
    process.join()
    assert process.exitcode == 0, f"{folder}/tried is the file"


@pytest.mark.parametrize("kind", KINDS)
def test_some_mutated_files(kind, tmp_path):
    check(kind, 1, 24, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, int(os.environ.get("EDGE_HARMONY_MUTATED", "4"))))
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(kind, seed, tmp_path):
    check(kind, seed, BATCH, tmp_path)
