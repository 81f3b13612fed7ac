"""The flags of ``edge-harmony build``, with trtexec's names, and their help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge_harmony.backends.tensorrt.bridge import Distribution
from edge_harmony.backends.tensorrt.cuda.api import Package

_BUILD, _SHAPES, _RUN, _FILES = "Building", "Shapes", "Timing", "Files"

ModelArgument = Annotated[Path | None, typer.Argument(help="An ONNX file (trtexec's --onnx).")]
OnnxOption = Annotated[
    Path | None, typer.Option("--onnx", rich_help_panel=_FILES, help="The ONNX file, as for trtexec.")
]
SaveEngineOption = Annotated[
    Path | None,
    typer.Option("--saveEngine", rich_help_panel=_FILES, help="Path of the engine; by default in the cache."),
]
LoadEngineOption = Annotated[
    Path | None,
    typer.Option("--loadEngine", rich_help_panel=_FILES, help="Time this engine instead of building one."),
]
Fp16Option = Annotated[bool, typer.Option("--fp16", rich_help_panel=_BUILD, help="Allow FP16 (TensorRT 8.6 to 10).")]
Int8Option = Annotated[bool, typer.Option("--int8", rich_help_panel=_BUILD, help="Allow INT8 (TensorRT 8.6 to 10).")]
Bf16Option = Annotated[bool, typer.Option("--bf16", rich_help_panel=_BUILD, help="Allow BF16 (TensorRT 10).")]
Fp8Option = Annotated[bool, typer.Option("--fp8", rich_help_panel=_BUILD, help="Allow FP8 (TensorRT 8.6 to 10).")]
PrecisionConstraintsOption = Annotated[
    Literal["none", "obey", "prefer"],
    typer.Option("--precisionConstraints", rich_help_panel=_BUILD, help="Keep to the two next options."),
]
LayerPrecisionsOption = Annotated[
    str | None,
    typer.Option("--layerPrecisions", rich_help_panel=_BUILD, help="NAME:fp16,NAME:fp32,...; a * in a name."),
]
LayerOutputTypesOption = Annotated[
    str | None,
    typer.Option("--layerOutputTypes", rich_help_panel=_BUILD, help="NAME:fp16,NAME:fp32+int32,...; a * in a name."),
]
InputFormatsOption = Annotated[
    str | None,
    typer.Option(
        "--inputIOFormats", rich_help_panel=_BUILD, help="TYPE:FORMAT of every input, or one for all: fp16:chw."
    ),
]
OutputFormatsOption = Annotated[
    str | None, typer.Option("--outputIOFormats", rich_help_panel=_BUILD, help="As --inputIOFormats, of the outputs.")
]
DirectIOOption = Annotated[
    bool, typer.Option("--directIO", rich_help_panel=_BUILD, help="No reformatting of inputs and outputs.")
]
MaxAuxStreamsOption = Annotated[
    int | None, typer.Option("--maxAuxStreams", min=0, rich_help_panel=_BUILD, help="Further streams, at most.")
]
TacticSourcesOption = Annotated[
    str | None,
    typer.Option(
        "--tacticSources", rich_help_panel=_BUILD, help="+SOURCE to add, -SOURCE to leave out: -CUDNN,+CUBLAS."
    ),
]
NoBuilderCacheOption = Annotated[
    bool, typer.Option("--noBuilderCache", rich_help_panel=_BUILD, help="Time every kernel, also one that was timed.")
]
BestOption = Annotated[
    bool, typer.Option("--best", rich_help_panel=_BUILD, help="Allow FP16 and INT8 (TensorRT 8.6 to 10).")
]
StronglyTypedOption = Annotated[
    bool,
    typer.Option("--stronglyTyped", rich_help_panel=_BUILD, help="Use the types in the file (the default from 10 on)."),
]
Tf32Option = Annotated[
    bool | None,
    typer.Option(
        "--tf32/--noTF32",
        rich_help_panel=_BUILD,
        help="TF32 in FP32 layers; by default unless the file is typed FP16 or INT8.",
    ),
]
CalibOption = Annotated[
    Path | None,
    typer.Option(
        "--calib",
        rich_help_panel=_BUILD,
        help="Calibration cache of implicit INT8: read if it exists, else written.",
    ),
]
CalibrationSetOption = Annotated[
    str,
    typer.Option("--calibrationSet", rich_help_panel=_BUILD, help="Calibration set for implicit INT8."),
]
CalibrationDataOption = Annotated[
    Path | None,
    typer.Option("--calibrationData", rich_help_panel=_BUILD, help="Root of a set that is not shipped."),
]
CalibrationAlgorithmOption = Annotated[
    Literal["entropy", "min-max"], typer.Option("--calibrationAlgorithm", rich_help_panel=_BUILD, help="Algorithm.")
]
MemPoolSizeOption = Annotated[
    str | None, typer.Option("--memPoolSize", rich_help_panel=_BUILD, help="workspace:MiB,dlaSRAM:MiB,...")
]
TimingCacheOption = Annotated[
    Path | None,
    typer.Option("--timingCacheFile", rich_help_panel=_FILES, help="Cache of kernel timings between builds."),
]
LevelOption = Annotated[
    int | None,
    typer.Option(
        "--builderOptimizationLevel", min=0, max=5, rich_help_panel=_BUILD, help="0 builds fast, 5 runs fast."
    ),
]
AvgTimingOption = Annotated[
    int | None, typer.Option("--avgTiming", min=1, rich_help_panel=_BUILD, help="Runs per timed kernel.")
]
UseDlaCoreOption = Annotated[
    int | None, typer.Option("--useDLACore", min=0, rich_help_panel=_BUILD, help="Run on this DLA core.")
]
AllowGpuFallbackOption = Annotated[
    bool,
    typer.Option("--allowGPUFallback", rich_help_panel=_BUILD, help="Run layers on the GPU that the DLA cannot run."),
]
VersionCompatibleOption = Annotated[
    bool,
    typer.Option(
        "--versionCompatible", "--vc", rich_help_panel=_BUILD, help="An engine that newer TensorRT versions load too."
    ),
]
ExcludeLeanRuntimeOption = Annotated[
    bool, typer.Option("--excludeLeanRuntime", rich_help_panel=_BUILD, help="Leave out the lean runtime.")
]
HardwareOption = Annotated[
    Literal["none", "ampere+", "sameComputeCapability"],
    typer.Option("--hardwareCompatibilityLevel", rich_help_panel=_BUILD, help="Other GPUs that can run the engine."),
]
StripWeightsOption = Annotated[
    bool,
    typer.Option(
        "--stripWeights",
        "--weightless",
        rich_help_panel=_BUILD,
        help="An engine without weights; they are read from the ONNX file when it is loaded.",
    ),
]
StripAllWeightsOption = Annotated[
    bool, typer.Option("--stripAllWeights", rich_help_panel=_BUILD, help="Both --stripWeights and --refit.")
]
RefitOption = Annotated[bool, typer.Option("--refit", rich_help_panel=_BUILD, help="Allow other weights later.")]
SparsityOption = Annotated[
    Literal["disable", "enable"], typer.Option("--sparsity", rich_help_panel=_BUILD, help="Use 2:4 sparse weights.")
]
VerbosityOption = Annotated[
    Literal["layer_names_only", "detailed", "none"],
    typer.Option("--profilingVerbosity", rich_help_panel=_BUILD, help="Details of layers that the engine keeps."),
]
ComputeCapabilitiesOption = Annotated[
    str | None,
    typer.Option(
        "--computeCapabilities",
        rich_help_panel=_BUILD,
        help="SM86,SM89,... (TensorRT for RTX): build without such a GPU.",
    ),
]
MinShapesOption = Annotated[
    str | None, typer.Option("--minShapes", rich_help_panel=_SHAPES, help="composite:1x3x256x256,mask:1x1x256x256")
]
OptShapesOption = Annotated[
    str | None, typer.Option("--optShapes", rich_help_panel=_SHAPES, help="As --minShapes: the fastest shapes.")
]
MaxShapesOption = Annotated[
    str | None, typer.Option("--maxShapes", rich_help_panel=_SHAPES, help="As --minShapes: the largest shapes.")
]
ShapesOption = Annotated[
    str | None,
    typer.Option("--shapes", rich_help_panel=_SHAPES, help="Shapes to time; alone, also the shapes to build for."),
]
RefitFromOption = Annotated[
    Path | None,
    typer.Option(
        "--refitFromOnnx", rich_help_panel=_FILES, help="With --loadEngine: weights for an engine without them."
    ),
]
SkipInferenceOption = Annotated[bool, typer.Option("--skipInference", rich_help_panel=_RUN, help="Build only.")]
UseCudaGraphOption = Annotated[
    bool | None,
    typer.Option(
        "--useCudaGraph/--noCudaGraph", rich_help_panel=_RUN, help="Launch a captured graph; TensorRT 11's default."
    ),
]
UseSpinWaitOption = Annotated[
    bool | None,
    typer.Option(
        "--useSpinWait/--noSpinWait", rich_help_panel=_RUN, help="Wait without sleeping; TensorRT 11's default."
    ),
]
NoDataTransfersOption = Annotated[
    bool | None,
    typer.Option(
        "--noDataTransfers/--dataTransfers",
        " /--includeDataTransfers",
        rich_help_panel=_RUN,
        help="Leave out copies; TensorRT 11's default.",
    ),
]
WarmUpOption = Annotated[float, typer.Option("--warmUp", min=0, rich_help_panel=_RUN, help="Milliseconds of warm-up.")]
DurationOption = Annotated[
    float, typer.Option("--duration", min=0, rich_help_panel=_RUN, help="Seconds of timing, at least.")
]
IterationsOption = Annotated[
    int, typer.Option("--iterations", min=1, rich_help_panel=_RUN, help="Timed queries, at least.")
]
PercentileOption = Annotated[str, typer.Option("--percentile", rich_help_panel=_RUN, help="Percentiles to report.")]
AvgRunsOption = Annotated[
    int | None,
    typer.Option("--avgRuns", min=1, rich_help_panel=_RUN, help="Also print means over this many successive queries."),
]
InfStreamsOption = Annotated[
    int,
    typer.Option("--infStreams", "--streams", min=1, rich_help_panel=_RUN, help="Contexts that run at a time."),
]
ThreadPerContextOption = Annotated[
    bool, typer.Option("--threads", rich_help_panel=_RUN, help="With --infStreams: a thread for each context.")
]
ExposeDMAOption = Annotated[
    bool,
    typer.Option("--exposeDMA", rich_help_panel=_RUN, help="Begin a query only after the one before it has ended."),
]
IdleTimeOption = Annotated[
    float, typer.Option("--idleTime", min=0, rich_help_panel=_RUN, help="Milliseconds to sleep between queries.")
]
LoadInputsOption = Annotated[
    str | None, typer.Option("--loadInputs", rich_help_panel=_RUN, help="NAME:FILE,... of raw values; else noise.")
]
DumpOutputOption = Annotated[
    bool, typer.Option("--dumpOutput", rich_help_panel=_RUN, help="Print the outputs of the last query.")
]
DumpLayerInfoOption = Annotated[
    bool, typer.Option("--dumpLayerInfo", rich_help_panel=_RUN, help="Print what TensorRT's inspector says of layers.")
]
UseRuntimeOption = Annotated[
    Literal["full", "lean"] | None,
    typer.Option("--useRuntime", rich_help_panel=_FILES, help="With --loadEngine: TensorRT, or its lean runtime."),
]
LeanLibraryOption = Annotated[
    Path | None,
    typer.Option("--leanDLLPath", rich_help_panel=_FILES, help="With --loadEngine: a libnvinfer_lean to load it with."),
]
PlanVersionOption = Annotated[
    bool,
    typer.Option(
        "--getPlanVersionOnly", rich_help_panel=_FILES, help="With --loadEngine: print what built it, and end."
    ),
]
OutputToOption = Annotated[
    Path | None, typer.Option("--exportOutput", rich_help_panel=_FILES, help="Write the last query's outputs as JSON.")
]
DumpProfileOption = Annotated[
    bool, typer.Option("--dumpProfile", rich_help_panel=_RUN, help="Print the layers' times.")
]
TimesToOption = Annotated[
    Path | None, typer.Option("--exportTimes", rich_help_panel=_FILES, help="Write the times of every query as JSON.")
]
ProfileToOption = Annotated[
    Path | None, typer.Option("--exportProfile", rich_help_panel=_FILES, help="Write the layers' times as JSON.")
]
LayersToOption = Annotated[
    Path | None,
    typer.Option("--exportLayerInfo", rich_help_panel=_FILES, help="Write the inspector's information as JSON."),
]
LogFileOption = Annotated[
    Path | None, typer.Option("--logFile", rich_help_panel=_FILES, help="Write TensorRT's messages.")
]
ComparedOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--diff", rich_help_panel=_FILES, help="Compare two --exportProfile files; build nothing."),
]
LayerInfoOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--layerInfo", rich_help_panel=_FILES, help="Their --exportLayerInfo files, for precisions."),
]
DistributionOption = Annotated[
    Distribution | None, typer.Option("--distribution", help="By default TensorRT, else TensorRT for RTX.")
]
CudaOption = Annotated[
    Package | None, typer.Option("--cuda", help="Package for memory and streams; by default the installed one.")
]
GpuOption = Annotated[int, typer.Option("--device", min=0, help="Number of the GPU.")]
