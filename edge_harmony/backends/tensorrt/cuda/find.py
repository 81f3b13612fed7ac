"""Which of the two packages gives us CUDA."""

from __future__ import annotations

from edge_harmony.backends.tensorrt.cuda.api import Cuda, Package
from edge_harmony.errors import CapabilityError
from edge_harmony.extras import is_installed

MODULES: dict[Package, str] = {"cuda-python": "cuda.bindings.runtime", "pycuda": "pycuda.driver"}


def find_cuda(package: Package | None = None, device: int = 0) -> Cuda:
    """CUDA by the package asked for, else by cuda-python, else by PyCUDA.

    Raises:
        CapabilityError: the package is not installed, or there is no such device or no driver.
    """
    wanted: tuple[Package, ...] = (package,) if package else ("cuda-python", "pycuda")
    for name in wanted:
        if not is_installed(MODULES[name]):
            continue
        if name == "cuda-python":
            from edge_harmony.backends.tensorrt.cuda.cuda_python import CudaPython

            return CudaPython(device)
        from edge_harmony.backends.tensorrt.cuda.pycuda import PyCuda

        return PyCuda(device)
    raise CapabilityError(
        f"{' and '.join(wanted)} {'is' if package else 'are'} not installed",
        "pip install cuda-python, or pycuda where CUDA is older than 11.8 (JetPack 5 has it)",
    )
