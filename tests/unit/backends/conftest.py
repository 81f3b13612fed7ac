"""Plug-ins that a test writes itself."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Write a plug-in's module and the metadata of a distribution that registers it."""

    def write(text, *values, name="mine"):
        (tmp_path / "plugin.py").write_text(text)
        for number, value in enumerate(values):
            folder = tmp_path / f"mine_{number}-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mine-{number}\nVersion: 1.0\n")
            (folder / "entry_points.txt").write_text(f"[edge_harmony.backends]\n{name} = {value}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "plugin", raising=False)

    return write
