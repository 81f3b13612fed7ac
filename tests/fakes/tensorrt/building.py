"""The builder: its configuration, timings, profiles of shapes, calibration, and the rules of DLA."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.tensorrt.voice import Severity, Voice
from tests.fakes.tensorrt.world import World

CALIBRATED = 64  # height and width of the small networks that tests calibrate


def builder_classes(
    trt: Any, names: dict[str, list[str]], world: World, voice: Voice, network: type
) -> dict[str, type]:
    """Behaviour, written against all versions at once.

    Args:
        trt: the module that the classes will be in.
        names: its classes and their attributes.
        world: what fails, and a record of calls.
        voice: what it says.
        network: the class ``INetworkDefinition``.
    """

    class Builder:
        def __init__(self, logger: Any) -> None:
            voice.register(logger)
            voice.constructed("Builder")
            self.num_DLA_cores = world.dla

        def create_network(self, flags: int) -> Any:
            world.configs.append({"flags": set(), "network": flags, "pools": {}, "profiles": []})
            return None if "create_network" in world.fails else network()

        def create_builder_config(self) -> Any:
            return IBuilderConfig()

        def create_optimization_profile(self) -> Any:
            return IOptimizationProfile()

        def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
            world.builds += 1
            voice.say(Severity.WARNING, "a warning")
            voice.say(Severity.VERBOSE, "much ado")
            if not self._ran(getattr(config, "progress_monitor", None)):
                world.cancelled += 1
                return None
            calibrator = getattr(config, "int8_calibrator", None)
            if calibrator is not None:
                self._calibrate(calibrator)
            refused = self._dla_refuses() or world.fails.get("build")
            if (
                names.get("ComputeCapability")
                and {"REFIT", "STRIP_PLAN"} & world.configs[-1]["flags"]
                and not world.gpu
            ):
                refused = "Error Code 1: Myelin (graph_jit.cpp:278: CHECK(status == CUDA_SUCCESS) failed.)"
            if refused:
                voice.complain(refused)
                return None
            flags = world.configs[-1]["flags"]
            facts = {"fake": True, "stripped": "STRIP_PLAN" in flags, "sm": world.cuda.model.sm}
            if "VERSION_COMPATIBLE" not in flags:
                facts["version"] = trt.__version__
            return json.dumps(facts).encode()

        def _ran(self, monitor: Any) -> bool:
            """Two steps, the first one with a phase of its own; False if the monitor stops them."""
            if monitor is None:
                return True
            voice.trampoline(monitor.phase_start, "Building", None, 2)
            voice.trampoline(monitor.phase_start, "Tactics", "Building", 1)
            for phase in ("Tactics", "Building"):
                if not voice.trampoline(monitor.step_complete, phase, 0):
                    return False
                voice.trampoline(monitor.phase_finish, phase)
            return True

        def _calibrate(self, calibrator: Any) -> None:
            if voice.trampoline(calibrator.read_calibration_cache) is not None:
                return
            world.batches = 0
            pictures = 1
            if world.open_batch:
                shapes = world.configs[-1].get("calibration", world.configs[-1]["profiles"][0])
                pictures = shapes[world.names[0]][1][0]
            while addresses := voice.trampoline(calibrator.get_batch, list(world.names)):
                for address, planes in zip(addresses, (3, 1), strict=True):
                    read = 4 * pictures * planes * CALIBRATED**2
                    assert len(world.cuda.memory[address]) >= read, "TensorRT read beyond the calibration batch"
                world.batches += 1
            voice.trampoline(calibrator.write_calibration_cache, b"ranges")

        def _dla_refuses(self) -> str:
            config = world.configs[-1]
            if getattr(config.get("default_device_type"), "name", "") != "DLA" or not hasattr(trt.BuilderFlag, "FP16"):
                return ""
            if config["network"] & (1 << getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", 62)):
                return "DLA does not support strongly typed networks"
            if world.quantized:
                return "DLA does not support explicit quantization"
            return "" if {"FP16", "INT8"} & config["flags"] else "DLA needs FP16 or INT8"

    class ITimingCache:
        def __init__(self, content: bytes) -> None:
            self._content = content

        def combine(self, other: Any, ignore: bool) -> bool:
            if other._content not in self._content:
                self._content += other._content
            return True

        def serialize(self) -> bytes:
            return self._content

    class IBuilderConfig:
        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("_") and name not in names["IBuilderConfig"]:
                raise AttributeError(f"IBuilderConfig has no {name}")
            world.configs[-1][name] = value
            object.__setattr__(self, name, value)

        def set_flag(self, flag: Any) -> None:
            world.configs[-1]["flags"].add(flag.name)

        def clear_flag(self, flag: Any) -> None:
            world.configs[-1]["flags"].discard(flag.name)

        def set_memory_pool_limit(self, pool: Any, size: int) -> None:
            world.configs[-1]["pools"][pool.name] = size

        def add_optimization_profile(self, profile: Any) -> int:
            world.configs[-1]["profiles"].append(profile._shapes)
            return 0

        def set_calibration_profile(self, profile: Any) -> bool:
            world.configs[-1]["calibration"] = profile._shapes
            return True

        def get_tactic_sources(self) -> int:
            return sum(1 << int(source) for source in trt.TacticSource if source.name != "CUBLAS")

        def set_tactic_sources(self, sources: int) -> bool:
            world.configs[-1]["tactics"] = {s.name for s in trt.TacticSource if sources & 1 << int(s)}
            return True

        def set_preview_feature(self, feature: Any, on: bool) -> None:
            world.configs[-1].setdefault("preview", {})[feature.name] = on

        def set_compute_capability(self, capability: Any, index: int) -> None:
            world.configs[-1].setdefault("architectures", {})[index] = capability.name

        def create_timing_cache(self, content: bytes) -> Any:
            return None if content == b"of another version" else ITimingCache(content)

        def set_timing_cache(self, cache: Any, ignore: bool) -> bool:
            cache._content += b"." if cache._content else b"timings"
            self._cache = cache
            return True

        def get_timing_cache(self) -> Any:
            return self._cache

    class IOptimizationProfile:
        def __init__(self) -> None:
            self._shapes: dict[str, Any] = {}

        def set_shape(self, name: str, least: Any, best: Any, largest: Any) -> None:
            self._shapes[name] = (least, best, largest)

    return {kind.__name__: kind for kind in (Builder, ITimingCache, IBuilderConfig, IOptimizationProfile)}
