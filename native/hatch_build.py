"""Hatchling's hook that compiles ``edge_harmony.pictures._native``; without a compiler the package is built without it.

``EDGE_HARMONY_NATIVE=required`` makes that an error, ``EDGE_HARMONY_NATIVE=no`` compiles nothing. An editable install
gets the compiled file beside the sources, a wheel within itself. setuptools is used for what it knows of compilers.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WISH = "EDGE_HARMONY_NATIVE"
FOLDER = Path("edge_harmony", "pictures")
_CPYTHON = platform.python_implementation() == "CPython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
STABLE = _CPYTHON and sys.version_info >= (3, 11)
"""Whether one build is for this and every later Python: the buffer protocol is in the stable ABI since 3.11."""

COMMON = ["-O3", "-std=c++17", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
COMMON_MSVC = ["/O2", "/std:c++17", "/fp:precise"]
AVX2 = ["-mavx2", "-mfma"]
VARIANTS = {"avx2": AVX2, "avx512": [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]}
VARIANTS_MSVC = {"avx2": ["/arch:AVX2"], "avx512": ["/arch:AVX512"]}
"""Instruction sets that the loops are compiled for on x86-64, beside that of every such CPU."""


class NativeBuild(BuildHookInterface):
    """Adds the extension to what is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; on failure say so and leave the extension out."""
        wish, root = os.environ.get(WISH, ""), Path(self.root)
        if wish not in ("", "no", "required"):
            raise SystemExit(f"{WISH} is {wish!r}; set it to required or no, or leave it out")
        in_place = version == "editable"
        self._folder = root / FOLDER if in_place else Path(tempfile.mkdtemp(prefix="edge-harmony-native-"))
        try:
            for earlier in self._folder.glob("_native.*"):
                if earlier.suffix in (".so", ".pyd"):
                    earlier.unlink()
            if wish == "no":
                return
            built = build(root / "native", self._folder)
        except (Exception, SystemExit) as error:  # no setuptools, no compiler, no headers of Python, ...
            if wish == "required":
                self.finalize(version, build_data, "")
                raise
            self.app.display_warning(f"the loops over pixels are not compiled, so NumPy does their work: {error}")
            return
        build_data["pure_python"] = False
        if STABLE:
            system = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"cp311-abi3-{system}"
        else:
            build_data["infer_tag"] = True
        if not in_place:
            build_data["force_include"][str(built)] = (FOLDER / built.name).as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled for a wheel."""
        if version != "editable":
            shutil.rmtree(self._folder)


def build(sources: Path, folder: Path) -> Path:
    """Compile the extension into a folder; the path of the result."""
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    on_x86 = platform.machine().lower() in ("x86_64", "amd64")

    class Build(build_ext):
        """Compiles the loops once more for every instruction set."""

        def build_extension(self, extension: Extension) -> None:
            """Compile the loops, then the module with them."""
            msvc = self.compiler.compiler_type == "msvc"
            flags = COMMON_MSVC if msvc else COMMON
            every = {"baseline": []} | ((VARIANTS_MSVC if msvc else VARIANTS) if on_x86 else {})
            for name, more in every.items():
                extension.extra_objects += self.compiler.compile(
                    [str(sources / "loops.cpp")],
                    output_dir=str(Path(self.build_temp, name)),
                    macros=[("INSTRUCTIONS", name)],
                    extra_postargs=[*flags, *more],
                )
            extension.extra_compile_args = flags
            super().build_extension(extension)

    macros = [("HAS_AVX2", None)] if on_x86 else []
    extension = Extension(
        "_native",
        [str(sources / "module.cpp")],
        define_macros=macros + ([("Py_LIMITED_API", "0x030B0000")] if STABLE else []),
        language="c++",
        py_limited_api=STABLE,
        extra_link_args=["-Wl,-s"] if sys.platform == "linux" else [],
    )
    command = Build(Distribution({"name": "edge-harmony", "ext_modules": [extension]}))
    with tempfile.TemporaryDirectory(prefix="edge-harmony-objects-") as objects:
        command.build_temp, command.build_lib = objects, str(folder)
        command.ensure_finalized()
        command.run()
    return folder / command.get_ext_filename("_native")


if __name__ == "__main__":
    print(build(Path(__file__).parent.absolute(), Path(__file__).parents[1].absolute() / FOLDER))
