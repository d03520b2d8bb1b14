"""Answer sets by hand and against a loop over pairs.

The hand case: persons 1 and 2 ask from 0 and 20 on a line; person 9 is in no gallery.

    gallery row    0    1    2    3    4    5
    place          1    2    4    9    19   22
    person         1    2    1    1    2    0
    from 0         1    2    4    9    19   22
    from 20        19   18   16   11   1    2
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numbered import numbered, numbers

from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.evaluation.answer_sets import (
    AnswerSetScores,
    PairCounts,
    gap_threshold,
    score_answer_sets,
)
from passerby.inference import Embeddings
from passerby.ranking import Distance, pairwise, rank

NUMBERS = itertools.count()
"""Every crop is a file of its own; a file is not an answer to itself."""

EUCLIDEAN = Distance(features="embedding", metric="euclidean")


def people(
    places: object, persons: list[int] | None, cameras: list[int] | None = None
) -> Embeddings:
    vectors = np.asarray(places, np.float32)
    vectors = vectors.reshape(len(vectors), -1 if vectors.size else 1)
    crops = Crops(
        paths=tuple(Path(f"{next(NUMBERS)}.jpg") for _ in range(len(vectors))),
        **numbered(persons, cameras),
    )
    return Embeddings(
        crops, vectors, np.zeros((len(vectors), 32), np.float32), MARKET1501_ATTRIBUTES, "m"
    )


def scored(
    queries: Embeddings,
    gallery: Embeddings,
    thresholds: list[float],
    *,
    cross: bool = False,
    edges: list[float] | None = None,
) -> tuple[list[AnswerSetScores], PairCounts]:
    return score_answer_sets(
        queries,
        gallery,
        EUCLIDEAN,
        [(f"at {t:g}", t) for t in thresholds],
        leave_out_same_camera=cross,
        edges=None if edges is None else np.array(edges),
    )


QUERIES = people([0, 20, 3], [1, 2, 9])
GALLERY = people([1, 2, 4, 9, 19, 22], [1, 2, 1, 1, 2, 0])


def test_a_threshold_by_hand() -> None:
    """At most 2 away: rows 0 and 1 for person 1, rows 4 and 5 for person 2, one right in each."""
    (found, _), _ = scored(QUERIES, GALLERY, [2])
    assert found == AnswerSetScores(
        rule="at 2",
        threshold=2,
        precision=0.5,
        recall=pytest.approx((1 / 3 + 1 / 2) / 2),
        # 5 · hits / (4 · right + returned)
        f2=pytest.approx((5 / (12 + 2) + 5 / (8 + 2)) / 2),
        size=2,
        empty=0,
        identified=1,
        # row 1 answers for person 1, row 5 for person 2, also without their own crops
        false_alarms=1,
    )


def test_a_strict_threshold_by_hand() -> None:
    (one, half, _), _ = scored(QUERIES, GALLERY, [1, 0.5])
    assert (one.precision, one.size, one.empty, one.identified, one.false_alarms) == (1, 1, 0, 1, 0)
    assert one.f2 == pytest.approx((5 / (12 + 1) + 5 / (8 + 1)) / 2)
    # nothing is near enough: an empty set has precision 0
    assert (half.precision, half.recall, half.f2, half.size, half.empty) == (0, 0, 0, 0, 1)
    assert (half.identified, half.false_alarms) == (0, 0)


def test_the_largest_gap_by_hand() -> None:
    """From 0 before 19: four crops, three of them right; from 20 before 11: two, one right."""
    (gap,), _ = scored(QUERIES, GALLERY, [])
    assert (gap.rule, gap.threshold) == ("gap", None)
    assert gap.precision == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert gap.recall == pytest.approx((1 + 1 / 2) / 2)
    assert gap.f2 == pytest.approx((15 / (12 + 4) + 5 / (8 + 2)) / 2)
    assert (gap.size, gap.empty, gap.identified, gap.false_alarms) == (3, 0, 1, 1)


def test_pairs_by_hand() -> None:
    """Up to 1: rows 0 of the one, 4 of the other; up to 4: row 2 right, rows 1 and 5 wrong; ..."""
    _, pairs = scored(QUERIES, GALLERY, [], edges=[1, 4, 18])
    assert pairs.edges.tolist() == [1, 4, 18]
    # up to 1, to 4, to 18, beyond; the query of person 9 does not count
    assert pairs.same.tolist() == [2, 1, 2, 0]
    assert pairs.different.tolist() == [0, 2, 2, 3]


def test_what_does_not_count() -> None:
    """Junk at 1, own person from the own camera at 2, from another at 3, a distractor at 4."""
    queries = people([0], [1], [1])
    gallery = people([1, 2, 3, 4], [-1, 1, 1, 0], [1, 1, 2, 1])
    (three, four, gap), pairs = scored(queries, gallery, [3, 4], cross=True, edges=[3.5])
    assert (three.size, three.precision, three.recall, three.false_alarms) == (1, 1, 1, 0)
    assert (four.size, four.precision, four.recall, four.false_alarms) == (2, 0.5, 1, 1)
    assert gap.size == 1
    assert (pairs.same.tolist(), pairs.different.tolist()) == ([1, 0], [0, 1])


def slow(
    queries: Embeddings, gallery: Embeddings, limit: float | None, cross: bool
) -> list[float] | None:
    """The eight figures of a threshold, or of the largest gap, query by query."""
    rows = []
    for q in range(len(queries)):
        pairs = []
        for g in range(len(gallery)):
            same = numbers(queries.crops)[q] == numbers(gallery.crops)[g]
            here = queries.crops.camera[q] == gallery.crops.camera[g]
            if numbers(gallery.crops)[g] != -1 and not (cross and same and here):
                apart = float(np.linalg.norm(queries.vectors[q] - gallery.vectors[g]))
                pairs.append((apart, bool(same and numbers(queries.crops)[q] > 0)))
        right = sum(hit for _, hit in pairs)
        if not right:
            continue
        cut, others = limit, [apart for apart, hit in pairs if not hit]
        if cut is None:
            near = sorted(apart for apart, _ in pairs)
            gaps = [b - a for a, b in itertools.pairwise(near)]
            cut = near[gaps.index(max(gaps))] if gaps else near[0]
        answers = [hit for apart, hit in pairs if apart <= cut]
        hits = sum(answers)
        precision, recall = (hits / len(answers) if answers else 0), hits / right
        f2 = 5 * precision * recall / (4 * precision + recall) if hits else 0
        alarm = bool(others) if limit is None else any(apart <= limit for apart in others)
        rows.append([precision, recall, f2, len(answers), not answers, hits > 0, alarm])
    return np.mean(rows, axis=0).tolist() if rows else None


FIELDS = ("precision", "recall", "f2", "size", "empty", "identified", "false_alarms")


def random_case(seed: int) -> tuple[Embeddings, Embeddings, bool]:
    generator = np.random.default_rng(seed)
    asked, offered = generator.integers(1, 5), generator.integers(1, 14)
    everyone = people(
        generator.integers(0, 12, asked + offered),
        generator.integers(-1, 4, asked + offered).tolist(),
        generator.integers(0, 3, asked + offered).tolist(),
    )
    rows = np.arange(asked + offered)
    return everyone.of_rows(rows[:asked]), everyone.of_rows(rows[asked:]), bool(seed % 2)


def has_wrong_answers(queries: Embeddings, gallery: Embeddings) -> bool:
    offered = set(gallery.crops.person_codes.tolist()) - {-1}
    return all(offered - {person} for person in queries.crops.person_codes.tolist())


def test_against_a_loop() -> None:
    limits = [0.0, 1.0, 3.0, 20.0]
    compared = 0
    for seed in range(400):
        queries, gallery, cross = random_case(seed)
        if not has_wrong_answers(queries, gallery):
            continue
        found, _ = scored(queries, gallery, limits, cross=cross)
        for scores, limit in zip(found, [*limits, None], strict=True):
            expected = slow(queries, gallery, limit, cross)
            if expected is None:
                assert np.isnan(scores.precision)
                continue
            figures = [getattr(scores, name) for name in FIELDS]
            assert figures == pytest.approx(expected), (seed, limit)
            compared += 1
    assert compared > 500


@settings(deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 13), min_size=1, max_size=4, unique=True))
def test_pairs_against_a_loop(seed: int, edges: list[int]) -> None:
    queries, gallery, cross = random_case(seed)
    edges = sorted(edges)
    same, different = [0] * (len(edges) + 1), [0] * (len(edges) + 1)
    for q, (person, camera) in enumerate(
        zip(numbers(queries.crops), queries.crops.camera, strict=True)
    ):
        others = list(zip(numbers(gallery.crops), gallery.crops.camera, strict=True))
        if person <= 0 or not any(p == person and not (cross and c == camera) for p, c in others):
            continue
        for g, (p, c) in enumerate(others):
            if p == -1 or (cross and (p, c) == (person, camera)):
                continue
            apart = abs(queries.vectors[q, 0] - gallery.vectors[g, 0])
            (same if p == person else different)[sum(edge < apart for edge in edges)] += 1
    _, pairs = scored(queries, gallery, [], cross=cross, edges=edges)
    assert (pairs.same.tolist(), pairs.different.tolist()) == (same, different)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_a_larger_threshold_only_adds_answers(seed: int) -> None:
    queries, gallery, cross = random_case(seed)
    found, _ = scored(queries, gallery, [0, 1, 2, 5, 12], cross=cross)
    if np.isnan(found[0].recall):
        return
    for tighter, wider in itertools.pairwise(found[:5]):
        for name in ("recall", "size", "identified", "false_alarms"):
            assert getattr(tighter, name) <= getattr(wider, name)
        assert tighter.empty >= wider.empty
    assert found[4].recall == found[4].identified == 1


def test_the_block_size_has_no_influence(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, pairs = scored(QUERIES, GALLERY, [1, 2, 9], edges=[1, 4])
    monkeypatch.setattr(pairwise, "_TILE_ROWS", 1)
    monkeypatch.setattr(pairwise, "_LEAST_ROWS", 1)
    for size in (1, 64, 128, 192):
        monkeypatch.setattr(pairwise, "BLOCK_VALUES", size)
        found, again = scored(QUERIES, GALLERY, [1, 2, 9], edges=[1, 4])
        assert found == expected
        assert again.same.tolist() == pairs.same.tolist()


def test_gap_thresholds_by_hand() -> None:
    assert gap_threshold(np.array([9.0, 1, 2, 4])) == 4
    assert gap_threshold(np.array([7.0, 1, np.inf, 2, 3])) == 3
    assert gap_threshold(np.array([5.0])) == 5
    assert gap_threshold(np.array([5.0, np.inf])) == 5
    # among the nearest three the gaps are 1 and 2
    assert gap_threshold(np.array([9.0, 1, 2, 4]), among=3) == 2


@settings(deadline=None)
@given(st.lists(st.integers(0, 100), min_size=2, max_size=80).filter(lambda d: len({*d}) > 1))
def test_the_gap_is_that_of_the_ranking(places: list[int]) -> None:
    distances = np.array(places, np.float32)
    gallery = people(places, [1] * len(places))
    ranking = rank(people([0], [1]), gallery, EUCLIDEAN)
    kept = ranking.before_gap(among=50)
    if len({*sorted(places)[:50]}) > 1:
        assert len(kept.rows) == (distances <= gap_threshold(distances)).sum()


def test_what_cannot_be_scored() -> None:
    with pytest.raises(InputError, match="no gallery crops"):
        scored(QUERIES, people([], []), [1])
    with pytest.raises(InputError, match="have no persons"):
        scored(QUERIES, people([1], None), [1])
    with pytest.raises(InputError, match="no cameras"):
        scored(QUERIES, GALLERY, [1], cross=True)


def test_nobody_else_in_the_gallery() -> None:
    """With person 1 gone the gallery is empty, so there is nothing to answer."""
    (at_2, gap), _ = scored(people([0], [1]), people([1, 5, 2], [1, 1, -1]), [2])
    assert at_2.false_alarms == 0
    assert gap.false_alarms == 0


def test_an_infinite_threshold() -> None:
    queries, gallery = people([0], [1], [1]), people([1, 2, 3], [1, 1, 2], [1, 2, 1])
    (everything, _), _ = scored(queries, gallery, [np.inf], cross=True)
    assert (everything.size, everything.precision) == (2, 0.5)


def test_the_gap_of_equal_distances() -> None:
    places = [3] * 60
    gallery = people(places, [1] * 60)
    kept = rank(people([0], [1]), gallery, EUCLIDEAN).before_gap()
    limit = gap_threshold(np.array(places, np.float32))
    assert len(kept.rows) == sum(place <= limit for place in places)
