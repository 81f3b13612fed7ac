"""Calibration sets: pinned lists of composites with masks, each file with its sha256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

import edge_harmony.samples
from edge_harmony.errors import InputError, UsageError, name_some
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.regular import is_there
from edge_harmony.files.resources import find_resource
from edge_harmony.files.toml import read_toml
from edge_harmony.pictures.images import read_mask, read_picture

_STRICT = ConfigDict(extra="forbid", frozen=True)
_SHA256 = r"^[0-9a-f]{64}$"


class CalibrationFile(BaseModel):
    """One composite and its mask: paths below the root, and their hashes."""

    model_config = _STRICT

    composite: str
    composite_sha256: str = Field(pattern=_SHA256)
    mask: str
    mask_sha256: str = Field(pattern=_SHA256)


class CalibrationSet(BaseModel):
    """A calibration set.

    Attributes:
        description: one line for people.
        source: where the pictures come from.
        licence: licence of the pictures.
        seed: seed of the random draw; None if the files were chosen by hand.
        shipped: whether the files are in the package; otherwise a root must be given.
        files: the files, in order.
    """

    model_config = _STRICT

    description: str
    source: str
    licence: str
    seed: int | None = None
    shipped: bool = False
    files: tuple[CalibrationFile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> CalibrationSet:
        for file in self.files:
            for path in (file.composite, file.mask):
                if Path(path).is_absolute() or ".." in Path(path).parts:
                    raise ValueError(f"{path} leaves the root")
        if len({file.composite for file in self.files}) != len(self.files):
            raise ValueError("a composite is listed twice")
        return self

    @property
    def sha256(self) -> str:
        """Identity of the pictures: a hash over the files' hashes, in order."""
        parts = "".join(f"{file.composite_sha256}{file.mask_sha256}" for file in self.files)
        return hashlib.sha256(parts.encode()).hexdigest()

    def root(self, given: Path | None) -> Path:
        """The root folder of the files.

        Raises:
            UsageError: the set is not shipped and no root was given, or the root is not a folder.
        """
        if self.shipped and given is None:
            return Path(edge_harmony.samples.__path__[0])
        if given is None:
            raise UsageError("this calibration set is not shipped", f"pass --data ROOT ({self.source})")
        if not given.is_dir():
            raise UsageError(f"the data root {given} is not a folder", "check the path")
        return given

    def paths(self, root: Path) -> list[Path]:
        """Paths of all files."""
        return [root / name for file in self.files for name in (file.composite, file.mask)]

    def verify(self, root: Path) -> None:
        """Check that every file exists and has its pinned hash.

        Raises:
            InputError: files are missing or changed; one error names them.
        """
        pairs = [(file.composite, file.composite_sha256) for file in self.files]
        pairs += [(file.mask, file.mask_sha256) for file in self.files]
        missing = [path for path, _ in pairs if not is_there(root / path)]
        if missing:
            raise InputError(
                f"{len(missing)} files of the calibration set are missing below {root}: {name_some(missing)}",
                "complete the data, or use another set",
            )
        changed = [path for path, expected in pairs if sha256_of(root / path) != expected]
        if changed:
            raise InputError(
                f"{len(changed)} files of the calibration set do not have their pinned hash: {name_some(changed)}",
                "restore the files, or draw your own set",
            )

    def pictures(self, root: Path, start: int = 0) -> Iterator[tuple[str, NDArray[Any], NDArray[np.float32]]]:
        """Name, composite ``(H, W, 3)`` and mask ``(H, W)`` in [0, 1] of every file from ``start`` on.

        Raises:
            InputError: a picture cannot be read, has a single colour, or has a mask of another size.
        """
        for file in self.files[start:]:
            composite = read_picture(root / file.composite).pixels[..., :3]
            mask = read_mask(root / file.mask)
            if mask.shape != composite.shape[:2]:
                raise InputError(f"{file.mask} and {file.composite} differ in size", "correct the set")
            if (composite == composite[0, 0]).all():
                raise InputError(f"{file.composite} holds a single colour", "a calibration picture must show something")
            yield file.composite, np.ascontiguousarray(composite), mask


def read_calibration_set(name: str) -> CalibrationSet:
    """Read a set by name or path.

    Raises:
        UsageError: there is no set of this name.
        InputError: the file does not fit the schema.
    """
    return read_toml(find_resource("sets", name), CalibrationSet)
