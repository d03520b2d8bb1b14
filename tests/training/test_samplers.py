import numpy as np
import pytest

from passerby.data import Crops
from passerby.errors import InputError
from passerby.training.samplers import BalancedSampler, EpochSampler, PersonSampler
from passerby.training.training_samples import TrainingSamples

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


def several_sets() -> TrainingSamples:
    """Return 60 crops of 6 persons in a, 20 of 10 in b, and 16 of nobody in c."""
    person = [f"{n % 6}" for n in range(60)] + [f"{n % 10}" for n in range(20)] + [""] * 16
    dataset = ["a"] * 60 + ["b"] * 20 + ["c"] * 16
    return TrainingSamples.of(Crops(map(str, range(96)), person=person, dataset=dataset))


def test_several_datasets_in_their_shares() -> None:
    samples = several_sets()
    sampler = BalancedSampler(samples, batch_size=12, instances_per_person=2, balance=0, seed=0)
    rows = np.array(list(sampler))
    assert len(rows) == len(sampler) == 96
    for batch in rows.reshape(-1, 12):
        # two groups of two crops from each of three datasets
        assert np.bincount(samples.sets[batch]).tolist() == [4, 4, 4]
        for group in batch.reshape(-1, 2):
            one, other = samples.persons[group]
            assert one == other
            assert group[0] != group[1]
    # a goes through its 6 persons, b through its 10, before one comes again
    of_a = samples.persons[rows[samples.sets[rows] == 0]][::2]
    assert sorted(of_a[:6]) == sorted(set(of_a.tolist()))
    of_c = rows[samples.sets[rows] == 2]
    assert len(set(of_c[:16].tolist())) == 16


def test_shares_follow_the_exponent() -> None:
    samples = several_sets()
    shares = {}
    for balance in (1.0, 0.5):
        sampler = BalancedSampler(samples, batch_size=8, balance=balance, epoch_crops=9600, seed=0)
        shares[balance] = np.bincount(samples.sets[list(sampler)]) / 9600
    np.testing.assert_allclose(shares[1.0], np.array([60, 20, 16]) / 96, atol=1e-3)
    roots = np.sqrt([60, 20, 16])
    np.testing.assert_allclose(shares[0.5], roots / roots.sum(), atol=1e-3)


def test_an_epoch_has_as_many_crops_as_are_asked_for() -> None:
    samples = several_sets()
    assert len(BalancedSampler(samples, batch_size=10, epoch_crops=45, seed=0)) == 40
    with pytest.raises(InputError, match="data.epoch_crops is 9, less than a batch of 10"):
        BalancedSampler(samples, batch_size=10, epoch_crops=9, seed=0)


def test_balanced_draws_depend_on_seed_and_epoch_alone() -> None:
    samples = several_sets()

    def draw(seed: int, epoch: int) -> list[int]:
        sampler = BalancedSampler(samples, batch_size=8, instances_per_person=4, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draw(0, 3) == draw(0, 3)
    assert draw(0, 3) != draw(0, 4)
    assert draw(0, 3) != draw(1, 3)


def test_a_dataset_with_too_few_persons_for_its_share() -> None:
    with pytest.raises(
        InputError, match="A batch takes 7 persons of the dataset a, but there are 6"
    ):
        BalancedSampler(several_sets(), batch_size=40, instances_per_person=2, balance=0, seed=0)
