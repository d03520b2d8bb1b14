import numpy as np
import pytest

from passerby.errors import InputError
from passerby.training.samplers import EpochSampler, PersonSampler

PERSONS = np.repeat([3, 5, 8, 9, 12], [10, 2, 7, 1, 4])


def test_every_crop_once_an_epoch() -> None:
    sampler, again = EpochSampler(50, seed=1), EpochSampler(50, seed=1)
    first = list(sampler)
    assert sorted(first) == list(range(50))
    assert list(again) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(EpochSampler(50, seed=2)) != first


def test_batches_of_persons() -> None:
    sampler = PersonSampler(PERSONS, batch_size=6, instances_per_person=3, seed=0)
    rows = list(sampler)
    assert len(rows) == len(sampler) == 24
    for start in range(0, 24, 6):
        persons, counts = np.unique(PERSONS[rows[start : start + 6]], return_counts=True)
        assert len(persons) == 2
        assert counts.tolist() == [3, 3]


def test_the_draw_depends_on_seed_and_epoch_alone() -> None:
    def draw(seed: int, epoch: int, before: int = 0) -> list[int]:
        sampler = PersonSampler(PERSONS, 6, 3, seed)
        for _ in range(before):
            list(sampler)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draw(0, 4) == draw(0, 4, before=3)
    assert draw(0, 4) != draw(0, 5)
    assert draw(0, 4) != draw(1, 4)


def test_too_few_persons() -> None:
    with pytest.raises(InputError, match="A batch takes 8 persons, but there are 5 to train on"):
        PersonSampler(PERSONS, batch_size=16, instances_per_person=2, seed=0)
