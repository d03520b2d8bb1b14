"""What training minimises: the recipe's weighted sum of attribute, identity and metric loss."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from passerby.training.attribute_loss import AttributeLoss
from passerby.training.crop_dataset import TrainingBatch
from passerby.training.distributed import gather
from passerby.training.metric_loss import metric_loss
from passerby.training.recipe import LossSection
from passerby.training.training_module import TrainingModule, TrainingOutputs


class MultitaskLoss(nn.Module):
    """A training_module and the losses that a recipe gives a weight: crops to what is minimised.

    With `balance: uncertainty` the weights are learnt: each loss L enters as exp(−s) L + s / 2,
    where s is the logarithm of the task's variance (Kendall, Gal and Cipolla, "Multi-Task
    Learning Using Uncertainty to Weigh Losses", CVPR 2018, eq. 10).
    """

    def __init__(
        self,
        training_module: TrainingModule,
        section: LossSection,
        attributes: AttributeLoss | None,
    ) -> None:
        """Build the losses.

        Args:
            training_module: who learns.
            section: `loss` of the recipe.
            attributes: the attribute loss, if it has a weight.
        """
        super().__init__()
        self.training_module = training_module
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
        self._loss: dict[str, Callable[[TrainingOutputs, TrainingBatch], Tensor]] = {
            "attributes": self._attribute_loss,
            "identity": self._identity_loss,
            "metric": self._metric_loss,
        }

    def forward(self, crops: Tensor, batch: TrainingBatch) -> Tensor:
        """Return the loss of a batch.

        Args:
            crops: the batch's pixels, normalised, float32, shape (N, 3, height, width).
            batch: with what is to be learned about them.
        """
        learned = self.training_module(crops)
        with torch.autocast(crops.device.type, enabled=False):
            return self.loss(TrainingOutputs(*(values.float() for values in learned)), batch)

    def loss(self, learned: TrainingOutputs, batch: TrainingBatch) -> Tensor:
        """Return the loss of what the training_module answered, in float32."""
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

    def _attribute_loss(self, learned: TrainingOutputs, batch: TrainingBatch) -> Tensor:
        assert self.attributes is not None
        # the mean over the crops that count, of which processes hold different numbers
        parts = (learned.attributes, batch.labels, batch.erased)
        return self.attributes(*map(gather, parts))  # type: ignore[no-any-return]

    def _identity_loss(self, learned: TrainingOutputs, batch: TrainingBatch) -> Tensor:
        return self.identity(learned.identities, batch.persons)  # type: ignore[no-any-return]

    def _metric_loss(self, learned: TrainingOutputs, batch: TrainingBatch) -> Tensor:
        assert self.metric is not None
        vectors = learned.features
        if self.section.metric.vectors == "logits":
            vectors = functional.normalize(learned.attributes, dim=1)
        return self.metric(gather(vectors), gather(batch.persons))  # type: ignore[no-any-return]
