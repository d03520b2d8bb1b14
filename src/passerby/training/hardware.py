"""What the machine offers: precision, workers, memory that stays warm."""

import ctypes
import os
import platform
import sys

import psutil
import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def choose_precision(wanted: str, device: torch.device) -> str:
    """Return "fp32" or "bf16"; "auto" means bf16 on GPUs that have it, fp32 on CPUs.

    On a CPU with matrix instructions bf16 doubles a ResNet's speed and makes an EfficientNet half
    as fast again, but torch 2.15 was seen to read memory there that nobody had written, so that
    some runs ended in NaN: it is not chosen unasked.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    return "fp32"


def emulates_bf16(device: torch.device) -> bool:
    """Tell whether a CPU lacks instructions for bf16, so that fp32 is many times as fast."""
    if device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    found = torch.cpu.get_capabilities()
    return not (found.get("avx512_bf16") or found.get("amx_bf16"))


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
    libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never


def peak_memory_mb() -> int:
    """Return the largest resident memory of this process so far, in MB."""
    if sys.platform == "win32":
        return round(psutil.Process().memory_info().peak_wset / 1e6)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


def machine() -> str:
    """Return the processor or the accelerator in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()}-core {platform.machine()} CPU"
