"""Errors in TOML files: the line, the nearest key, and nothing that only follows from them."""

import pytest

from edge_harmony.errors import InputError
from edge_harmony.files.toml import parse_toml, tomllib
from edge_harmony.files.toml_lines import lines_of_keys
from edge_harmony.training.recipe import Recipe

RECIPE = """# a recipe
seed = 3

[model]
name = "edge-n"
options = { hidden = 64, widths = [1,
2,
3] }

[[data.sources]]
name = "a"

[[data.sources]]
name = "b"
synthesis.opacity = 1

[[stages]]
name = "float"
images = 8

[[stages]]
"name" = "int8"
images = 4  # few
"""


def test_every_key_has_its_line():
    found = lines_of_keys(RECIPE)
    assert found["seed",] == 2
    assert found["model",] == 4
    assert found["model", "options", "widths", 1] == 6  # where the value begins
    assert found["data", "sources", 0, "name"] == 11
    assert found["data", "sources", 1] == 13
    assert found["data", "sources", 1, "synthesis", "opacity"] == 15
    assert found["stages", 1, "name"] == 22
    assert found["stages", 1, "images"] == 23


def paths(content, key=()):
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, inner in items:
        yield (*key, name)
        yield from paths(inner, (*key, name))


@pytest.mark.parametrize(
    "text",
    [
        RECIPE,
        "a = '''\n[b]\nc = 1\n'''\nd = 2",
        "[a]\n[a.b]\nc = 1\n[[a.d]]\n[a.d.e]\nf = 1\n[[a.d]]\n[[a.d.g]]\nh = 1\n[[a.d.g]]\nh = 2",
        "'a.b'.c = [\n# [no]\n[1],\n]\r\n\"d\\u0041\" = 1",
    ],
)
def test_no_key_is_without_a_line(text):
    found = lines_of_keys(text)
    above = {key[:length] for key in found for length in range(1, len(key))}
    arrays_of_tables = {key for key in paths(tomllib.loads(text)) if key in above - found.keys()}
    assert set(paths(tomllib.loads(text))) - arrays_of_tables == found.keys() - arrays_of_tables
    assert all(1 <= line <= len(text.splitlines()) for line in found.values())


def test_a_value_of_very_many_lines_ends_the_search():
    text = "a = 1\nb = [\n" + "1,\n" * 500 + "]\nc = 2"
    assert lines_of_keys(text) == {("a",): 1}


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("images = 8", "imges = 8", "line 19, stages.0.imges: there is no such key, did you mean images?"),
        ("images = 4", "image = 4", "line 23, stages.1.image: there is no such key, did you mean images?"),
        ("[model]", "[modle]", "line 4, modle: there is no such key, did you mean model?"),
        ("seed = 3", "sed = 3", "line 2, sed: there is no such key, did you mean seed?"),
        ("[[stages]]", "[[stage]]", "line 17, stage: there is no such key, did you mean stages?"),
        ("synthesis.opacity", "synthesys.opacity", "line 15, data.sources.1.synthesys: there is no such key, did you"),
        ("seed = 3", "seed = 'x'", "line 2, seed: Input should be a valid integer"),
        ("images = 4", "", "line 21, stages.1.images: Field required"),
        ("images = 8", "images = 8\n[stages.more]", "line 20, stages.0.more: there is no such key, choose from name"),
        ("images = 8", "images = 8\nbatch = 'x'", "line 20, stages.0.batch: Input should be a valid integer"),
        (
            "seed = 3",
            "amp = 3",
            "line 2, amp: Input should be a valid boolean, unable to interpret input, or Input should",
        ),
        ("images = 4", "images = 4\nzzz = 1", "line 24, stages.1.zzz: there is no such key, choose from name, images"),
    ],
)
def test_one_mistake_is_one_problem_with_its_line(right, wrong, says):
    text = RECIPE.replace("synthesis.opacity = 1\n", "\n") if "opacity" not in right else RECIPE
    with pytest.raises(InputError) as found:
        parse_toml(text.replace(right, wrong), Recipe, "own.toml")
    message = found.value.message.removeprefix("own.toml does not fit: ")
    assert message.startswith(says)
    assert "; " not in message


def test_two_mistakes_are_two_problems():
    text = RECIPE.replace("synthesis.opacity = 1\n", "").replace("seed", "sed").replace("images = 8", "images = -8")
    with pytest.raises(InputError, match=r"line 18, stages\.0\.images: .*; line 2, sed: there is no such key"):
        parse_toml(text, Recipe, "own.toml")
