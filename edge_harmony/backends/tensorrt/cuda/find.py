"""Find a package through which CUDA reaches the GPU."""

from __future__ import annotations

from edge_harmony.backends.tensorrt.cuda.api import Cuda, Package
from edge_harmony.errors import CapabilityError, first_line
from edge_harmony.extras import install_hint, is_installed

MODULES: dict[Package, str] = {"cuda-python": "cuda.bindings.driver", "pycuda": "pycuda.driver"}


def find_cuda(package: Package | None = None, device: int = 0) -> Cuda:
    """Connect to a GPU through a package, or through the first installed one that reaches it: cuda-python, then PyCUDA.

    Args:
        package: the only package to try; None for either.
        device: number of the GPU.

    Raises:
        CapabilityError: no package is installed, or none of them reaches the GPU: no driver, no such device, or a
            package that does not fit the driver. The message is that of the first package.
    """
    wanted: tuple[Package, ...] = (package,) if package else ("cuda-python", "pycuda")
    failures: list[CapabilityError] = []
    for name in wanted:
        if is_installed(MODULES[name]):
            try:
                return _connect(name, device)
            except CapabilityError as error:
                failures.append(error)
    if failures:
        raise failures[0]
    raise CapabilityError(
        f"{' and '.join(wanted)} {'is' if package else 'are'} not installed",
        f"pip install cuda-bindings, or {install_hint('pycuda')}",
    )


def _connect(package: Package, device: int) -> Cuda:
    try:
        if package == "cuda-python":
            from edge_harmony.backends.tensorrt.cuda.cuda_python import CudaPython

            return CudaPython(device)
        from edge_harmony.backends.tensorrt.cuda.pycuda import PyCuda

        return PyCuda(device)
    except ImportError as error:  # PyCUDA is linked with the driver's library
        raise CapabilityError(
            f"{package} is installed and cannot be imported ({first_line(error)})",
            "install NVIDIA's driver, then the package again",
        ) from None
