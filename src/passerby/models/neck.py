"""Between pooling and the heads."""

from collections.abc import Callable

from torch import nn


def batchnorm_neck(features: int) -> nn.Module:
    """Return a batch normalisation without shift.

    BNNeck of Luo et al., "Bag of Tricks and A Strong Baseline for Deep Person Re-identification",
    2019, section 3.5: metric losses look at the features before it, classifiers at those after.
    """
    neck = nn.BatchNorm1d(features)
    neck.bias.requires_grad_(False)
    return neck


NECKS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda features: nn.Identity(),
    "batchnorm": batchnorm_neck,
}
