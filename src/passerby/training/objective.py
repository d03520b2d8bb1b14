"""What training minimises: the recipe's weighted sum of attribute, identity and metric loss."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from passerby.training.attribute_loss import AttributeLoss
from passerby.training.crop_dataset import Batch
from passerby.training.gathering import gathered
from passerby.training.learner import Learned, Learner
from passerby.training.metric_loss import metric_loss
from passerby.training.recipe import LossSection


class Objective(nn.Module):
    """A learner and the losses that a recipe gives a weight: crops to what is minimised.

    With `balance: uncertainty` the weights are learnt: each loss L enters as exp(−s) L + s / 2,
    where s is the logarithm of the task's variance (Kendall, Gal and Cipolla, "Multi-Task
    Learning Using Uncertainty to Weigh Losses", CVPR 2018, eq. 10).
    """

    def __init__(
        self, learner: Learner, section: LossSection, attributes: AttributeLoss | None
    ) -> None:
        """Build the losses.

        Args:
            learner: who learns.
            section: `loss` of the recipe.
            attributes: the attribute loss, if it has a weight.
        """
        super().__init__()
        self.learner = learner
        self.section = section
        self.attributes = attributes
        self.identity = nn.CrossEntropyLoss(label_smoothing=section.identity.label_smoothing)
        self.metric = None if section.metric.kind == "none" else metric_loss(section.metric)
        weights = self._weights()
        self.log_variances: nn.ParameterDict | None = None
        if section.balance == "uncertainty":
            self.log_variances = nn.ParameterDict(
                {task: nn.Parameter(-torch.tensor(w).log()) for task, w in weights.items()}
            )
        self._loss: dict[str, Callable[[Learned, Batch], Tensor]] = {
            "attributes": self._attribute_loss,
            "identity": self._identity_loss,
            "metric": self._metric_loss,
        }

    def forward(self, crops: Tensor, batch: Batch) -> Tensor:
        """Return the loss of a batch.

        Args:
            crops: the batch's pixels, normalised, float32, shape (N, 3, height, width).
            batch: with what is to be learned about them.
        """
        learned = self.learner(crops)
        with torch.autocast(crops.device.type, enabled=False):
            return self.loss(Learned(*(values.float() for values in learned)), batch)

    def loss(self, learned: Learned, batch: Batch) -> Tensor:
        """Return the loss of what the learner answered, in float32."""
        # logits that no loss looks at still belong to the sum: processes wait for all gradients
        total = 0.0 * learned.attributes.sum()
        for task, weight in self._weights().items():
            loss = self._loss[task](learned, batch)
            if self.log_variances is None:
                total = total + weight * loss
            else:
                log_variance = self.log_variances[task]
                total = total + (-log_variance).exp() * loss + log_variance / 2
        return total

    def _weights(self) -> dict[str, float]:
        section = self.section
        weights = {
            "attributes": section.attributes.weight,
            "identity": section.identity.weight,
            "metric": 0.0 if self.metric is None else section.metric.weight,
        }
        return {task: weight for task, weight in weights.items() if weight}

    def _attribute_loss(self, learned: Learned, batch: Batch) -> Tensor:
        assert self.attributes is not None
        # the mean over the crops that count, of which processes hold different numbers
        parts = (learned.attributes, batch.labels, batch.erased)
        return self.attributes(*map(gathered, parts))  # type: ignore[no-any-return]

    def _identity_loss(self, learned: Learned, batch: Batch) -> Tensor:
        return self.identity(learned.identities, batch.persons)  # type: ignore[no-any-return]

    def _metric_loss(self, learned: Learned, batch: Batch) -> Tensor:
        assert self.metric is not None
        vectors = learned.features
        if self.section.metric.vectors == "logits":
            vectors = functional.normalize(learned.attributes, dim=1)
        return self.metric(gathered(vectors), gathered(batch.persons))  # type: ignore[no-any-return]
