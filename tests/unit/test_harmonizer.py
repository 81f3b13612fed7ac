"""One object for everybody: several threads at a time, files, bytes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edge_harmony.errors import InputError, UsageError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.images import decode_picture
from edge_harmony.samples import sample_files, sample_pictures

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
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_loaded_once_it_serves_children_of_a_fork(backend):
    """As ``gunicorn --preload``, Celery and torch's DataLoader do."""
    code = (
        "import os, signal; import numpy as np; from edge_harmony import Harmonizer;"
        f"harmonizer = Harmonizer.from_pretrained('edge-n', backend={backend!r}, threads=2);"
        "composite = np.arange(300 * 400 * 3, dtype=np.uint32).reshape(300, 400, 3).astype(np.uint8);"
        "mask = np.zeros((300, 400), np.uint8); mask[50:250, 50:350] = 255;"
        "before = harmonizer.harmonize(composite, mask); child = os.fork();"
        "child or signal.alarm(300);"  # a child that hangs is ended
        "child or os._exit(not np.array_equal(harmonizer.harmonize(composite, mask), before));"
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
