"""What tests of training share: a recipe of two short stages, runs that are killed, data sets."""

import shutil

import torch

from edge_harmony.files.toml import parse_toml
from edge_harmony.samples import sample_files
from edge_harmony.training.distributed import World
from edge_harmony.training.recipe import Recipe
from edge_harmony.training.trainer import Trainer

WORLD = World(0, 1, torch.device("cpu"))


RECIPE = """
seed = 5
validate_every = 32
checkpoint_every = 16
[model]
name = "edge-n"
options = {{ widths = [8, 8, 16, 16, 24], hidden = 16 }}
[data]
root = {root!r}
layout = "{layout}"
validation = 0.2
[[stages]]
name = "float"
images = 48
size = 64
batch = 8
freeze = 0.5
loss_stride = 2
warmup = 16
[[stages]]
name = "quantized"
images = 32
size = 64
batch = 8
learning_rate = 1e-4
quantize = true
freeze = 0.5
"""


SOURCES = """[[data.sources]]
name = "pairs"
[[data.sources]]
name = "own"
layout = "photos"
weight = 3.0
[data.sources.synthesis]
camera = 1.0
sealed = 1.0
"""


def recipe(root, layout="iharmony4", **changes):
    parsed = parse_toml(RECIPE.format(root=str(root), layout=layout), Recipe, "test")
    return parsed.model_copy(update=changes)


class Killed(Exception):
    pass


def killed_after(images):
    class Stop(Trainer):
        def _time_is_up(self):
            if self.position.total == images:
                raise Killed
            return super()._time_is_up()

    return Stop


def own_photographs(root):
    for folder in ("photos", "masks"):
        (root / folder).mkdir(parents=True)
    for composite, mask in sample_files():
        for k in range(4):
            shutil.copy(composite, root / "photos" / f"{composite.stem}{k}.jpg")
            shutil.copy(mask, root / "masks" / f"{composite.stem}{k}.png")
    return root


def two_sources(mini_root, tmp_path, validation=0.2):
    text = RECIPE.format(root="x", layout="iharmony4").replace("root = 'x'\nlayout = \"iharmony4\"\n", "")
    text = text.replace("[[stages]]", SOURCES + "[[stages]]", 1).replace(
        "validation = 0.2", f"validation = {validation}"
    )
    parsed = parse_toml(text, Recipe, "test")
    own = tmp_path / "own"
    if not own.exists():
        own_photographs(own)
    data = parsed.data.with_roots([f"pairs={mini_root}", f"own={own}"])
    return parsed.model_copy(update={"data": data})
