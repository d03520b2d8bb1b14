"""What the machine offers: precision, workers, memory that stays warm."""

import ctypes
import os
import platform
import resource
import sys

import torch
from torch import nn

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def choose_precision(wanted: str, model: nn.Module, device: torch.device) -> str:
    """Return "fp32" or "bf16".

    On a CPU, bf16 pays only with matrix instructions for it (AMX, AVX-512 BF16), and not for
    networks with depthwise convolutions, whose bf16 gradients are slow.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    depthwise = any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in model.modules())
    return "bf16" if not depthwise and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


def loader_workers(device: torch.device) -> int:
    """Return how many processes prepare batches: none on a CPU, which the model itself needs."""
    return min(8, (os.cpu_count() or 1) - 1) if device.type == "cuda" else 0


def keep_freed_memory() -> None:
    """Let glibc reuse freed memory instead of returning it: a third faster on a CPU.

    Training frees and allocates the same large tensors in every step; given back to the system,
    each page would have to be mapped and cleared again.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def peak_memory_mb() -> int:
    """Return the largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


def machine() -> str:
    """Return the processor or the accelerator in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()}-core {platform.machine()} CPU"
