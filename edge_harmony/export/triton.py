"""Model repositories of the Triton Inference Server: an artifact with the ``config.pbtxt`` that describes it.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_repository.html
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from edge_harmony.errors import ArtifactError, UsageError, parsing
from edge_harmony.files.atomic import make_folder, new_folder
from edge_harmony.files.manifest import Manifest

FOLDER = "triton"
"""Name of the repository in the folder of an export."""
CONFIG = "config.pbtxt"
_VERSION = "1"


@dataclass(frozen=True)
class Server:
    """How Triton runs the artifacts of one of our backends.

    Attributes:
        backend: Triton's name of its backend.
        file: name of the network's file in the folder of a version.
        kind: what an instance runs on.
    """

    backend: str
    file: str
    kind: str


SERVERS = {
    "onnxruntime": Server("onnxruntime", "model.onnx", "KIND_CPU"),
    "tensorrt": Server("tensorrt", "model.plan", "KIND_GPU"),
}
"""The backends whose artifacts Triton runs, by our names."""


class TritonOptions(BaseModel):
    """The ``[triton]`` of a target: how the server runs the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_batch_size: int = Field(
        8, ge=1, description="requests in one batch, at most; within an engine's profile; a fixed batch has no batches"
    )
    instances: int = Field(1, ge=1, description="copies of the network that run at a time, for each device")
    max_queue_delay_us: int = Field(
        500, ge=0, description="microseconds that a request may wait for others to share its batch"
    )


@dataclass(frozen=True)
class ServedTensor:
    """An input or output of an ONNX file.

    Attributes:
        name: its name.
        type: Triton's name of its type, such as ``TYPE_FP32``.
        dims: its sides; -1 for one that is open.
    """

    name: str
    type: str
    dims: tuple[int, ...]


def repository_path(folder: Path, onnx: str) -> Path:
    """Where the model of an ONNX file, or of an engine that is built from it, lies in the repository of an export."""
    return folder / FOLDER / Path(onnx).stem


def write_repository(
    folder: Path, onnx: Path, artifact: Path | None, manifest: Manifest, backend: str, options: TritonOptions
) -> Path:
    """Write a model of a repository, whole or not at all; one of its name is replaced.

    Args:
        folder: of the export; the repository is its folder :data:`FOLDER`.
        onnx: the ONNX file of the network, which says what goes in and out.
        artifact: the file that the server runs: ``onnx`` itself or an engine; None if the engine is built elsewhere.
        manifest: of ``artifact``, or of ``onnx`` without one.
        backend: our name of the backend that runs it, a key of :data:`SERVERS`.
        options: how the server runs it.

    Returns:
        The folder of the model, with ``config.pbtxt`` and the folder of version 1.

    Raises:
        UsageError: the manifest is one of a whole pipeline, or the folder cannot be written.
        ArtifactError: the ONNX file cannot be read.
    """
    if manifest.io.is_whole_pipeline:
        raise UsageError("a model repository holds a network, no whole pipeline", "leave --whole-pipeline out")
    server, path = SERVERS[backend], repository_path(folder, onnx.name)
    make_folder(path.parent)
    config = write_config(path.name, server, *tensors_of(onnx), manifest, options)
    with new_folder(path) as made:
        (made / _VERSION).mkdir(parents=True)
        (made / CONFIG).write_text(config, encoding="utf-8")
        if artifact is not None:
            shutil.copyfile(artifact, made / _VERSION / server.file)
    return path


def engine_path(model: Path, backend: str) -> Path:
    """Where the server looks for the network's file of a model."""
    return model / _VERSION / SERVERS[backend].file


def write_config(
    name: str,
    server: Server,
    inputs: tuple[ServedTensor, ...],
    outputs: tuple[ServedTensor, ...],
    manifest: Manifest,
    options: TritonOptions,
) -> str:
    """The text of ``config.pbtxt``: a ``ModelConfig`` in the text form of protocol buffers.

    Where the first side of every tensor is open it is the batch, which Triton's ``dims`` leave out.
    """
    batches = all(tensor.dims[0] == -1 for tensor in (*inputs, *outputs))
    lines = [
        f"name: {_text(name)}",
        f"backend: {_text(server.backend)}",
        f"default_model_filename: {_text(server.file)}",
        f"max_batch_size: {options.max_batch_size if batches else 0}",
    ]
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for tensor in tensors:
            dims = ", ".join(map(str, tensor.dims[1:] if batches else tensor.dims))
            lines += [
                f"{kind} {{",
                f"  name: {_text(tensor.name)}",
                f"  data_type: {tensor.type}",
                f"  dims: [ {dims} ]",
                "}",
            ]
    lines += ["instance_group {", f"  count: {options.instances}", f"  kind: {server.kind}", "}"]
    if batches:
        lines += ["dynamic_batching {", f"  max_queue_delay_microseconds: {options.max_queue_delay_us}", "}"]
    for key, value in _origin(manifest).items():
        lines += ["parameters {", f"  key: {_text(key)}", f"  value {{ string_value: {_text(value)} }}", "}"]
    return "\n".join(lines) + "\n"


def tensors_of(onnx_file: Path) -> tuple[tuple[ServedTensor, ...], tuple[ServedTensor, ...]]:
    """Inputs and outputs of an ONNX file.

    Raises:
        ArtifactError: it cannot be read.
    """
    import onnx

    with parsing(f"{onnx_file} cannot be read", "export it again", ArtifactError):
        graph = onnx.load(str(onnx_file), load_external_data=False).graph
        inputs, outputs = (tuple(_tensor(value) for value in values) for values in (graph.input, graph.output))
    return inputs, outputs


def _tensor(value: Any) -> ServedTensor:
    from onnx import TensorProto

    types = {TensorProto.FLOAT: "TYPE_FP32", TensorProto.FLOAT16: "TYPE_FP16", TensorProto.UINT8: "TYPE_UINT8"}
    tensor = value.type.tensor_type
    dims = tuple(side.dim_value if side.HasField("dim_value") else -1 for side in tensor.shape.dim)
    return ServedTensor(value.name, types[tensor.elem_type], dims)


def _origin(manifest: Manifest) -> dict[str, str]:
    """What a client needs to use the output, and where the file comes from."""
    return {
        "edge_harmony_model": manifest.model,
        "edge_harmony_precision": manifest.precision,
        "edge_harmony_output": manifest.io.output,
        "edge_harmony_sha256": manifest.file_sha256,
        "edge_harmony_weights_sha256": manifest.weights_sha256,
    }


def _text(value: str) -> str:
    """A string in quotes; the text form of protocol buffers reads the escapes that JSON writes for ASCII."""
    return json.dumps(value)
