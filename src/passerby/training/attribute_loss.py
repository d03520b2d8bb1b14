"""The attribute loss: binary cross entropy, weighted by how frequent each attribute is."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from passerby.training.recipe import AttributeLossSection


def deepmar_weights(
    frequencies: NDArray[np.float64], sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights of positive and of negative labels.

    Li, Chen and Huang, "Multi-attribute Learning for Pedestrian Attribute Recognition in
    Surveillance Scenarios", ACPR 2015, eq. 3: exp((1 − p) / σ²) and exp(p / σ²).

    Args:
        frequencies: fraction p of training persons who have each attribute, shape (attributes,).
        sigma: σ.
    """
    return np.exp((1 - frequencies) / sigma**2), np.exp(frequencies / sigma**2)


class AttributeLoss(nn.Module):
    """Binary cross entropy with logits: the mean over crops and attributes of weighted terms."""

    def __init__(self, section: AttributeLossSection, person_labels: NDArray[np.bool_]) -> None:
        """Compute the weights.

        Args:
            section: `loss.attributes` of the recipe.
            person_labels: labels of the training persons, shape (persons, attributes).
        """
        super().__init__()
        frequencies = person_labels.mean(axis=0)
        if section.weighting == "deepmar":
            positive, negative = deepmar_weights(frequencies, section.sigma)
        else:
            positive = negative = np.ones_like(frequencies)
        self.positive: Tensor
        self.negative: Tensor
        self.register_buffer("positive", torch.tensor(positive, dtype=torch.float32))
        self.register_buffer("negative", torch.tensor(negative, dtype=torch.float32))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss.

        Args:
            logits: shape (N, attributes).
            labels: bool, shape (N, attributes).
        """
        weights = torch.where(labels, self.positive, self.negative)
        return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), weights)
