"""Docstrings for the site: roles of Sphinx become links or code, doctests code blocks, named defaults values."""

from __future__ import annotations

import re
from typing import Any

import griffe
from mkdocs.plugins import get_plugin_logger

import edge_harmony

log = get_plugin_logger(__name__)

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr):`~?([\w.]+)`")
_DOCTEST = re.compile(r"^( *)>>> .*(?:\n\1(?:>>>|\.\.\.).*)*", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Prepares the package's docstrings for Markdown, as mkdocstrings needs them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring."""
        if obj.docstring is not None:
            text = _ROLE.sub(_reference, obj.docstring.value)
            obj.docstring.value = _DOCTEST.sub(r"```pycon\n\g<0>\n```", text)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Show values in signatures, in place of the constants that name them; warn of names without a docstring."""
        for name in edge_harmony._HOMES:
            found = pkg[name]
            members = [found, *(found.members.values() if found.is_class else [])]
            for member in members:
                if member.docstring is None and not member.name.startswith("_") and not member.is_attribute:
                    log.warning("%s is public and has no docstring", member.path)
            for function in (member for member in members if member.is_function):
                for parameter in function.parameters:
                    parameter.default = _value(function.module, parameter.default)


def _reference(match: re.Match[str]) -> str:
    name = match[1].rpartition(".")[2]
    if match[1] == f"edge_harmony.{name}" and name in edge_harmony.__all__:
        return f"[`{name}`][edge_harmony.{name}]"
    return f"`{name}`"


def _value(module: griffe.Module | griffe.Alias, default: Any) -> Any:
    text = str(default)
    if text.startswith("lambda"):
        return "..."
    if re.fullmatch(r"[A-Z_]+", text) and text in module.members:
        constant = module[text]
        value = constant.value if constant.is_attribute else None
        return value if value is not None and re.fullmatch(r"'.*'|\".*\"|[\d.]+", str(value)) else default
    return default
