"""The files of a package: its specification and its program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import coremltools as ct
from coremltools.converters.mil.frontend.milproto import load as milproto

from edge_harmony.errors import ArtifactError, UsageError, first_line

CONTENTS = "Manifest.json"
"""The table of a package's parts."""


class PackageFiles:
    """A package that was read; nothing is written to it.

    coremltools' own reader writes the table of contents anew whenever it opens a package, so it is not used.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        specification: Core ML's message ``Model``.
        program: as coremltools loads it, with the weights.
        functions: names of all functions, the default first.

    Raises:
        ArtifactError: it is no package, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.specification, weights = _read(path)
            self.program = milproto.load(self.specification, self.specification.specificationVersion, str(weights))
        except Exception as error:  # protobuf, the loader and the file system raise kinds of their own
            raise ArtifactError(f"{path} is no Core ML package ({first_line(error)})", "export it again") from None
        default = self.specification.description.defaultFunctionName or "main"
        self.functions = (default, *(name for name in self.program.functions if name != default))

    def function(self, name: str | None = None) -> tuple[Any, Any]:
        """The description of a function's inputs and outputs, and the function; without a name, of the default.

        Raises:
            UsageError: there is no such function.
        """
        chosen = name or self.functions[0]
        if chosen not in self.functions:
            raise UsageError(f"{self.path} has no function {chosen!r}", f"choose from {', '.join(self.functions)}")
        several = {described.name: described for described in self.specification.description.functions}
        return several.get(chosen, self.specification.description), self.program.functions[chosen]


def specification_file(package: Path) -> Path:
    """The file of a package that holds Core ML's message ``Model``; what is wrong with the package raises anything."""
    contents = json.loads((package / CONTENTS).read_bytes())
    model: Path = package / "Data" / contents["itemInfoEntries"][contents["rootModelIdentifier"]]["path"]
    if not model.resolve().is_relative_to(package.resolve()):
        raise ValueError("its program lies outside of it")
    return model


def _read(path: Path) -> tuple[Any, Path]:
    """The program in a package, and the folder of its weights."""
    model = specification_file(path)
    specification = ct.proto.Model_pb2.Model()
    specification.ParseFromString(model.read_bytes())
    return specification, model.parent / "weights"
