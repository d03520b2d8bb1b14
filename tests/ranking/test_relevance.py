from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbered import numbered

from passerby.data import Crops
from passerby.errors import InputError
from passerby.ranking.relevance import Relevance


def crops_of(persons: list[int] | None, cameras: list[int] | None = None) -> Crops:
    count = len(persons if persons is not None else cameras or [])
    return Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(count)),
        **numbered(persons, cameras),
    )


def list_few(answers: Relevance, query: int) -> tuple[list[int], list[int]]:
    right, ignored = answers.of(query)
    return sorted(right.tolist()), sorted(ignored.tolist())


def test_junk_and_distractors_are_nobody() -> None:
    answers = Relevance(crops_of([7, 9, 0, -1]), crops_of([7, -1, 8, 7, 0, -1, 7]), False)
    assert answers.junk.tolist() == [False, True, False, False, False, True, False]
    assert list_few(answers, 0) == ([0, 3, 6], [])
    for nobody in (1, 2, 3):
        assert list_few(answers, nobody) == ([], [])


def test_what_the_own_camera_saw_does_not_count() -> None:
    queries, gallery = crops_of([7, 8], [1, 2]), crops_of([-1, 7, 7, 8, 7], [1, 1, 2, 1, 1])
    answers = Relevance(queries, gallery, True)
    assert list_few(answers, 0) == ([2], [1, 4])
    # the other person's crops stay, whatever the camera
    assert list_few(answers, 1) == ([3], [])


@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 2)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 2)), max_size=20),
    st.booleans(),
)
def test_against_a_loop(
    asked: list[tuple[int, int]], offered: list[tuple[int, int]], cross: bool
) -> None:
    queries, gallery = (
        crops_of([person for person, _ in part], [camera for _, camera in part])
        for part in (asked, offered)
    )
    answers = Relevance(queries, gallery, cross)
    for query, (person, camera) in enumerate(asked):
        own = [row for row, pair in enumerate(offered) if pair[0] == person > 0]
        ignored = [row for row in own if cross and offered[row][1] == camera]
        assert list_few(answers, query) == (sorted(set(own) - set(ignored)), ignored)


def test_what_must_be_known() -> None:
    known = crops_of([1], [1])
    for queries, gallery in ((crops_of(None, [1]), known), (known, crops_of(None, [1]))):
        with pytest.raises(InputError, match="have no persons"):
            Relevance(queries, gallery, False)
    for queries, gallery in ((crops_of([1]), known), (known, crops_of([1]))):
        Relevance(queries, gallery, False)
        with pytest.raises(InputError, match="no cameras, .* evaluate with `cameras` = ignored"):
            Relevance(queries, gallery, True)
