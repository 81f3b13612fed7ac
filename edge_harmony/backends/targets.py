"""Deployment targets as data: one TOML file each, named ``<device>-<precision>``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.files.manifest import Precision
from edge_harmony.files.resources import find_resource
from edge_harmony.files.toml import read_toml

_STRICT = ConfigDict(extra="forbid", frozen=True)
_Pixels = tuple[int, int]


class Runtime(BaseModel):
    """What runs the artifact on the device."""

    model_config = _STRICT

    name: str = Field(description="with the oldest version that does, such as TensorRT 10.3 (JetPack 6.1)")
    opset: int | None = Field(None, ge=18, description="the newest ONNX operator set that this version reads")


class Accuracy(BaseModel):
    """What the artifact may lose against the PyTorch reference on the comparison pictures."""

    model_config = _STRICT

    min_psnr: float = Field(gt=0, description="dB, harmonized pictures against the reference's")


class Latency(BaseModel):
    """What the network may take on the device: a budget to be held, not a measurement."""

    model_config = _STRICT

    max_p90_ms: float = Field(gt=0, description="ms, 90th percentile over single pictures, without pre-processing")


class PackageOptions(BaseModel):
    """See :func:`edge_harmony.backends.coreml.convert.convert`."""

    model_config = _STRICT

    minimum: Literal["iOS16", "iOS17", "iOS18"] = "iOS17"
    inputs: Literal["tensor", "image"] = "tensor"
    palette_bits: Literal[4, 6, 8] | None = None
    more_sizes: tuple[_Pixels, ...] = ()
    picture_sizes: tuple[_Pixels, ...] = ()


class Target(BaseModel):
    """A deployment target; ``engine`` is for those that TensorRT builds, ``package`` for Core ML."""

    model_config = _STRICT

    device: str = Field(description="the hardware, for people")
    platform: Literal["cpu", "cuda", "apple"]
    backend: str
    precision: Precision
    height: int = Field(256, ge=32, multiple_of=32)
    width: int = Field(256, ge=32, multiple_of=32)
    opset: int = Field(18, ge=18, le=24, description="of the ONNX file that is written")
    runtime: Runtime
    accuracy: Accuracy
    latency: Latency
    engine: BuildOptions = BuildOptions()
    package: PackageOptions = PackageOptions()

    @model_validator(mode="after")
    def _readable(self) -> Target:
        if self.platform != "apple" and self.runtime.opset is None:
            raise ValueError("runtime.opset is missing: the newest operator set that the runtime reads")
        if self.runtime.opset is not None and self.opset > self.runtime.opset:
            raise ValueError(f"opset {self.opset} is newer than what {self.runtime.name} reads ({self.runtime.opset})")
        return self

    def build_options(self) -> dict[str, Any]:
        """What :meth:`edge_harmony.backends.base.Backend.build` is told besides the network and its weights."""
        own: dict[str, dict[str, Any]] = {"cuda": {"engine": self.engine}, "apple": self.package.model_dump()}
        return {
            "precision": self.precision,
            "size": (self.height, self.width),
            "opset": self.opset,
            **own.get(self.platform, {}),
        }


def read_target(name: str) -> Target:
    """Read a target by name or path.

    Raises:
        UsageError: there is none of this name.
        InputError: the file does not fit the schema.
    """
    return read_toml(find_resource("targets", name), Target)
