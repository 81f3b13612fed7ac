"""One object for everybody: several threads at a time, files, bytes."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from edge_harmony.errors import InputError, UsageError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.alpha import straight
from edge_harmony.pictures.encode import write_picture
from edge_harmony.pictures.images import Picture, decode_picture, in_profile, read_picture
from edge_harmony.samples import sample_files, sample_pictures

pytestmark = pytest.mark.lengthy

RNG = np.random.default_rng(9)


@pytest.mark.parametrize(("backend", "precision"), [("onnxruntime", "int8"), ("openvino", "int8"), ("pytorch", "fp32")])
def test_several_threads_use_one(backend, precision):
    pictures = [RNG.integers(0, 256, (64 + k, 80, 3), np.uint8) for k in range(24)]
    masks = [np.uint8(255) * (RNG.random((64 + k, 80)) > 0.5) for k in range(24)]
    with Harmonizer.from_pretrained("edge-n", backend=backend, precision=precision) as harmonizer:
        alone = [harmonizer.harmonize(*pair) for pair in zip(pictures, masks, strict=True)]
        with ThreadPoolExecutor(6) as pool:
            together = list(pool.map(harmonizer.harmonize, pictures, masks))
    for result, wanted in zip(together, alone, strict=True):
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(("backend", "precision"), [("onnxruntime", "int8"), ("openvino", "int8"), ("pytorch", "fp32")])
def test_loaded_once_it_serves_children_of_a_fork(backend, precision):
    """As ``gunicorn --preload``, Celery and torch's DataLoader do."""
    if backend == "pytorch":
        pytest.importorskip("torch")
    code = (
        "import os, signal; import numpy as np; from edge_harmony import Harmonizer;"
        f"harmonizer = Harmonizer.from_pretrained('edge-n', backend={backend!r}, precision={precision!r}, threads=2);"
        "composite = np.arange(300 * 400 * 3, dtype=np.uint32).reshape(300, 400, 3).astype(np.uint8);"
        "mask = np.zeros((300, 400), np.uint8); mask[50:250, 50:350] = 255;"
        "before = harmonizer.harmonize(composite, mask); child = os.fork();"
        "child or signal.alarm(300);"  # a child that hangs is ended
        "child or os._exit(not np.allclose(harmonizer.harmonize(composite, mask), before, atol=1));"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


def test_bytes_to_bytes():
    composite, mask = next(iter(sample_files()))
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        made = harmonizer.harmonize_bytes(composite.read_bytes(), mask.read_bytes(), ".png")
        _, pixels, weight = next(iter(sample_pictures()))
        np.testing.assert_allclose(decode_picture(made, "made").pixels, harmonizer.harmonize(pixels, weight), atol=1)
        half = harmonizer.harmonize_bytes(composite.read_bytes(), mask.read_bytes(), ".png", strength=0.5)
        wanted = harmonizer.harmonize(pixels, weight, strength=0.5)
        np.testing.assert_allclose(decode_picture(half, "half").pixels, wanted, atol=1)
        assert not np.array_equal(wanted, harmonizer.harmonize(pixels, weight))
        with pytest.raises(InputError, match=r"letter\.png is not a picture"):
            harmonizer.harmonize_bytes(b"dear madam", mask.read_bytes(), ".png", names=("letter.png", "mask"))
        with pytest.raises(UsageError, match="suffix"):
            harmonizer.harmonize_bytes(composite.read_bytes(), mask.read_bytes(), ".gif")


@pytest.mark.parametrize("form", ["mask", "mask and background", "cut-out and background"])
def test_what_a_mask_file_means_is_asked_once(form):
    """Inverted, these levels are weak weights; read as a mask once more, they would be class ids."""
    picture = cv2.resize(RNG.integers(0, 256, (5, 6, 3), np.uint8), (120, 90))
    levels = np.full((90, 120), 255, np.uint8)
    levels[20:70, 30:90], levels[30:60, 40:80] = 240, 230
    planes = picture[..., ::-1], levels, np.dstack([picture[..., ::-1], levels])
    composite, mask, cut_out = (cv2.imencode(".png", pixels)[1].tobytes() for pixels in planes)
    given = (cut_out, None) if "cut-out" in form else (composite, mask)
    behind = composite if "background" in form else None
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        made = harmonizer.harmonize_bytes(*given, ".png", invert_mask=True, background=behind)
        wanted = harmonizer.harmonize(picture, (255 - levels) / np.float32(255))
    np.testing.assert_allclose(decode_picture(made, "made").pixels[..., :3], wanted, atol=1)
    assert not np.array_equal(wanted, picture)


def test_files_and_arrays_give_equal_results():
    """Of the levels of an 8-bit mask nothing is rounded on the way, and both are the same arithmetic."""
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        for composite, mask in sample_files():
            made = harmonizer.harmonize_bytes(composite.read_bytes(), mask.read_bytes(), ".png")
            levels = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
            wanted = harmonizer.harmonize(read_picture(composite).pixels, levels)
            np.testing.assert_array_equal(decode_picture(made, "made").pixels, wanted)


@pytest.fixture
def cut_out(tmp_path):
    """Files of a cut-out with soft edges, straight and premultiplied, of a background, and of the same composite."""
    scene = cv2.resize(RNG.random((5, 6, 3), np.float32), (120, 90))
    thing = cv2.resize(0.6 + 0.4 * RNG.random((4, 4, 3), np.float32), (120, 90))
    alpha = np.zeros((90, 120), np.float32)
    cv2.circle(alpha, (60, 45), 25, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 2)

    def save(name, pixels):
        Image.fromarray(np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)).save(tmp_path / name)

    save("street.png", scene)
    save("straight.png", np.dstack([thing, alpha]))
    save("premultiplied.png", np.dstack([thing * alpha[..., None], alpha]))
    save("thing.png", thing)
    save("alpha.png", alpha)
    save("inverted.png", 1 - alpha)
    return tmp_path


@pytest.mark.parametrize("name", ["straight.png", "premultiplied.png"])
def test_the_alpha_of_a_cut_out_is_its_mask(cut_out, name):
    street = cut_out / "street.png"
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        harmonizer.harmonize_file(cut_out / name, None, cut_out / "out.png", background=street)
        harmonizer.harmonize_file(cut_out / "thing.png", cut_out / "alpha.png", cut_out / "a.png", background=street)
        wanted, made = (read_picture(cut_out / file).pixels for file in ("a.png", "out.png"))
        assert made.shape == (90, 120, 3)
        assert np.abs(made.astype(int) - wanted).max() <= (1 if name == "straight.png" else 8)
        arguments = cut_out / "thing.png", cut_out / "inverted.png", cut_out / "b.png"
        harmonizer.harmonize_file(*arguments, background=street, invert_mask=True)
        assert np.abs(read_picture(cut_out / "b.png").pixels.astype(int) - wanted).max() <= 1
        with pytest.raises(UsageError, match="background=FILE"):
            harmonizer.harmonize_file(cut_out / name, None, cut_out / "out.png")
        with pytest.raises(InputError, match="no transparency"):
            harmonizer.harmonize_file(cut_out / "thing.png", None, cut_out / "out.png", background=street)


@pytest.mark.parametrize("kinds", [(np.uint16, np.uint8), (np.uint8, np.uint16)])
def test_a_background_of_another_depth_is_brought_to_the_foregrounds(tmp_path, kinds):
    pixels = np.full((40, 60, 3), 51, np.uint8)
    for name, kind in zip(("f", "b"), kinds, strict=True):
        write_picture(tmp_path / f"{name}.png", Picture(pixels if kind == np.uint8 else pixels.astype(kind) * 257))
    cv2.imwrite(str(tmp_path / "m.png"), np.pad(np.full((20, 20), 255, np.uint8), ((10, 10), (20, 20))))
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        harmonizer.harmonize_file(
            tmp_path / "f.png", tmp_path / "m.png", tmp_path / "o.png", background=tmp_path / "b.png"
        )
    made = read_picture(tmp_path / "o.png").pixels
    assert made.dtype == kinds[0]
    assert (made[:9] == 51 * (257 if kinds[0] == np.uint16 else 1)).all()


def test_dark_things_with_soft_edges_are_left_as_they_are():
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    dark = np.dstack([np.full((64, 64, 3), 8, np.uint8), alpha])
    np.testing.assert_array_equal(straight(dark), dark)


def test_a_background_in_another_profile_is_converted():
    """Red and green exchanged in a profile: its numbers mean other colours."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = srgb.replace(b"rXYZ", b"****").replace(b"gXYZ", b"rXYZ").replace(b"****", b"gXYZ")
    red = np.full((4, 5, 3), (255, 0, 0), np.uint8)
    converted = in_profile(Picture(red, icc=exchanged), None)
    assert np.abs(converted[0, 0].astype(int) - (0, 255, 0)).max() <= 2
    assert in_profile(Picture(red), None) is red


def test_calling_it_harmonizes_what_programs_have():
    _, composite, mask = next(iter(sample_pictures()))
    torch = pytest.importorskip("torch")
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        wanted = harmonizer.harmonize(composite, mask)
        np.testing.assert_array_equal(harmonizer(composite, mask), wanted)
        image = harmonizer(Image.fromarray(composite), Image.fromarray(np.rint(mask * 255).astype(np.uint8)))
        assert np.abs(np.asarray(image).astype(int) - wanted).max() <= 1
        tensor = harmonizer(torch.from_numpy(composite).permute(2, 0, 1), torch.from_numpy(mask)[None])
        np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy(), wanted)
        np.testing.assert_array_equal(harmonizer(*next(iter(sample_files()))), wanted)


def test_a_list_is_harmonized_picture_by_picture():
    pairs = [(RNG.integers(0, 256, (40 + k, 60, 3), np.uint8), np.ones((40 + k, 60), np.float32)) for k in range(2)]
    composites, masks = map(list, zip(*pairs, strict=True))
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        results = harmonizer(composites, masks)
        for result, pair in zip(results, pairs, strict=True):
            np.testing.assert_array_equal(result, harmonizer(*pair))
        assert harmonizer([], []) == []
        with pytest.raises(InputError, match="2 composites but 1 masks; give a mask for each"):
            harmonizer(composites, masks[:1])
        with pytest.raises(InputError, match="2 composites but no list of masks"):
            harmonizer(composites, masks[0])
        with pytest.raises(UsageError, match="in_place is for arrays"):
            harmonizer(Image.fromarray(composites[0]), masks[0], in_place=True)


def _harmonized(harmonizer, composite, mask):
    return harmonizer(composite, mask)


def test_it_goes_to_other_processes():
    composite, mask = RNG.integers(0, 256, (40, 60, 3), np.uint8), np.ones((40, 60), np.float32)
    with Harmonizer.from_pretrained("edge-n", threads=1) as harmonizer:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            made = pool.submit(_harmonized, harmonizer, composite, mask).result()
        np.testing.assert_array_equal(made, harmonizer(composite, mask))
        assert repr(harmonizer) == "<Harmonizer model='edge-n', threads=1, working at 256x256>"
        with pickle.loads(pickle.dumps(harmonizer)) as copy:
            assert repr(copy) == repr(harmonizer)
        own = Harmonizer(harmonizer.runner)
        assert "working at 256x256" in repr(own)
        with pytest.raises(TypeError, match="cannot be pickled; make it with Harmonizer"):
            pickle.dumps(own)


def test_the_result_has_the_size_of_the_background(tmp_path):
    thing = np.full((20, 30, 3), 200, np.uint8)
    write_picture(tmp_path / "f.png", Picture(thing))
    cv2.imwrite(str(tmp_path / "m.png"), np.full((20, 30), 255, np.uint8))
    behind = RNG.integers(0, 256, (60, 100, 3), np.uint8)
    write_picture(tmp_path / "b.png", Picture(behind))
    files = tmp_path / "f.png", tmp_path / "m.png", tmp_path / "o.png"
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        size = harmonizer.harmonize_file(
            *files, background=tmp_path / "b.png", position=(10, 59), scale=2.0, anchor="bottom-left"
        )
        assert size == (100, 60)
        made = read_picture(tmp_path / "o.png").pixels
        inside = np.zeros((60, 100), bool)
        inside[19:59, 10:70] = True
        np.testing.assert_array_equal(made[~inside], behind[~inside])
        assert made[inside].std() < behind[inside].std() / 2
        with pytest.raises(UsageError, match="give background=FILE"):
            harmonizer.harmonize_file(*files, scale=2.0)
