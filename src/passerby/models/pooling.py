"""From feature maps to feature vectors."""

import torch
from torch import Tensor, nn


class AveragePool(nn.Module):
    """Mean over all positions: (N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class GeneralisedMeanPool(nn.Module):
    """(mean xᵖ)^(1/p) with a learnt p, (N, C, H, W) to (N, C).

    Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019,
    eq. 3. Values below 1e-6 count as 1e-6.
    """

    def __init__(self, p: float = 3.0) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(float(p)))

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=1e-6).pow(self.p).mean((2, 3)).pow(1 / self.p)


POOLS: dict[str, type[nn.Module]] = {"average": AveragePool, "gem": GeneralisedMeanPool}
