"""Recipes: their hash, those that ship, wrong ones, the roots of their data."""

import pytest

from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.resources import find_resource, resource_names
from edge_harmony.files.toml import parse_toml, read_toml
from edge_harmony.models.registry import find_model
from edge_harmony.training.recipe import Recipe
from edge_harmony.training.trainer import Trainer
from tests.unit.training.making import RECIPE, WORLD, recipe, two_sources


def test_a_recipes_hash_is_of_what_it_sets(tmp_path):
    base = recipe(tmp_path)
    assert base.sha256() == recipe(tmp_path / "elsewhere").sha256()
    assert base.sha256() == recipe(tmp_path, ema=Recipe.model_fields["ema"].default).sha256()
    assert base.sha256() != recipe(tmp_path, seed=6).sha256()


@pytest.mark.parametrize("name", resource_names("recipes"))
def test_shipped_recipes_are_valid(name):
    parsed = read_toml(find_resource("recipes", name), Recipe)
    assert find_model(parsed.model.name).owner == parsed.model.name
    assert f"{name}-".startswith(f"{parsed.model.name}-")  # as edge-s-start is of edge-s


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 5", "seeds = 5", "seeds"),
        ("size = 64", "size = 60", "size"),
        ('name = "quantized"', 'name = "float"', "different names"),
        ("freeze = 0.5\nloss", "quantize = true\nloss", ""),
        ("quantize = true", 'quantize = true\nscales = "kept"', "needs ranges"),
        ("validation = 0.2", "validation = 0.9", "validation"),
        ('[[stages]]\nname = "float"', '[[data.sources]]\nname = "a"\n[[stages]]\nname = "float"', "not both"),
    ],
)
def test_wrong_recipes_name_the_key(old, new, message):
    text = RECIPE.format(root="x", layout="iharmony4").replace(old, new)
    if message:
        with pytest.raises(InputError, match=message):
            parse_toml(text, Recipe, "test")
    else:
        with pytest.raises(InputError, match="without quantization"):
            parse_toml(text.replace("quantize = true\nfreeze = 0.5\n", ""), Recipe, "test")


def test_roots_of_sources_come_by_name(mini_root, tmp_path):
    parsed = two_sources(mini_root, tmp_path)
    bare = parsed.model_copy(update={"data": parsed.data.model_copy(update={"sources": tuple(
        source.model_copy(update={"root": None}) for source in parsed.data.sources)})})  # fmt: skip
    assert bare.sha256() == parsed.sha256()  # where the pictures lie does not enter
    assert [s.name for s in bare.data.with_roots(["own=a"]).sources] == ["own"]
    for given, message in ((["a"], "names no source"), (["other=a"], "names no source")):
        with pytest.raises(UsageError, match=message):
            bare.data.with_roots(given)
    with pytest.raises(UsageError, match="no data root for pairs"):
        Trainer(bare, tmp_path / "o", WORLD)
    with pytest.raises(UsageError, match="more than once"):
        recipe("x").data.with_roots(["a", "b"])
