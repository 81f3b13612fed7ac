"""Finding the files that people edit: explicit path, user's folder, wheel, checkout, in this order."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from edge_harmony.errors import ArtifactError, UsageError

_PACKAGE = Path(__file__).parents[1]
_WHEEL = _PACKAGE / "shipped"
_INSIDE = {"recipes": _PACKAGE / "training" / "recipes"}
_CHECKOUT = {
    "targets": _PACKAGE.parent / "export" / "targets",
    "sets": _PACKAGE.parent / "calibration" / "sets",
    "suites": _PACKAGE.parent / "benchmarks" / "suites",
    "budgets": _PACKAGE.parent / "benchmarks" / "budgets",
    "web": _PACKAGE.parent / "examples" / "web",
}


def user_folder() -> Path:
    """Folder of the user's configuration: ``$EDGE_HARMONY_HOME``, else ``~/.config/edge-harmony``."""
    own = os.environ.get("EDGE_HARMONY_HOME")
    return Path(own) if own else Path.home() / ".config" / "edge-harmony"


def cache_folder() -> Path:
    """Folder of the cache: ``$EDGE_HARMONY_HOME/cache``, else below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    own, cache = os.environ.get("EDGE_HARMONY_HOME"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own) / "cache"
    return (Path(cache) if cache else Path.home() / ".cache") / "edge-harmony"


def resource_folders(kind: str) -> list[Path]:
    """Folders with resources of a kind; the first one wins."""
    folders = [user_folder() / kind, _WHEEL / kind]
    folders += [places[kind] for places in (_INSIDE, _CHECKOUT) if kind in places]
    return [folder for folder in folders if folder.is_dir()]


def shipped_folder(kind: str) -> Path:
    """Folder of what ships of a kind, in a wheel or in a checkout; never the user's.

    Raises:
        ArtifactError: this installation lacks it.
    """
    for folder in (_WHEEL / kind, _CHECKOUT[kind]):
        if folder.is_dir():
            return folder
    raise ArtifactError(f"this installation has no {kind}", "reinstall edge-harmony")


def resource_names(kind: str) -> list[str]:
    """Names (without suffix) of the TOML resources of a kind."""
    return sorted({path.stem for folder in resource_folders(kind) for path in folder.glob("*.toml")})


def find_resource(kind: str, name: str) -> Path:
    """The TOML file of a resource: ``name`` is a path, or a name without suffix.

    Raises:
        UsageError: there is no such resource.
    """
    explicit = Path(name)
    if explicit.suffix == ".toml" or len(explicit.parts) > 1:
        if explicit.is_file():
            return explicit
        raise UsageError(f"there is no file {name}", "check the path")
    for folder in resource_folders(kind):
        path = folder / f"{name}.toml"
        if path.is_file():
            return path
    names = resource_names(kind)
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(names)} or give a .toml file"
    raise UsageError(f"there is no {kind.rstrip('s')} {name!r}", hint)
