"""Channel, spatial and non-local attention on feature maps."""

from collections.abc import Callable

import torch
from timm.layers.cbam import CbamModule, ChannelAttn, SpatialAttn
from timm.layers.non_local_attn import NonLocalAttn
from torch import Tensor, nn

_BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "channel": ChannelAttn,
    "spatial": lambda channels: SpatialAttn(),
    "both": CbamModule,
    "non_local": NonLocalAttn,
}


def attention_block(kind: str, channels: int, residual: bool) -> nn.Module:
    """Return an attention block for maps of shape (N, channels, H, W); same shape out.

    Args:
        kind: as in `passerby.models.architecture.Attention`.
        channels: of the feature map.
        residual: see `ResidualAttention`.
    """
    if kind == "none":
        return nn.Identity()
    block: nn.Module = _BLOCKS[kind](channels)
    return ResidualAttention(block) if residual else block


class ResidualAttention(nn.Module):
    """x + w · attention(x), with the scalar w learnt from 0: at first the identity."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight * self.block(x)
