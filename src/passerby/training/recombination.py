"""Crops with the legs of somebody else: clothes that nobody in the data wears together."""

import torch
from torch import Tensor
from torch.utils.data import default_collate

from passerby.training.crop_dataset import Batch

_WAIST = (0.42, 0.58)
"""Where crops are cut, as fractions of their height."""


class Recombination:
    """Collates crops, some of which then get what is below the waist from another one.

    CutMix (Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019), but cut where clothes end: each attribute's label follows
    from where it shows and not from an area, and both persons count by half.
    """

    def __init__(self, probability: float, above_waist: Tensor) -> None:
        """Prepare.

        Args:
            probability: that a crop gets the legs of a crop drawn from the batch (seldom of the
                same person).
            above_waist: how much of each attribute shows above the waist, 0 to 1, float32, shape
                (attributes,).
        """
        self.probability = probability
        self.above_waist = above_waist

    def __call__(self, crops: list[Batch]) -> Batch:
        """Return a batch of crops; of which a part was erased in either, counts as erased.

        Args:
            crops: each without the first axis of a batch.
        """
        batch: Batch = default_collate(crops)
        if not self.probability:
            return batch
        count, _, height, _ = batch.pixels.shape
        other = torch.randperm(count)
        chosen = torch.rand(count) < self.probability
        low, high = _WAIST
        waist = height * (low + (high - low) * torch.rand(count))
        below = chosen[:, None] & (torch.arange(height) >= waist[:, None])
        kept = torch.where(chosen[:, None], self.above_waist, 1.0)
        return Batch(
            pixels=torch.where(below[:, None, :, None], batch.pixels[other], batch.pixels),
            labels=kept * batch.labels + (1 - kept) * batch.labels[other],
            persons=batch.persons,
            legs=torch.where(chosen, batch.persons[other], batch.persons),
            erased=batch.erased | (chosen & batch.erased[other]),
        )
