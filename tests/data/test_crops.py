from pathlib import Path

import numpy as np
import pytest

from passerby.data import MARKET1501_ATTRIBUTES, Crops
from passerby.errors import InputError


def crops_of(persons: list[int]) -> Crops:
    count = len(persons)
    return Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(count)),
        persons=np.array(persons, np.int64),
        cameras=np.arange(count, dtype=np.int64) % 3,
        labels=np.array([[p % 2 == 0] * 32 for p in persons], bool),
        schema=MARKET1501_ATTRIBUTES,
    )


def test_rows_stay_together() -> None:
    crops = crops_of([5, 6, 7, 6])[np.array([3, 0])]
    assert [p.name for p in crops.paths] == ["3.jpg", "0.jpg"]
    assert crops.persons is not None
    assert crops.persons.tolist() == [6, 5]
    assert crops.cameras is not None
    assert crops.cameras.tolist() == [0, 0]
    assert crops.labels is not None
    assert crops.labels[:, 0].tolist() == [True, False]


def test_distractors_and_junk_are_no_persons() -> None:
    crops = crops_of([0, -1, 9, 4, 9])
    assert crops.person_ids.tolist() == [4, 9]
    ids, labels = crops.person_labels()
    assert ids.tolist() == [4, 9]
    assert labels[:, 0].tolist() == [True, False]


def test_a_split_shares_nobody_and_loses_nobody() -> None:
    crops = crops_of([i // 3 + 1 for i in range(60)])
    train, held_out = crops.split_persons(7, seed=3)
    assert len(held_out.person_ids) == 7
    assert not set(train.person_ids) & set(held_out.person_ids)
    assert sorted(train.paths + held_out.paths) == sorted(crops.paths)


def test_a_split_depends_on_the_seed_and_not_on_the_order() -> None:
    crops = crops_of([i // 3 + 1 for i in range(60)])
    backwards = crops[np.arange(59, -1, -1)]
    first = crops.split_persons(7, seed=3)[1].person_ids
    assert first.tolist() == backwards.split_persons(7, seed=3)[1].person_ids.tolist()
    assert first.tolist() != crops.split_persons(7, seed=4)[1].person_ids.tolist()


@pytest.mark.parametrize("held_out", [0, 2, 3])
def test_a_split_needs_persons_on_both_sides(held_out: int) -> None:
    with pytest.raises(InputError, match="choose a number from 1 to 1"):
        crops_of([1, 2]).split_persons(held_out, seed=0)


def test_the_fingerprint_tells_data_apart() -> None:
    crops = crops_of([1, 2, 3])
    assert crops.fingerprint == crops[np.array([2, 1, 0])].fingerprint
    assert crops.fingerprint != crops[:2].fingerprint
    assert crops.fingerprint != crops_of([1, 2, 4]).fingerprint


def test_values_are_checked_where_they_are_made() -> None:
    with pytest.raises(ValueError, match="persons must be int64"):
        Crops(paths=(Path("a"),), persons=np.array([1, 2]))
    with pytest.raises(ValueError, match="come together"):
        Crops(paths=(Path("a"),), labels=np.zeros((1, 32), bool))
    with pytest.raises(ValueError, match="labels must be bool"):
        Crops(paths=(Path("a"),), labels=np.zeros((1, 31), bool), schema=MARKET1501_ATTRIBUTES)


def test_crops_without_persons_cannot_be_split() -> None:
    with pytest.raises(InputError, match="no person ids"):
        Crops(paths=(Path("a"),)).split_persons(1, 0)
