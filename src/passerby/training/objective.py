"""What training minimises: the recipe's weighted sum of attribute, identity and metric loss."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from passerby.training.attribute_loss import AttributeLoss
from passerby.training.learner import Learned
from passerby.training.metric_loss import metric_loss
from passerby.training.recipe import LossSection


class Objective(nn.Module):
    """The losses that a recipe gives a weight, summed."""

    def __init__(self, section: LossSection, person_labels: NDArray[np.bool_] | None) -> None:
        """Build the losses.

        Args:
            section: of the recipe.
            person_labels: labels of the training persons, shape (persons, attributes); needed
                for the attribute loss.
        """
        super().__init__()
        self.section = section
        self.attributes = self.identity = self.metric = None
        if section.attributes.weight:
            assert person_labels is not None
            self.attributes = AttributeLoss(section.attributes, person_labels)
        if section.identity.weight:
            smoothing = section.identity.label_smoothing
            self.identity = nn.CrossEntropyLoss(label_smoothing=smoothing)
        if section.metric.kind != "none":
            self.metric = metric_loss(section.metric)

    def forward(self, learned: Learned, labels: Tensor, persons: Tensor) -> Tensor:
        """Return the loss of a batch of N crops.

        Args:
            learned: what the learner answered.
            labels: bool, shape (N, attributes).
            persons: rows of the training persons, int64, shape (N,).
        """
        # logits that no loss looks at still belong to the sum: processes wait for all gradients
        total = 0.0 * learned.attributes.sum()
        if self.attributes is not None:
            loss = self.attributes(learned.attributes.float(), labels)
            total = total + self.section.attributes.weight * loss
        if self.identity is not None:
            loss = self.identity(learned.identities.float(), persons)
            total = total + self.section.identity.weight * loss
        if self.metric is not None:
            vectors = learned.features.float()
            if self.section.metric.vectors == "logits":
                vectors = functional.normalize(learned.attributes.float(), dim=1)
            total = total + self.section.metric.weight * self.metric(vectors, persons)
        return total
