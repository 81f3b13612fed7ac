"""Text in tables: cells that spreadsheets take for formulas, and characters that Markdown takes for its own."""

from __future__ import annotations

import re

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKS = re.compile(r"([\\`*\[\]|#])|(?<!\w)_|_(?!\w)")


def csv_cell(text: str) -> str:
    """A text for a cell of a CSV file: an apostrophe before what a spreadsheet would compute, as it shows text.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def markdown_text(text: str) -> str:
    """A text as Markdown shows it, in one line: no links, emphasis, headings, cells or HTML of its own."""
    line = " ".join(text.split())
    return _MARKS.sub(lambda found: f"\\{found.group()}", line).replace("&", "&amp;").replace("<", "&lt;")
