"""Deployment targets as data: one TOML file each, named ``<device>-<precision>``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_harmony.artifact import Precision
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.config import read_toml
from edge_harmony.resources import find_resource

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Accuracy(BaseModel):
    """What the artifact may lose against the PyTorch reference on the comparison pictures."""

    model_config = _STRICT

    min_psnr: float = Field(gt=0, description="dB, harmonized pictures against the reference's")


class PackageOptions(BaseModel):
    """See :func:`edge_harmony.backends.coreml.convert.convert`."""

    model_config = _STRICT

    minimum: Literal["iOS16", "iOS17", "iOS18"] = "iOS17"
    inputs: Literal["tensor", "image"] = "tensor"
    palette_bits: Literal[4, 6, 8] | None = None


class Target(BaseModel):
    """A deployment target; ``engine`` is for those that TensorRT builds, ``package`` for Core ML."""

    model_config = _STRICT

    description: str
    device: Literal["cpu", "cuda", "apple"]
    backend: str
    precision: Precision
    height: int = Field(256, ge=32, multiple_of=32)
    width: int = Field(256, ge=32, multiple_of=32)
    opset: int = Field(18, ge=18, le=24)
    accuracy: Accuracy
    engine: BuildOptions = BuildOptions()
    package: PackageOptions = PackageOptions()


def read_target(name: str) -> Target:
    """Read a target by name or path.

    Raises:
        UsageError: there is none of this name.
        InputError: the file does not fit the schema.
    """
    return read_toml(find_resource("targets", name), Target)
