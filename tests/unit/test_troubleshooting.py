"""The site's page of errors: every error of the code, in a table that a reader can search."""

import re
import sys

import pytest

from edge_harmony.cli.main import main
from edge_harmony.errors import ExitCode
from tests.unit.test_imports import PACKAGE, ROOT

sys.path.insert(0, str(ROOT / "docs"))

from troubleshooting import entries, page


def test_errors_of_every_kind_of_room_are_listed():
    listed = entries()
    assert len(listed) == len(set(listed)) > 250
    assert {entry.room for entry in listed} >= {"cli", "pictures", "backends", "training", "video", "folder", "serving"}
    assert {ExitCode.USAGE, ExitCode.FAILURE, ExitCode.CAPABILITY} <= {entry.status for entry in listed}
    raised = sum(len(re.findall(r"raise \w+Error\(", path.read_text())) for path in PACKAGE.rglob("*.py"))
    assert len(listed) > raised / 2


def test_rows_have_two_cells_and_headings_are_unique():
    text = page()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len(headings) == len(set(headings))


def test_links_lead_to_pages():
    for link in re.findall(r"\]\(([\w.-]+)\)", page()):
        assert (ROOT / "docs" / link).is_file()


@pytest.mark.parametrize(
    "call", [["harmonize", "none.jpg", "none.png", "-o", "x.png"], ["models", "--verbose", "--quiet"]]
)
def test_an_error_of_the_command_line_is_found_on_the_page(call, capsys):
    status = main(call)
    message = capsys.readouterr().err.removeprefix("error: ").partition(";")[0]
    patterns = [re.escape(entry.message).replace("…", ".*") for entry in entries() if entry.status == status]
    assert any(re.fullmatch(pattern, message) for pattern in patterns), message
