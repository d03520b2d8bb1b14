"""Losses on the distances between the vectors of a batch, for persons with several crops in it."""

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from torch import Tensor, nn
from torch.nn import functional

from passerby.training.recipe import MetricLossSection


class HardTripletLoss(nn.Module):
    """For each crop its farthest positive and its nearest negative: max(0, d⁺ − d⁻ + margin).

    Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017,
    eq. 5, with Euclidean distances; the mean over the triplets that violate the margin.
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        distance = LpDistance(normalize_embeddings=False)
        self.miner = BatchHardMiner(distance=distance)
        self.loss = TripletMarginLoss(margin, distance=distance)

    def forward(self, vectors: Tensor, persons: Tensor) -> Tensor:
        """Return the loss of vectors, shape (N, D), of persons, int64, shape (N,)."""
        return self.loss(vectors, persons, self.miner(vectors, persons))  # type: ignore[no-any-return]


class WeightedTripletLoss(nn.Module):
    """The weighted regularised triplet loss: all positives and negatives, the hard ones more.

    Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2021,
    eq. 8: log(1 + exp(Σ w⁺ d⁺ − Σ w⁻ d⁻)), where w⁺ is the softmax of the distances to the crops
    of the same person and w⁻ that of the negated distances to those of the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.distance = LpDistance(normalize_embeddings=False)

    def forward(self, vectors: Tensor, persons: Tensor) -> Tensor:
        """Return the loss of vectors, shape (N, D), of persons, int64, shape (N,)."""
        distances = self.distance(vectors)
        same = persons[:, None] == persons[None]
        others = ~torch.eye(len(persons), dtype=torch.bool, device=persons.device)
        usable = (same & others).any(dim=1) & (~same).any(dim=1)
        # the others are left out first: the softmax of nothing has no gradient
        distances, same, others = distances[usable], same[usable], others[usable]
        farthest = _softmax_mean(distances, distances, same & others)
        nearest = _softmax_mean(distances, -distances, ~same)
        return functional.softplus(farthest - nearest).mean()


def metric_loss(section: MetricLossSection) -> nn.Module:
    """Return the loss that a recipe asks for."""
    if section.kind == "triplet":
        return HardTripletLoss(section.margin)
    return WeightedTripletLoss()


def _softmax_mean(values: Tensor, scores: Tensor, chosen: Tensor) -> Tensor:
    """Return each row's mean of the chosen values, weighted by the softmax of their scores."""
    weights = torch.where(chosen, scores, float("-inf")).softmax(dim=1)
    return torch.where(chosen, weights * values, 0.0).sum(dim=1)
