"""Hooks of MkDocs: pages from files outside ``docs/``, links that work on GitHub and in the site, strict checks."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import edge_harmony

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

import troubleshooting  # noqa: E402  (beside this file)

CARDS = ROOT / "edge_harmony" / "models" / "weights"

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "LICENSE": "licence.md",
    "export/README.md": "targets.md",
    "calibration/README.md": "calibration-sets.md",
    "benchmarks/README.md": "benchmark-scripts.md",
    "edge_harmony/samples/CREDITS.md": "sample-credits.md",
    **{path.relative_to(ROOT).as_posix(): f"cards/{path.name}" for path in sorted(CARDS.glob("*.md"))},
}
"""Files of the repository outside ``docs/`` that are pages of the site."""

_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^()\s]+)(\))")
_DIRECTIVE = re.compile(r"^::: edge_harmony\.(\w+)$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside ``docs/``."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        content = f"# Licence\n\n```text\n{text}```\n" if source == "LICENSE" else text
        files.append(File.generated(config, page, content=content))
    files.append(File.generated(config, "troubleshooting.md", content=troubleshooting.page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links of files to pages of the site, or to the repository.

    Raises:
        PluginError: a link leads nowhere, or the API page lacks a public name.
    """
    site_path = page.file.src_uri
    source = next((path for path, other in PAGES.items() if other == site_path), f"docs/{site_path}")
    if site_path == "api.md":
        _check_names(set(_DIRECTIVE.findall(markdown)))
    repository = config.extra["repository"]

    def moved(match: re.Match[str]) -> str:
        return match[1] + _target(match[2], source, site_path, repository) + match[3]

    return _LINK.sub(moved, markdown)


def _target(link: str, source: str, site_path: str, repository: str) -> str:
    path, _, anchor = link.partition("#")
    if not path or re.match(r"[a-z]+:", link):
        return link
    wanted = PurePosixPath(os.path.normpath(PurePosixPath(source).parent / path)).as_posix()
    if not (ROOT / wanted).exists():
        raise PluginError(f"{source} links to {link}, and there is no {wanted}")
    suffix = f"#{anchor}" if anchor else ""
    if wanted in PAGES:
        there = PAGES[wanted]
    elif wanted.startswith("docs/") and (ROOT / wanted).is_file() and not wanted.endswith((".py", ".Dockerfile")):
        there = wanted.removeprefix("docs/")
    elif wanted == "docs/decisions":
        there = "decisions/0001-affine-transform-at-an-eighth.md"
    else:
        return f"{repository}/{'tree' if (ROOT / wanted).is_dir() else 'blob'}/main/{wanted}{suffix}"
    return os.path.relpath(there, PurePosixPath(site_path).parent).replace(os.sep, "/") + suffix


def _check_names(shown: set[str]) -> None:
    public: set[Any] = set(edge_harmony.__all__) - {"__version__"}
    if shown != public:
        missing, strange = sorted(public - shown), sorted(shown - public)
        raise PluginError(f"docs/api.md lacks {missing} and names {strange}, which edge_harmony does not export")
