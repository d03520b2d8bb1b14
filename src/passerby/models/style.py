"""What takes a camera's style out of early feature maps, or mixes styles while training."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class GatedInstanceNorm(nn.Module):
    """Each channel partly as it is and partly normalised over its own crop.

    y = (1 − g) x + g (γ (x − μ) / σ + β), where μ and σ are a crop's mean and deviation of the
    channel and g, from 0 to 1, is learnt for each channel. The style of a camera lies in μ and σ
    (Pan et al., "Two at Once", ECCV 2018; gates as in Choi et al., "Meta Batch-Instance
    Normalization", CVPR 2021, eq. 3, between batch and instance normalisation).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.full((channels,), 0.5))
        self.normalise = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate.clamp(0, 1).view(1, -1, 1, 1)
        normalised: Tensor = self.normalise(x)
        return x + gate * (normalised - x)


class InputNorm(nn.Module):
    """A crop's colours partly as they are and partly normalised over the crop.

    y = (1 − s) x + s (x − μ) / σ for each colour, where μ and σ are the crop's mean and deviation
    and s is fixed: a lamp's colour and a camera's contrast are taken out before the first layer.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.normalise = nn.InstanceNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.normalise(x)
        return x + self.share * (normalised - x)


class MixStyle(nn.Module):
    """While training, half of the batches get each channel's mean and deviation mixed.

    Zhou et al., "Domain Generalization with MixStyle", ICLR 2021, eq. 3–5, with crops drawn at
    random from the batch, λ from Beta(0.1, 0.1) and probability one half, as there. In use it
    does nothing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.probability = 0.5
        self.concentration = 0.1

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or torch.rand(()) >= self.probability:
            return x
        values = x.float()
        mean = values.mean((2, 3), keepdim=True).detach()
        deviation = (values.var((2, 3), keepdim=True) + 1e-6).sqrt().detach()
        other = torch.randperm(len(x), device=x.device)
        concentration = torch.full((len(x), 1, 1, 1), self.concentration)
        share = torch.distributions.Beta(concentration, concentration).sample().to(x.device)
        mixed_mean = share * mean + (1 - share) * mean[other]
        mixed_deviation = share * deviation + (1 - share) * deviation[other]
        return ((values - mean) / deviation * mixed_deviation + mixed_mean).to(x.dtype)


STYLES: dict[str, Callable[[int], nn.Module]] = {
    "instance_norm": GatedInstanceNorm,
    "mixstyle": MixStyle,
}
"""From a stage's number of channels to what follows the stage."""
