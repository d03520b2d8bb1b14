"""One batch out of the parts that several processes hold."""

import torch
from torch import Tensor, distributed
from torch.distributed.nn import functional


def gathered(part: Tensor) -> Tensor:
    """Return the parts of all processes, one below the other; of one process, its own.

    Gradients flow back to every part. A loss on the whole, computed by each process and averaged
    over them, has the gradient of one process that holds all.

    Args:
        part: of this process, shape (N, …), the same in all.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return part
    return torch.cat(functional.all_gather(part))
