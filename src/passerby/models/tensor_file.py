"""Writing tensors to a safetensors file."""

from pathlib import Path

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
