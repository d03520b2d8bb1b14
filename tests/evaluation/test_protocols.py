from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbered import numbered, numbers

from passerby.data import Crops
from passerby.errors import InputError
from passerby.evaluation import EvaluationProtocol


def crops_of(persons: list[int], cameras: list[int] | None = None) -> Crops:
    return Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(len(persons))),
        **numbered(persons, cameras),
    )


def test_names() -> None:
    assert EvaluationProtocol.named("course") == EvaluationProtocol("course", False, 0)
    assert EvaluationProtocol.named("market") == EvaluationProtocol("market", True, 0)
    assert EvaluationProtocol.named("course", "cross", 3) == EvaluationProtocol("course", True, 3)
    assert EvaluationProtocol.named("market", "ignored") == EvaluationProtocol("market", False, 0)
    with pytest.raises(InputError, match="no protocol 'cuhk': choose from course, market"):
        EvaluationProtocol.named("cuhk")
    with pytest.raises(InputError, match="`cameras` is 'all': choose 'ignored' or 'cross'"):
        EvaluationProtocol.named("course", "all")


def test_in_the_course_everybody_asks_once() -> None:
    """Person 4 has one crop, 0 and −1 are nobody: all these are searched among only."""
    crops = crops_of([7, 3, 7, 4, 0, 3, -1, 0, -1, 3])
    queries, gallery = EvaluationProtocol("course", False).split(crops)
    assert np.array(numbers(crops))[queries].tolist() == [3, 7]
    assert sorted([*queries, *gallery]) == list(range(10))
    assert sorted(np.array(numbers(crops))[gallery].tolist()) == [-1, -1, 0, 0, 3, 3, 4, 7]


def test_in_the_market_everybody_asks_once_from_each_camera() -> None:
    crops = crops_of([7, 7, 7, 3, 3, 3, 0, 0, 4], [1, 1, 2, 1, 3, 3, 1, 2, 1])
    queries, gallery = EvaluationProtocol("market", True).split(crops)
    assert crops.camera is not None
    asked = list(
        zip(np.array(numbers(crops))[queries], crops.camera[queries].astype(int), strict=True)
    )
    assert asked == [(3, 1), (3, 3), (7, 1), (7, 2)]
    assert sorted([*queries, *gallery]) == list(range(9))


@given(
    st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 2)), max_size=40),
    st.integers(0, 100),
    st.booleans(),
)
def test_who_asks(crops: list[tuple[int, int]], seed: int, market: bool) -> None:
    table = crops_of([person for person, _ in crops], [camera for _, camera in crops])
    several = {p for p, _ in crops if p > 0 and sum(q == p for q, _ in crops) > 1}
    protocol = EvaluationProtocol("market" if market else "course", market, seed)
    if not several or (market and len({camera for _, camera in crops}) < 2):
        with pytest.raises(InputError):
            protocol.split(table)
        return
    queries, gallery = protocol.split(table)
    assert sorted([*queries, *gallery]) == list(range(len(crops)))
    asked = [crops[row] if market else crops[row][0] for row in queries]
    wanted = sorted({(p, c) if market else p for p, c in crops if p in several})
    for person in several if market else ():
        mine = [place for place in wanted if place[0] == person]
        if len(mine) == sum(p == person for p, _ in crops):
            wanted.remove(mine[-1])  # one stays behind to be found
    assert asked == wanted
    again = protocol.split(table)
    assert (again[0].tolist(), again[1].tolist()) == (queries.tolist(), gallery.tolist())


def test_the_seed_chooses_the_crops() -> None:
    """Each of the four crops of a person asks in about a quarter of 400 seeds (±6.5 deviations)."""
    crops = crops_of([5, 5, 5, 5, 8, 8])
    drawn = [
        EvaluationProtocol("course", False, seed).split(crops)[0].tolist() for seed in range(400)
    ]
    counts = np.bincount([first for first, _ in drawn], minlength=4)
    assert counts.sum() == 400
    assert (np.abs(counts - 100) < 57).all()


def test_nobody_to_find_again() -> None:
    for persons in ([], [1, 2, 3], [0, 0, -1, -1, 4]):
        with pytest.raises(InputError, match="Nobody appears in two crops"):
            EvaluationProtocol("course", False).split(crops_of(persons))
    with pytest.raises(InputError, match="have no persons"):
        EvaluationProtocol("course", False).split(Crops(paths=(Path("a"),)))


def test_cameras_that_are_missing_or_one() -> None:
    with pytest.raises(InputError, match="no cameras, .* evaluate with `cameras` = ignored"):
        EvaluationProtocol("market", True).split(crops_of([1, 1]))
    with pytest.raises(InputError, match="one camera, .* evaluate with `cameras` = ignored"):
        EvaluationProtocol("market", True).split(crops_of([1, 1], [2, 2]))
    queries, _ = EvaluationProtocol("market", False).split(crops_of([1, 1]))
    assert len(queries) == 1


def test_two_cameras_may_be_on_two_sides() -> None:
    EvaluationProtocol("course", leave_out_same_camera=True).check(
        crops_of([1], [1]), crops_of([1], [2])
    )
    with pytest.raises(InputError, match="one camera"):
        EvaluationProtocol("course", leave_out_same_camera=True).check(
            crops_of([1], [1]), crops_of([1], [1])
        )
    with pytest.raises(InputError, match="no cameras"):
        EvaluationProtocol("course", leave_out_same_camera=True).check(
            crops_of([1], [1]), crops_of([1])
        )


def test_whom_every_camera_saw_once() -> None:
    """Two persons, two cameras, one crop of each: someone must remain to be found."""
    crops = crops_of([1, 1, 2, 2], [1, 2, 1, 2])
    queries, gallery = EvaluationProtocol("market", True).split(crops)
    assert set(crops.person_codes[queries]) & set(crops.person_codes[gallery])


def test_the_market_asks_from_each_camera_even_if_no_match_is_left_out() -> None:
    crops = crops_of([7, 7, 7, 7], [1, 1, 2, 2])
    assert len(EvaluationProtocol("market", False).split(crops)[0]) == 2


@pytest.mark.parametrize("cameras", [None, [1, 1]])
def test_the_course_across_cameras_needs_two(cameras: list[int] | None) -> None:
    with pytest.raises(InputError, match="`cameras` = ignored"):
        EvaluationProtocol("course", True).split(crops_of([7, 7], cameras))


def test_without_cameras_left_out_none_are_needed() -> None:
    EvaluationProtocol("course", leave_out_same_camera=False).check(crops_of([1], [1]))


def test_there_is_no_such_protocol() -> None:
    with pytest.raises(InputError, match="no protocol 'x': choose from course, market"):
        EvaluationProtocol("x", leave_out_same_camera=False)  # type: ignore[arg-type]


def test_where_a_camera_is_unknown_each_person_asks_once() -> None:
    crops = Crops([f"{i}.jpg" for i in range(6)], person=list("aaaabb"), camera=[*"11223", ""])
    queries, _ = EvaluationProtocol("market", False).split(crops)
    assert crops.person[queries].tolist() == ["a", "b"]
    with pytest.raises(InputError, match="1 crops have no camera, 5.jpg first"):
        EvaluationProtocol("market", True).split(crops)


def test_the_camera_of_a_distractor_does_not_count() -> None:
    crops = crops_of([1, 1, 0], [1, 1, 2])
    with pytest.raises(InputError, match="All crops are of one camera"):
        EvaluationProtocol("market", True).split(crops.replace(camera=["1", "1", ""]))
