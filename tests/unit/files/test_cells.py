"""Names in tables stay names."""

import pytest

from edge_harmony.files.cells import csv_cell, markdown_text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_text(text):
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["a.png", "a=1", "1-2", "", "edge-s int8"])
def test_names_stay(text):
    assert csv_cell(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("edge_s, int8 (2 x)", "edge_s, int8 (2 x)"),
        ("# big", "\\# big"),
        ("a|b", "a\\|b"),
        ("<img src=x>", "&lt;img src=x>"),
        ("[a](http://b)", "\\[a\\](http://b)"),
        ("*a* _b_ `c`", "\\*a\\* \\_b\\_ \\`c\\`"),
        ("a\n\n# b", "a \\# b"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_markdown_has_no_meaning(text, shown):
    assert markdown_text(text) == shown
