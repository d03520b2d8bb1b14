"""The order of the training crops: it depends on the seed and the epoch alone."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.utils import common_functions
from torch.utils.data import Sampler

from passerby.errors import InputError


class EpochSampler(Sampler[int]):
    """Every crop once an epoch, in random order."""

    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self._seed, self._epoch])
        yield from generator.permutation(self._count).tolist()


class PersonSampler(EpochSampler):
    """Batches of P persons with K crops each, drawn at random (Hermans et al. 2017).

    An epoch has as many batches as if it showed every crop once.
    """

    def __init__(
        self, persons: NDArray[np.int64], batch_size: int, instances_per_person: int, seed: int
    ) -> None:
        """Prepare the draw.

        Args:
            persons: of each crop, shape (N,).
            batch_size: P · K.
            instances_per_person: K; a person with fewer crops shows some of them again.
            seed: with the epoch, decides on the order.

        Raises:
            InputError: there are fewer persons than a batch takes.
        """
        super().__init__(len(persons) - len(persons) % batch_size, seed)
        wanted, found = batch_size // instances_per_person, len(np.unique(persons))
        if found < wanted:
            raise InputError(
                f"A batch takes {wanted} persons, but there are {found} to train on: choose a "
                "smaller batch_size or more instances_per_person, or keep fewer back with "
                "data.held_out_persons and data.calibration_persons."
            )
        self._persons = persons
        self._batch_size = batch_size
        self._instances_per_person = instances_per_person

    def __iter__(self) -> Iterator[int]:
        # the library draws from this global, and shuffles on from where it left off
        before = common_functions.NUMPY_RANDOM
        common_functions.NUMPY_RANDOM = np.random.default_rng([self._seed, self._epoch])
        try:
            rows = iter(
                MPerClassSampler(
                    self._persons, self._instances_per_person, self._batch_size, self._count
                )
            )
        finally:
            common_functions.NUMPY_RANDOM = before
        return (int(row) for row in rows)
