"""What training minimises: the recipe's weighted sum of attribute, identity and metric loss."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from passerby.training.attribute_loss import AttributeLoss
from passerby.training.crop_dataset import TrainingBatch
from passerby.training.distributed import gather
from passerby.training.metric_loss import metric_loss
from passerby.training.pseudo_labels import NOBODY
from passerby.training.recipe import LossSection
from passerby.training.training_module import TrainingModule, TrainingOutputs


class LossPart(NamedTuple):
    """One loss of a batch.

    Attributes:
        name: of the task; followed by that of a dataset, if it is of this alone.
        value: the mean over what counts.
        crops: how many count; 1 for a whole batch.
    """

    name: str
    value: Tensor
    crops: Tensor


class MultitaskLoss(nn.Module):
    """A training_module and the losses that a recipe gives a weight: crops to what is minimised.

    With `balance: uncertainty` the weights are learnt: each loss L enters as exp(−s) L + s / 2,
    where s is the logarithm of the task's variance (Kendall, Gal and Cipolla, "Multi-Task
    Learning Using Uncertainty to Weigh Losses", CVPR 2018, eq. 10).

    Attributes:
        last: the losses of the last batch, by name, and by name and dataset.
    """

    def __init__(
        self,
        training_module: TrainingModule,
        section: LossSection,
        attributes: AttributeLoss | None,
        set_names: Sequence[str] = ("",),
        person_sets: Tensor | None = None,
    ) -> None:
        """Build the losses.

        Args:
            training_module: who learns.
            section: `loss` of the recipe.
            attributes: the attribute loss, if it has a weight.
            set_names: of the datasets whose losses are told apart, if there are several.
            person_sets: place of each person's dataset among them, int64, shape (persons,); needed
                if persons compete within their dataset.
        """
        super().__init__()
        self.training_module = training_module
        self.section = section
        self.attributes = attributes
        self.last: list[LossPart] = []
        self.set_names = tuple(set_names)
        self.person_sets = person_sets
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
        self.last = []
        for task, weight in self._weights().items():
            loss = self._loss[task](learned, batch)
            self.last.append(LossPart(task, loss.detach(), torch.ones(())))
            if len(self.set_names) > 1:
                self.last += self._by_set(task, learned, batch)
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

    @torch.no_grad()
    def _by_set(
        self, task: str, learned: TrainingOutputs, batch: TrainingBatch
    ) -> "list[LossPart]":
        """Return one task's mean loss over each dataset's crops of this process, unweighted."""
        if task == "identity":
            values = self._cross_entropy(learned.identities, batch.persons, reduction="none")
            counted = (batch.persons >= 0).float()
        elif task == "attributes":
            assert self.attributes is not None
            parts = (learned.attributes, batch.labels, batch.erased)
            values, counted = self.attributes.by_crop(*parts)
        else:
            return []
        found = []
        for number, name in enumerate(self.set_names):
            mine = batch.sets == number
            total, count = (values * counted)[mine].sum(), counted[mine].sum()
            found.append(LossPart(f"{task} {name}", total / count.clamp(min=1), count))
        return found

    def _cross_entropy(self, logits: Tensor, persons: Tensor, reduction: str = "mean") -> Tensor:
        smoothing = self.section.identity.label_smoothing
        if self.section.identity.within_sets:
            assert self.person_sets is not None
            sets = self.person_sets.to(logits.device)
            values = within_sets(logits, persons, sets, smoothing)
            if reduction == "mean":
                return values.sum() / (persons != NOBODY).sum()
            return values.sum() if reduction == "sum" else values
        return functional.cross_entropy(
            logits, persons, ignore_index=NOBODY, label_smoothing=smoothing, reduction=reduction
        )

    def _attribute_loss(self, learned: TrainingOutputs, batch: TrainingBatch) -> Tensor:
        assert self.attributes is not None
        # the mean over the crops that count, of which processes hold different numbers
        parts = (learned.attributes, batch.labels, batch.erased)
        return self.attributes(*map(gather, parts))  # type: ignore[no-any-return]

    def _identity_loss(self, learned: TrainingOutputs, batch: TrainingBatch) -> Tensor:
        known = gather(batch.persons) != NOBODY
        if known.all():
            return self._cross_entropy(learned.identities, batch.persons)
        # the mean over the crops that count, of which processes hold different numbers
        share = known.sum() * len(batch.persons) / len(known)
        total = self._cross_entropy(learned.identities, batch.persons, reduction="sum")
        return total / share.clamp(min=1)

    def _metric_loss(self, learned: TrainingOutputs, batch: TrainingBatch) -> Tensor:
        assert self.metric is not None
        vectors = learned.features
        if self.section.metric.vectors == "logits":
            vectors = functional.normalize(learned.attributes, dim=1)
        vectors, persons = gather(vectors), gather(batch.persons)
        known = persons != NOBODY
        if not known.all():
            vectors, persons = vectors[known], persons[known]
        if len(persons) < 2:
            return vectors.sum() * 0
        return self.metric(vectors, persons)  # type: ignore[no-any-return]


def within_sets(logits: Tensor, persons: Tensor, sets: Tensor, smoothing: float) -> Tensor:
    """Return the cross entropy of each crop among the persons of its own dataset.

    Args:
        logits: over all persons, float32, shape (N, persons).
        persons: whom the crops show, int64, shape (N,); `NOBODY` costs nothing.
        sets: place of each person's dataset, int64, shape (persons,).
        smoothing: probability given to the dataset's other persons together.

    Returns:
        float32, shape (N,).
    """
    shown = persons.clamp(min=0)
    mine = sets == sets[shown][:, None]
    logs = functional.log_softmax(logits.masked_fill(~mine, -torch.inf), dim=1)
    others = logs.masked_fill(~mine, 0).sum(dim=1) / mine.sum(dim=1)
    right = logs.gather(1, shown[:, None])[:, 0]
    return -((1 - smoothing) * right + smoothing * others) * (persons != NOBODY)


class LossMeans:
    """The mean of each loss over an epoch's batches."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, parts: Sequence[LossPart]) -> None:
        """Add the losses of a batch."""
        for name, value, count in parts:
            count = count.to(value.device)
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value * count
            self._counts[name] = self._counts.get(name, torch.zeros_like(value)) + count

    def of_all(self, accelerator: Accelerator) -> dict[str, float]:
        """Return the means over all processes; of a loss to which nothing counted, none."""
        means = {}
        for name, total in self._sums.items():
            both = torch.stack([total, self._counts[name]])
            value, count = accelerator.reduce(both, reduction="sum").tolist()
            if count:
                means[name] = value / count
        return means
