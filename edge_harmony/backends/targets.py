"""Deployment targets as data: one TOML file each, named ``<device>-<precision>``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from edge_harmony.backends.base import ExportRequest, NoOptions
from edge_harmony.backends.discovery import get_backend
from edge_harmony.export.triton import SERVERS, TritonOptions
from edge_harmony.files.manifest import Precision
from edge_harmony.files.resources import find_resource
from edge_harmony.files.toml import problems_of, read_toml
from edge_harmony.models.registry import find_model

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Runtime(BaseModel):
    """The runtime on the device."""

    model_config = _STRICT

    name: str = Field(description="with the oldest version that does, such as TensorRT 10.3 (JetPack 6.1)")
    opset: int | None = Field(None, ge=17, description="the newest ONNX operator set that this version reads")


class Accuracy(BaseModel):
    """The agreement with the PyTorch reference that the artifact must keep on the comparison pictures."""

    model_config = _STRICT

    min_psnr: float = Field(gt=0, description="dB, harmonized pictures against the reference's")


class Latency(BaseModel):
    """The time that the network may take on the device: a limit, not a measurement."""

    model_config = _STRICT

    max_p90_ms: float = Field(gt=0, description="ms, 90th percentile over single pictures, without pre-processing")


class Target(BaseModel):
    """A deployment target; its backend validates ``options``."""

    model_config = _STRICT

    device: str = Field(description="the hardware, for people")
    platform: str = Field(description="the kind of hardware: cpu, cuda, apple, arm, or what a plug-in calls its own")
    backend: str
    precision: Precision
    height: int | None = Field(None, ge=32, multiple_of=32, description="working size; by default the network's own")
    width: int | None = Field(None, ge=32, multiple_of=32, description="working size; by default the network's own")
    opset: int = Field(18, ge=17, le=24, description="of the ONNX file that is written")
    runtime: Runtime
    accuracy: Accuracy
    latency: Latency
    options: SerializeAsAny[BaseModel] = Field(
        default_factory=NoOptions,
        validate_default=True,
        validation_alias=AliasChoices("options", "engine", "package"),
        description="of the backend; [engine] and [package] are read as [options]",
    )
    triton: TritonOptions | None = Field(
        None, description="write a model repository of the Triton Inference Server, too, and how the server runs it"
    )

    @field_validator("options", mode="before")
    @classmethod
    def _of_the_backend(cls, given: Any, found: ValidationInfo) -> Any:
        if "backend" not in found.data:
            return NoOptions()  # the error of the field backend says what is wrong
        backend = get_backend(found.data["backend"])
        wanted = backend.options
        if isinstance(given, wanted):
            return given
        with backend.failing_in("options"):
            try:
                return wanted.model_validate(given.model_dump() if isinstance(given, BaseModel) else given)
            except ValidationError as error:
                problem = problems_of(error, "together", model=wanted)
        raise ValueError(problem)

    @model_validator(mode="after")
    def _readable(self) -> Target:
        if get_backend(self.backend).reads_onnx and self.runtime.opset is None:
            raise ValueError("runtime.opset is missing: the newest operator set that the runtime reads")
        if self.triton is not None and self.backend not in SERVERS:
            raise ValueError(f"[triton] goes with the backends {' and '.join(SERVERS)}, not with {self.backend}")
        if self.runtime.opset is not None and self.opset > self.runtime.opset:
            raise ValueError(f"opset {self.opset} is newer than what {self.runtime.name} reads ({self.runtime.opset})")
        return self

    def request(self, model: str, *, keep_float: Collection[str] = (), whole_pipeline: bool = False) -> ExportRequest:
        """The request to the backend: this network, as the target needs it.

        Raises:
            UsageError: the registry has no such network.
        """
        height, width = find_model(model).size
        return ExportRequest(
            model,
            self.precision,
            size=(self.height or height, self.width or width),
            opset=self.opset,
            keep_float=tuple(keep_float),
            whole_pipeline=whole_pipeline,
            options=self.options,
        )


def read_target(name: str) -> Target:
    """Read a target by name or path.

    Raises:
        UsageError: there is none of this name, or no backend of the name it gives.
        CapabilityError: its backend is a plug-in that cannot be used.
        InputError: the file does not fit the schema, or its options do not fit the backend's.
    """
    return read_toml(find_resource("targets", name), Target)
