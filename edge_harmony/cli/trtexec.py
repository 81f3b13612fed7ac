"""Flags of trtexec that ``edge-harmony build`` does not take: what takes their place, or why nothing does."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from edge_harmony.cli.console import notes
from edge_harmony.errors import UsageError

REFUSED: dict[str, str] = {
    # 10.x
    "adjustForDLA": "the file says what a DLA core runs; see edge-harmony check --target",
    "allowWeightStreaming": "these networks fit the memory of every GPU",
    "allocationStrategy": "scratch memory follows the shapes in use",
    "buildDLAStandalone": "edge-harmony runs no loadables of cuDLA; use trtexec",
    "calibProfile": "an engine has one profile",
    "cpuOnly": "--computeCapabilities builds without a GPU, with TensorRT for RTX",
    "decomposableAttentions": "these networks have no attention layers",
    "distributiveIndependence": "build with trtexec",
    "dumpKernelText": "it is for safety-certified engines; use trtexec",
    "dumpOptimizationProfile": "the manifest beside the engine has the profile",
    "dumpRawBindingsToFile": "--exportOutput writes the outputs",
    "dumpRefit": "--refitFromOnnx names weights that do not fit",
    "dynamicPlugins": "these networks need no plugins",
    "enablePluginOverride": "these networks need no plugins",
    "errorOnTimingCacheMiss": "build with trtexec",
    "int4": "no network here has 4-bit weights",
    "l2LimitForTiling": "build with trtexec",
    "layerDeviceTypes": "--useDLACore and --allowGPUFallback divide the layers",
    "markDebug": "inspect tensors with trtexec",
    "markUnfusedTensorsAsDebugTensors": "inspect tensors with trtexec",
    "maxShapesCalib": "calibration chooses its own shapes",
    "maxTactics": "--builderOptimizationLevel says how long to search",
    "minShapesCalib": "calibration chooses its own shapes",
    "monitorMemory": "build with trtexec",
    "noCompilationCache": "write --noBuilderCache",
    "optShapesCalib": "calibration chooses its own shapes",
    "persistentCacheRatio": "time with trtexec",
    "pi": "these networks need no plugins",
    "pluginInstanceNorm": "these networks need no plugins",
    "plugins": "these networks need no plugins",
    "preview": "build with trtexec",
    "profile": "an engine has one profile: --minShapes, --optShapes, --maxShapes",
    "remoteAutoTuningConfig": "it is for safety-certified engines; use trtexec",
    "reportCapabilityDLA": "edge-harmony check --target says what a DLA core runs",
    "restricted": "it is for safety-certified engines; use trtexec",
    "runtimePlatform": "build on the device that runs the engine",
    "safe": "it is for safety-certified engines; use trtexec",
    "safetyPlugins": "it is for safety-certified engines; use trtexec",
    "saveAllDebugTensors": "inspect tensors with trtexec",
    "saveDebugTensors": "inspect tensors with trtexec",
    "setPluginsToSerialize": "these networks need no plugins",
    "sleepTime": "--warmUp leaves out the first queries",
    "staticPlugins": "these networks need no plugins",
    "tempdir": "set TMPDIR",
    "tempfileControls": "set TMPDIR",
    "tilingOptimizationLevel": "--builderOptimizationLevel says how long to search",
    "timeDeserialize": "edge-harmony benchmark measures the time to load",
    "timeRefit": "time it with trtexec",
    "uint8AsymmetricQuantizationDLA": "files for TensorRT have zero points of 0",
    "useManagedMemory": "a Jetson shares its memory with the GPU unasked",
    "useProfile": "an engine has one profile",
    "weightStreamingBudget": "these networks fit the memory of every GPU",
    # before 10
    "batch": "the batch is the first size of --shapes",
    "buildOnly": "write --skipInference",
    "deploy": "Caffe models are not read; export to ONNX",
    "explicitPrecision": "the types and Q/DQ pairs in the file set precisions",
    "heuristic": "write --builderOptimizationLevel=2",
    "maxBatch": "the batch is the first size of --maxShapes",
    "minTiming": "write --avgTiming",
    "model": "Caffe models are not read; export to ONNX",
    "nvtxMode": "write --profilingVerbosity",
    "output": "an ONNX file names its outputs",
    "uff": "UFF models are not read; export to ONNX",
    "uffInput": "UFF models are not read; export to ONNX",
    "uffNHWC": "UFF models are not read; export to ONNX",
    "workspace": "write --memPoolSize=workspace:MiB",
}
"""Flags that end in an error, and what to do."""

WITHOUT_EFFECT: dict[str, str] = {
    # 10.x
    "asyncFileReader": "engines this small are read at once",
    "consistency": "trtexec too looks at it for safety-certified engines only",
    "ignoreParsedPluginLibs": "no file of these networks names a plugin",
    "separateProfileRun": "layers are always timed in a run of their own",
    # before 10
    "explicitBatch": "batches are always explicit",
    "nativeInstanceNorm": "it is the default",
    "ni": "it is the default",
}
"""Flags that are taken and change nothing, and why."""


class TrtexecCommand(TyperCommand):
    """A verb that answers the flags in :data:`REFUSED` and :data:`WITHOUT_EFFECT` before its own are read."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See ``click.Command``.

        Raises:
            UsageError: a flag is refused.
        """
        kept = []
        for argument in args:
            flag = argument.partition("=")[0]
            if flag.startswith("--") and flag[2:] in REFUSED:
                raise UsageError(f"edge-harmony build does not take trtexec's {flag}", REFUSED[flag[2:]])
            if flag.startswith("--") and flag[2:] in WITHOUT_EFFECT:
                notes.print(f"{flag} changes nothing: {WITHOUT_EFFECT[flag[2:]]}", soft_wrap=True, markup=False)
            else:
                kept.append(argument)
        rest: list[str] = super().parse_args(ctx, kept)
        return rest
