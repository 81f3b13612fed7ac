"""Drawing samples whose objects have similar colours."""

import cv2
import numpy as np
import torch
from numpy.testing import assert_allclose

from edge_harmony.data.photos import read_photos
from edge_harmony.training.dataset import FileStore, MemoryStore, draw_alike


def photographs(root, count=5):
    """Photographs whose objects have one colour each; returns the colours in [0, 1]."""
    rng = np.random.default_rng(0)
    colours = rng.integers(20, 235, (count, 3))
    for folder in ("photos", "masks"):
        (root / folder).mkdir(parents=True)
    for k, colour in enumerate(colours):
        picture = rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)
        mask = np.zeros((96, 128), np.uint8)
        mask[24:72, 32:96] = 255
        picture[mask > 0] = colour
        cv2.imwrite(str(root / "photos" / f"{k}.png"), picture[..., ::-1])
        cv2.imwrite(str(root / "masks" / f"{k}.png"), mask)
    return colours / 255


def test_object_colours_are_the_objects_alone(tmp_path):
    colours = photographs(tmp_path)
    samples = read_photos(tmp_path)
    for store in (MemoryStore(samples, 64), FileStore(samples, 48)):
        assert_allclose(store.object_colours(), colours, atol=2 / 255)
        assert store.object_colours() is store.object_colours()


def test_partners_are_near_and_lend_to_each_other():
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(3000, 3, generator=generator)
    index = torch.randint(len(colours), (33,), generator=generator)
    drawn, partner = draw_alike(colours, index, 0.1, generator)
    assert torch.equal(drawn[:16], index[:16])
    assert drawn[32] == index[32]
    assert partner[32] == 32
    assert torch.equal(partner[partner], torch.arange(33))
    pairs = (colours[drawn] - colours[drawn[partner]]).norm(dim=1)[:32]
    assert (pairs > 0).all()
    assert pairs.max() < 0.4
    # density of the distance d is d^2 exp(-d^2 / s^2): its mean is 2 s / sqrt(pi), near the middle of the cube
    distances = torch.cat(
        [
            (colours[a] - colours[b]).norm(dim=1)[:100]
            for a, b in (
                (d, d[p])
                for d, p in (
                    draw_alike(colours, torch.randint(len(colours), (200,), generator=generator), 0.1, generator)
                    for _ in range(10)
                )
            )
        ]
    )
    assert abs(float(distances.mean()) - 2 * 0.1 / np.pi**0.5) < 0.01


def test_objects_alone_are_their_own_partners():
    generator = torch.Generator().manual_seed(0)
    for colours, index in ((torch.rand(1, 3), torch.zeros(4, dtype=torch.long)), (torch.rand(9, 3), torch.tensor([5]))):
        drawn, partner = draw_alike(colours, index, 0.1, generator)
        assert torch.equal(drawn, index)
        assert torch.equal(partner, torch.arange(len(index)))


def test_without_a_like_object_any_is_drawn():
    colours = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    drawn, _ = draw_alike(colours, torch.tensor([0, 0]), 0.01, torch.Generator().manual_seed(0))
    assert drawn[1] in (0, 1, 2)
