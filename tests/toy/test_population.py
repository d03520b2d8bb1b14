import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.errors import InputError
from passerby.toy import draw_people

CROWD = draw_people(2000, seed=0)


def share(column: str, value: int = 2) -> float:
    return float(np.mean([person.annotation[column] == value for person in CROWD]))


@given(seed=st.integers(0, 2**63), fewer=st.integers(1, 12), more=st.integers(0, 12))
@settings(max_examples=15, deadline=None)
def test_a_person_does_not_depend_on_how_many_are_drawn(seed: int, fewer: int, more: int) -> None:
    assert draw_people(fewer + more, seed)[:fewer] == draw_people(fewer, seed)


def test_another_seed_draws_other_persons() -> None:
    assert draw_people(5, seed=1) != draw_people(5, seed=2)


@pytest.mark.parametrize("seed", range(8))
def test_every_age_occurs_among_forty_persons(seed: int) -> None:
    ages = {person.age for person in draw_people(40, seed)}
    assert ages == {"young", "teenager", "adult", "old"}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("backpack", 0.25),
        ("bag", 0.25),
        ("handbag", 0.11),
        ("hat", 0.1),
        ("hair", 0.35),
        ("gender", 0.45),
        ("up", 0.9),
        ("down", 0.6),
    ],
)
def test_attributes_are_as_frequent_as_intended(column: str, expected: float) -> None:
    assert share(column) == pytest.approx(expected, abs=0.04)


def test_rare_and_frequent_values() -> None:
    assert share("clothes", 1) == pytest.approx(0.13, abs=0.03)
    assert share("age", 2) == pytest.approx(0.79, abs=0.04)
    assert share("age", 1) < 0.03
    assert share("age", 4) < 0.04


def test_every_colour_occurs() -> None:
    columns = [name for name in CROWD[0].annotation if name.startswith(("up", "down"))]
    colours = [name for name in columns if name not in ("up", "down")]
    assert len(colours) == 17
    assert min(share(name) for name in colours) > 0.02


def test_long_hair_and_dresses_go_with_women() -> None:
    women = [person for person in CROWD if person.female]
    men = [person for person in CROWD if not person.female]
    assert np.mean([p.hair.long for p in women]) > 0.6 > 0.1 > np.mean([p.hair.long for p in men])
    assert sum(p.lower.dress for p in women) > 10 * sum(p.lower.dress for p in men)


def test_persons_with_equal_attributes_differ_in_details() -> None:
    by_attributes: dict[tuple[int, ...], list[object]] = {}
    for person in CROWD:
        by_attributes.setdefault(tuple(person.annotation.values()), []).append(person)
    twins = [group for group in by_attributes.values() if len(group) > 1]
    assert twins
    assert len(set(CROWD)) == len(CROWD)


def test_no_person_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"^The number of toy persons is 0: give 1 or more\.$"):
        draw_people(0, seed=0)


def test_a_negative_seed_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"^The seed of the toy persons is -1: give 0 or a larger"):
        draw_people(1, seed=-1)
