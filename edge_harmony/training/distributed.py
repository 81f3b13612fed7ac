"""Training in one process, or in several under ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from edge_harmony.errors import CapabilityError, UsageError


@dataclass(frozen=True)
class World:
    """The rank of this process, the number of processes, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """True in the process that validates, logs and writes."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()

    def agree(self, answer: bool) -> bool:
        """Return the main process's answer in all processes, because clocks differ."""
        if self.size == 1:
            return answer
        shared = torch.tensor([answer], dtype=torch.uint8, device=self.device)
        dist.broadcast(shared, 0)
        return bool(shared)


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Join the processes that ``torchrun`` started, if its environment variables are set; else work alone.

    Args:
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. Under torchrun each process takes the GPU of its
            local rank.

    Raises:
        CapabilityError: CUDA is requested but not available.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    chosen = _device(device, local_rank)
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield World(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size(), chosen)
    finally:
        dist.destroy_process_group()


def _device(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}", "use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise CapabilityError("CUDA is not available here", "use --device cpu, or install a CUDA build of torch")
        device = torch.device("cuda", local_rank if device.index is None else device.index)
        torch.cuda.set_device(device)
    elif device.type != "cpu":
        raise UsageError(f"cannot train on {name!r}", "use auto, cpu, cuda or cuda:N")
    return device
