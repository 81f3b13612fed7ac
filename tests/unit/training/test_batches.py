"""Batches: sources by weight, pictures in memory or in files, files that are broken."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from edge_harmony.errors import InputError
from edge_harmony.training.composites.synthesis import synthesize
from edge_harmony.training.trainer import Trainer
from tests.unit.training.making import WORLD, recipe, two_sources


def test_several_sources_give_every_batch_by_weight_and_their_own_rules(mini_root, tmp_path, monkeypatch):
    parsed = two_sources(mini_root, tmp_path)
    made = []

    def record(real, mask, given, size, config, generator, partners):
        made.append((len(real), given is not None, config.camera))
        return synthesize(real, mask, given, size, config, generator, partners)

    monkeypatch.setattr("edge_harmony.training.batches.synthesize", record)
    trainer = Trainer(parsed, tmp_path / "out", WORLD)
    for k in range(60):
        assert len(trainer.batches.take(0, 8 * k).real) == 8
    pairs, own = ([count for count, given, _ in made if given is has] for has in (True, False))
    assert sum(pairs) + sum(own) == 480
    assert sum(own) / 480 == pytest.approx(0.75, abs=0.07)
    assert {(given, camera) for _, given, camera in made} == {(True, 0.0), (False, 1.0)}
    assert set(trainer.run()["validation"]) >= {"psnr", "fmse"}


def test_sets_larger_than_memory_give_the_same_weights(mini_root, tmp_path):
    whole, lean = (Trainer(recipe(mini_root), tmp_path / str(size), WORLD, memory=size) for size in (1 << 30, 0))
    assert whole.run()["validation"] == lean.run()["validation"]
    ours, theirs = load_file(lean.weights), load_file(whole.weights)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_broken_training_files_are_named(mini_root, tmp_path):

    root = tmp_path / "root"
    shutil.copytree(mini_root, root)
    broken = next(iter((root / "HCOCO" / "real_images").iterdir()))
    for path in (root / "HCOCO" / "real_images").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=f"samples cannot be read: .*{broken.parent.name}"):
        Trainer(recipe(root), tmp_path / "out", WORLD).run()
