"""The order of the training crops: it depends on the seed and the epoch alone."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.utils import common_functions
from torch.utils.data import Sampler

from passerby.errors import InputError
from passerby.training.training_samples import TrainingSamples


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


class BalancedSampler(EpochSampler):
    """Batches of P groups of K crops, of several datasets in stated shares.

    A group shows one person, or K crops whose persons are not known. Each dataset gets its share of
    the groups as evenly as whole groups allow, and in an epoch shows all its persons before it
    shows one again.
    """

    def __init__(
        self,
        samples: TrainingSamples,
        *,
        batch_size: int,
        instances_per_person: int = 0,
        balance: float = 1.0,
        epoch_crops: int = 0,
        seed: int,
    ) -> None:
        """Prepare the draw.

        Args:
            samples: of all datasets.
            batch_size: P · K.
            instances_per_person: K; a person with fewer crops shows some of them again. 0 draws
                single crops, whomever they show.
            balance: exponent of a dataset's number of crops in its share, from 0 to 1.
            epoch_crops: so many crops make an epoch; 0 takes as many as there are.
            seed: with the epoch, decides on the order.

        Raises:
            InputError: a dataset has fewer persons than its share of a batch, or an epoch is
                shorter than a batch.
        """
        count = epoch_crops or len(samples)
        super().__init__(count - count % batch_size, seed)
        if not len(self):
            raise InputError(
                f"data.epoch_crops is {epoch_crops}, less than a batch of {batch_size}: choose "
                "more, or a smaller batch_size."
            )
        self._group = max(instances_per_person, 1)
        self._streams: list[_Stream] = []
        shares: list[float] = []
        for number, name in enumerate(samples.set_names):
            mine = samples.sets == number
            known = mine & (samples.persons >= 0) & (instances_per_person > 0)
            for rows, are_known in ((known, True), (mine & ~known, False)):
                if rows.any():
                    self._streams.append(_Stream(np.flatnonzero(rows), samples, name, are_known))
                    shares.append(float(mine.sum()) ** balance * rows.sum() / mine.sum())
        self._shares = np.array(shares) / np.sum(shares)
        for stream, share in zip(self._streams, self._shares, strict=True):
            stream.check(int(np.ceil(share * (batch_size // self._group))))

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self._seed, self._epoch])
        drawn = [stream.groups(self._group, generator) for stream in self._streams]
        credit = np.zeros(len(drawn))
        for _ in range(len(self) // self._group):
            # whose turn is longest overdue
            credit += self._shares
            turn = int(credit.argmax())
            credit[turn] -= 1
            yield from next(drawn[turn]).tolist()


class _Stream:
    """Groups of crops of one dataset: of its persons, or of crops whose person does not matter."""

    def __init__(
        self, rows: NDArray[np.int64], samples: TrainingSamples, name: str, by_person: bool
    ) -> None:
        self._rows = rows
        self._name = name
        self._by_person: list[NDArray[np.int64]] = []
        if by_person:
            order = np.argsort(samples.persons[rows], kind="stable")
            _, counts = np.unique(samples.persons[rows], return_counts=True)
            self._by_person = np.split(rows[order], np.cumsum(counts)[:-1])

    def check(self, wanted: int) -> None:
        if self._by_person and len(self._by_person) < wanted:
            of = f" of the dataset {self._name}" if self._name else ""
            raise InputError(
                f"A batch takes {wanted} persons{of}, but there are {len(self._by_person)} to "
                "train on: choose a smaller batch_size, or more instances_per_person; of several "
                "datasets a data.balance nearer to 1, of persons that were found another "
                "pseudo_labels.radius."
            )

    def groups(self, size: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Yield groups of rows, without end."""
        left = self._rows[:0]
        while True:
            for number in generator.permutation(len(self._by_person)):
                rows = self._by_person[number]
                yield generator.choice(rows, size, replace=len(rows) < size)
            if not self._by_person:
                while len(left) < size:
                    left = np.concatenate([left, generator.permutation(self._rows)])
                yield left[:size]
                left = left[size:]
