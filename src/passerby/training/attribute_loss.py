"""The attribute loss: cross entropy, weighted by how frequent each attribute is."""

from collections.abc import Iterable

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
    """Cross entropy with logits: the mean over all labels that are known of weighted terms.

    Binary for most attributes. Those that share a softmax come as log-odds of it, and only the
    one that holds counts: − log σ(log-odds) = − log softmax.
    """

    def __init__(
        self,
        section: AttributeLossSection,
        frequencies: NDArray[np.float64],
        softmax_groups: Iterable[slice] = (),
    ) -> None:
        """Compute the weights.

        Args:
            section: `loss.attributes` of the recipe.
            frequencies: fraction of the training persons who have each attribute, shape
                (attributes,); NaN where nobody's label is known counts as one half.
            softmax_groups: positions of attributes that share a softmax.
        """
        super().__init__()
        self.erased = section.erased
        frequencies = np.where(np.isnan(frequencies), 0.5, frequencies)
        if section.weighting == "deepmar":
            positive, negative = deepmar_weights(frequencies, section.sigma)
        else:
            positive, negative = np.ones_like(frequencies), np.ones_like(frequencies)
        for group in softmax_groups:
            negative[group] = 0
        self.positive: Tensor
        self.negative: Tensor
        self.register_buffer("positive", torch.tensor(positive, dtype=torch.float32))
        self.register_buffer("negative", torch.tensor(negative, dtype=torch.float32))

    def forward(self, logits: Tensor, labels: Tensor, erased: Tensor) -> Tensor:
        """Return the loss.

        Args:
            logits: shape (N, attributes).
            labels: bool, or probabilities, shape (N, attributes); NaN where unknown: these do
                not count.
            erased: crops with an erased rectangle, bool, shape (N,).
        """
        losses, known = self._terms(logits, labels)
        counted = torch.ones_like(known)
        if not self.erased:
            # the mean over the others, whose number differs from batch to batch
            whole = ~erased[:, None]
            losses = losses * whole * (len(whole) / whole.sum().clamp(min=1))
            counted = whole.expand_as(known)
        # exactly 1 where all is known, so that training is bit by bit what it was without
        return losses.mean() * (counted.sum() / (counted & known).sum().clamp(min=1))

    def by_crop(self, logits: Tensor, labels: Tensor, erased: Tensor) -> tuple[Tensor, Tensor]:
        """Return each crop's mean over its known labels, and whether it counts, shape (N,) each."""
        losses, known = self._terms(logits, labels)
        counts = known.sum(dim=1)
        counted = counts > 0
        if not self.erased:
            counted = counted & ~erased
        return losses.sum(dim=1) / counts.clamp(min=1), counted.float()

    def _terms(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted terms, 0 where a label is unknown, and which are known."""
        labels = labels.to(logits.dtype)
        known = ~labels.isnan()
        labels = labels.nan_to_num()
        present = self.positive * labels * functional.logsigmoid(logits)
        absent = self.negative * (1 - labels) * functional.logsigmoid(-logits)
        return -(present + absent) * known, known
