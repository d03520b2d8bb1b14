"""What several processes hold, in each of them: parts of a batch, and what the first one knows."""

import torch
from safetensors.torch import load, save
from torch import Tensor, distributed
from torch.distributed.nn import functional


def gather(part: Tensor) -> Tensor:
    """Return the parts of all processes, one below the other; of one process, its own.

    Gradients flow back to every part. A loss on the whole, computed by each process and averaged
    over them, has the gradient of one process that holds all.

    Args:
        part: of this process, shape (N, …), the same in all.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return part
    return torch.cat(functional.all_gather(part))


def broadcast_from_first(values: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return the tensors that the first process gives.

    Args:
        values: tensors by name; those of other processes are not looked at.
        device: that the processes talk through.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return values
    # as a file would hold them: the others know neither names nor shapes
    content = torch.frombuffer(bytearray(save(values)), dtype=torch.uint8).to(device)
    size = torch.tensor(len(content), device=device)
    distributed.broadcast(size, src=0)
    if distributed.get_rank() > 0:
        content = torch.empty(int(size), dtype=torch.uint8, device=device)
    distributed.broadcast(content, src=0)
    return load(content.cpu().numpy().tobytes())
