from pathlib import Path

import numpy as np
import pytest
from numbered import numbered

from passerby.data import Crops
from passerby.data.crops import attribute_frequencies, concatenate, encode_persons
from passerby.data.schema import Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError


def crops_of(persons: list[int]) -> Crops:
    count = len(persons)
    return Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(count)),
        **numbered(persons, np.arange(count) % 3),
        labels=np.array([[p % 2 == 0] * 32 for p in persons], bool),
        schema=MARKET1501_ATTRIBUTES,
    )


def test_rows_stay_together() -> None:
    crops = crops_of([5, 6, 7, 6])[np.array([3, 0])]
    assert [p.name for p in crops.paths] == ["3.jpg", "0.jpg"]
    assert crops.person.tolist() == ["0006", "0005"]
    assert crops.camera.tolist() == ["0", "0"]
    assert crops.labels is not None
    assert crops.labels[:, 0].tolist() == [1, 0]


def test_distractors_and_junk_are_no_persons() -> None:
    crops = crops_of([0, -1, 9, 4, 9])
    assert crops.persons == {"": ("0004", "0009")}
    assert crops.person_codes.tolist() == [0, -1, 2, 1, 2]
    assert crops.person_count == 2
    assert len(crops.of_known_persons()) == 3


def test_whom_junk_names_leaves_no_gap() -> None:
    crops = Crops("abcd", person=["1", "1", "2", "3"], role=["junk", "junk", "", ""])
    assert crops.person_codes.tolist() == [-1, -1, 1, 2]
    for seed in range(3):
        kept, held_out = crops.split_persons(1, seed)
        assert len(kept) == len(held_out) == 1


def test_a_person_is_its_dataset_and_exact_text() -> None:
    crops = Crops("abcd", dataset=["x", "x", "y", ""], person=["2", "0002", "2", "2"])
    assert crops.person_codes.tolist() == [3, 2, 4, 1]
    assert crops.persons == {"": ("2",), "x": ("0002", "2"), "y": ("2",)}
    assert crops.shows({"x": ["2"]}).tolist() == [True, False, False, False]


def test_tables_that_are_compared_share_codes() -> None:
    asked, offered = encode_persons(Crops("a", person=["b"]), Crops("bc", person=["a", "b"]))
    assert (asked.tolist(), offered.tolist()) == ([2], [1, 2])


def test_what_a_table_does_not_know_is_unknown_in_both_together() -> None:
    schema = Schema.of(["hat"])
    named = Crops("a", person=["x"], labels=np.array([[1]]), schema=schema)
    both = concatenate([named, Crops("b", camera=["north gate"])])
    assert both.person.tolist() == ["x", ""]
    assert both.camera.tolist() == ["", "north gate"]
    assert both.labels is not None
    assert both.labels[0] == 1
    assert np.isnan(both.labels[1]).all()


def test_frequencies_are_of_persons_and_unknown_labels_do_not_count() -> None:
    labels = np.array([[1, np.nan], [0, np.nan], [1, 1]], np.float32)
    crops = Crops("abc", person=["x", "x", "y"], labels=labels, schema=Schema.of(["hat", "bag"]))
    assert attribute_frequencies(crops).tolist() == [0.75, 1]
    assert attribute_frequencies(crops.replace(person=None))[0] == pytest.approx(2 / 3)


def test_a_split_shares_nobody_and_loses_nobody() -> None:
    crops = crops_of([i // 3 + 1 for i in range(60)])
    train, held_out = crops.split_persons(7, seed=3)
    assert held_out.person_count == 7
    assert not set(train.person) & set(held_out.person)
    assert sorted(train.paths + held_out.paths) == sorted(crops.paths)


def test_a_split_depends_on_the_seed_and_not_on_the_order() -> None:
    crops = crops_of([i // 3 + 1 for i in range(60)])
    backwards = crops[np.arange(59, -1, -1)]
    first = crops.split_persons(7, seed=3)[1].persons
    assert first == backwards.split_persons(7, seed=3)[1].persons
    assert first != crops.split_persons(7, seed=4)[1].persons


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
    with pytest.raises(ValueError, match="there must be 1 values, not 2"):
        Crops("a", person=[1, 2])
    with pytest.raises(ValueError, match="no column 'persons'"):
        Crops("a", persons=[1])
    with pytest.raises(ValueError, match="come together"):
        Crops("a", labels=np.zeros((1, 32), bool))
    with pytest.raises(ValueError, match="labels must be of shape"):
        Crops("a", labels=np.zeros((1, 31), bool), schema=MARKET1501_ATTRIBUTES)
    with pytest.raises(AttributeError, match="make others with `replace`"):
        Crops("a").paths = ()


def test_crops_without_persons_cannot_be_split() -> None:
    with pytest.raises(InputError, match="have no persons"):
        Crops("a").split_persons(1, 0)
