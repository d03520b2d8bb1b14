"""The hand case: two queries, a gallery of six.

query 0   row 4 (0.0)  row 1 (1.0)  row 5 (1.5)  row 0 (4.0)
query 1   row 2 (3.0)
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.data import Crops
from passerby.errors import InputError
from passerby.ranking import Ranking


def crops_of(count: int) -> Crops:
    return Crops(paths=tuple(Path(f"{i}.jpg") for i in range(count)))


def ranking_of(*answers: list[tuple[int, float]], gallery: int = 6) -> Ranking:
    flat = [pair for answer in answers for pair in answer]
    return Ranking(
        crops_of(len(answers)),
        crops_of(gallery),
        np.cumsum([0, *map(len, answers)]),
        np.array([row for row, _ in flat], np.int64),
        np.array([apart for _, apart in flat], np.float32),
    )


def list_few(ranking: Ranking) -> list[list[tuple[int, float]]]:
    pairs = ((rows.tolist(), distances.tolist()) for rows, distances in ranking)
    return [list(zip(rows, distances, strict=True)) for rows, distances in pairs]


FIRST = [(4, 0.0), (1, 1.0), (5, 1.5), (0, 4.0)]
SECOND = [(2, 3.0)]


def test_answers_of_each_query() -> None:
    ranking = ranking_of(FIRST, [], SECOND)
    assert len(ranking) == 3
    rows, distances = ranking[0]
    assert rows.tolist() == [4, 1, 5, 0]
    assert distances.tolist() == [0, 1, 1.5, 4]
    assert ranking[1][0].tolist() == []
    assert list_few(ranking) == [FIRST, [], SECOND]


def test_answers_within_a_threshold() -> None:
    # at most: 1.5 itself is in
    assert list_few(ranking_of(FIRST, [], SECOND).within(1.5)) == [FIRST[:3], [], []]
    assert list_few(ranking_of(FIRST, SECOND).within(-1)) == [[], []]
    assert list_few(ranking_of(FIRST, SECOND).within(float("inf"))) == [FIRST, SECOND]


def test_the_nearest() -> None:
    assert list_few(ranking_of(FIRST, [], SECOND).top(2)) == [FIRST[:2], [], SECOND]
    assert list_few(ranking_of(SECOND, FIRST).top(1)) == [SECOND, FIRST[:1]]
    assert list_few(ranking_of(FIRST, SECOND).top(99)) == [FIRST, SECOND]


def test_answers_before_the_largest_gap() -> None:
    """Gaps of the first query: 1, 0.5, 2.5; a single answer and none have no gap: all are kept."""
    assert list_few(ranking_of(FIRST, [], SECOND).before_gap()) == [FIRST[:3], [], SECOND]
    # among the nearest three the gaps are 1 and 0.5
    assert list_few(ranking_of(FIRST).before_gap(among=3)) == [FIRST[:1]]
    assert list_few(ranking_of(FIRST).before_gap(among=1)) == [FIRST]


def test_of_equal_gaps_the_first_counts() -> None:
    even = [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert list_few(ranking_of(even).before_gap()) == [even[:1]]


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=4),
    st.integers(0, 7),
    st.integers(-1, 6),
)
def test_against_lists(distances: list[list[int]], count: int, limit: int) -> None:
    answers = [[(row, float(d)) for row, d in enumerate(sorted(part))] for part in distances]
    ranking = ranking_of(*answers)
    assert list_few(ranking.top(count)) == [part[:count] for part in answers]
    within = [[pair for pair in part if pair[1] <= limit] for part in answers]
    assert list_few(ranking.within(limit)) == within
    both = list_few(ranking.within(limit).top(count))
    assert both == list_few(ranking.top(count).within(limit)) == [part[:count] for part in within]


def made(starts: list[int], rows: list[int], distances: list[float]) -> Ranking:
    return Ranking(
        crops_of(2),
        crops_of(6),
        np.array(starts, np.int64),
        np.array(rows, np.int64),
        np.array(distances, np.float32),
    )


@pytest.mark.parametrize(
    ("starts", "rows", "distances", "message"),
    [
        ([0, 1], [1], [1.0], "one more entry than queries"),
        ([0, 1, 2], [1, 2], [1.0], "rows go with distances"),
        ([1, 1, 2], [1, 2], [1.0, 1.0], "rise from 0 to the number of rows"),
        ([0, 1, 1], [1, 2], [1.0, 1.0], "rise from 0 to the number of rows"),
        ([0, 3, 2], [1, 2], [1.0, 1.0], "rise from 0 to the number of rows"),
        ([0, 1, 2], [1, 6], [1.0, 1.0], "rows of the gallery"),
        ([0, 1, 2], [-1, 2], [1.0, 1.0], "rows of the gallery"),
        ([0, 2, 2], [1, 2], [1.0, 0.5], "must not fall within a query"),
        ([0, 2, 2], [1, 2], [1.0, float("nan")], "must not fall within a query"),
        ([0, 2, 3], [1, 1, 2], [1.0, 1.0, 0.0], "a gallery crop twice"),
        ([0, 0, 3], [1, 3, 1], [1.0, 1.0, 2.0], "a gallery crop twice"),
    ],
)
def test_impossible_rankings(
    starts: list[int], rows: list[int], distances: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        made(starts, rows, distances)


def test_distances_may_fall_from_one_query_to_the_next() -> None:
    assert list_few(made([0, 1, 2], [1, 1], [3.0, 0.5])) == [[(1, 3.0)], [(1, 0.5)]]


def test_a_ranking_of_no_queries() -> None:
    assert len(ranking_of()) == 0


def test_the_threshold_is_not_rounded() -> None:
    """0.1 as float32 is 0.1000000015, more than 0.1."""
    assert list_few(ranking_of([(0, 0.1)]).within(0.1)) == [[]]


def test_queries_counted_from_the_end() -> None:
    crops = Crops(paths=tuple(Path(f"{i}.jpg") for i in range(3)))
    starts, rows = np.array([0, 1, 1, 3]), np.array([2, 0, 1])
    ranking = Ranking(crops, crops, starts, rows, np.array([1, 1, 2], np.float32))
    assert ranking[-1][0].tolist() == ranking[2][0].tolist() == [0, 1]
    with pytest.raises(IndexError):
        ranking[3]


class Frame(dict):
    """What a test needs of a pandas DataFrame, which is not installed everywhere."""


def test_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=Frame))
    frame = ranking_of(FIRST[:2], [], SECOND).to_frame()
    assert list(frame) == ["query", "rank", "answer", "distance"]
    assert frame["query"] == ["0.jpg", "0.jpg", "2.jpg"]
    assert list(frame["rank"]) == [1, 2, 1]
    assert frame["answer"] == ["4.jpg", "1.jpg", "2.jpg"]
    assert list(frame["distance"]) == [0, 1, 3]


def test_a_frame_needs_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        ranking_of(FIRST).to_frame()
