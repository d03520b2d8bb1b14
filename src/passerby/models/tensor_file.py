"""Tensors in safetensors files."""

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors; a full disk raises `OSError`, as for any file (safetensors' own does not).

    Args:
        path: the file.
        tensors: by name.
        metadata: text by name.
    """
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    path.write_bytes(save(contiguous, metadata))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors by name.

    Raises:
        OSError: the file cannot be opened.
        SafetensorError: it is damaged.
    """
    _check_readable(path)
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return a network's tensors by name.

    Raises:
        OSError, SafetensorError: as `read_tensors`.
        ValueError: a value is not finite.
    """
    tensors = read_tensors(path)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} holds values that are not numbers")
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """Return a file's texts by name; raises what `read_tensors` raises."""
    _check_readable(path)
    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}


def _check_readable(path: Path) -> None:
    # safetensors calls a file that it may not open missing
    with path.open("rb"):
        pass
