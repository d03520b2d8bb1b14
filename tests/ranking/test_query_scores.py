"""Scores of single queries, by hand and against a loop over the sorted gallery.

In most cases the query stands at 0 on a line and the gallery at whole numbers, so the distances are
what they look like and float32 is exact.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numbered import numbered, numbers

from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Embeddings
from passerby.ranking import Distance, pairwise, query_scores
from passerby.ranking.query_scores import (
    QueryScores,
    check_average_precision,
    precision_at,
    right_ranks,
    score_queries,
)

EUCLIDEAN = Distance(features="embedding", metric="euclidean")

WAYS = [(0, 0.0), (10_000, 2.0), (10_000, 0.0)]
"""Of `right_ranks`: sorting for many right answers, or for few candidates; counting."""


def people(
    vectors: object, persons: list[int] | None, cameras: list[int] | None = None, model: str = "m"
) -> Embeddings:
    values = np.asarray(vectors, np.float32)
    values = values.reshape(len(values), -1 if values.size else 1)
    crops = Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(len(values))),
        **numbered(persons, cameras),
    )
    return Embeddings(
        crops, values, np.zeros((len(values), 32), np.float32), MARKET1501_ATTRIBUTES, model
    )


def scores_of(queries: Embeddings, gallery: Embeddings, **options: object) -> QueryScores:
    options = {"leave_out_same_camera": False, **options}
    return score_queries(queries, gallery, EUCLIDEAN, **options)  # type: ignore[arg-type]


def line(distances: list[int], persons: list[int], **options: object) -> QueryScores:
    """Person 1 at 0 asks for crops at these distances."""
    return scores_of(people([0], [1]), people(distances, persons), **options)


def oxford(hits: list[bool]) -> float:
    """Oxford's compute_ap, as Market-1501's Matlab code has it."""
    recall, precision, area, found = 0.0, 1.0, 0.0, 0
    for place, hit in enumerate(hits, start=1):
        found += hit
        new_recall, new_precision = found / sum(hits), found / place
        area += (new_recall - recall) * (precision + new_precision) / 2
        recall, precision = new_recall, new_precision
    return area


def slow(queries: Embeddings, gallery: Embeddings, cross: bool) -> list[tuple[float, ...]]:
    """Of each query: right answers, first rank, AP, trapezoid AP, inverse negative penalty."""
    found = []
    asked, offered = queries.crops, gallery.crops
    for q in range(len(queries)):
        order = []
        for g in range(len(gallery)):
            same = numbers(asked)[q] == numbers(offered)[g]
            if numbers(offered)[g] == -1:
                continue
            if cross and same and asked.camera[q] == offered.camera[g]:
                continue
            apart = float(((queries.vectors[q] - gallery.vectors[g]) ** 2).sum())
            order.append((apart, bool(same and numbers(asked)[q] > 0)))
        hits = [hit for _, hit in sorted(order)]  # of equals the wrong ones first
        ranks = [place for place, hit in enumerate(hits, start=1) if hit]
        if not ranks:
            found.append((0, 0, np.nan, np.nan, np.nan))
            continue
        plain = sum(i / rank for i, rank in enumerate(ranks, start=1)) / len(ranks)
        found.append((len(ranks), ranks[0], plain, oxford(hits), len(ranks) / ranks[-1]))
    return found


def list_few(queries: Embeddings, gallery: Embeddings, cross: bool) -> list[tuple[float, ...]]:
    options = {"leave_out_same_camera": cross}
    plain = scores_of(queries, gallery, **options)
    trapezoid = scores_of(queries, gallery, average_precision="trapezoid", **options)
    assert trapezoid.first.tolist() == plain.first.tolist()
    assert plain.scored.tolist() == (plain.right > 0).tolist()
    columns = plain.right, plain.first, plain.ap, trapezoid.ap, plain.inp
    return list(zip(*(column.tolist() for column in columns), strict=True))


def random_case(seed: int) -> tuple[Embeddings, Embeddings, bool]:
    """Few places and few persons: ties, junk, distractors, galleries of one crop or all junk."""
    generator = np.random.default_rng(seed)
    asked, offered = generator.integers(1, 4), generator.integers(1, 16)
    width, cameras = generator.integers(1, 3), generator.integers(1, 4)
    persons = generator.integers(-1, generator.integers(1, 5), asked + offered)
    if seed % 50 == 0:
        persons[asked:] = -1
    vectors = generator.integers(-2, 3, (asked + offered, width))
    seen = generator.integers(0, cameras, asked + offered)
    everyone = people(vectors, persons.tolist(), seen.tolist())
    rows = np.arange(asked + offered)
    return everyone.of_rows(rows[:asked]), everyone.of_rows(rows[asked:]), bool(seed % 2)


@pytest.mark.parametrize("first", range(0, 3000, 500))
def test_against_a_loop(first: int) -> None:
    unscored = 0
    for seed in range(first, first + 500):
        queries, gallery, cross = random_case(seed)
        expected = slow(queries, gallery, cross)
        found = list_few(queries, gallery, cross)
        assert np.array(found) == pytest.approx(np.array(expected), nan_ok=True), seed
        unscored += sum(row[0] == 0 for row in expected)
    assert unscored > 100


@pytest.mark.parametrize(
    ("ranks", "plain", "trapezoid"),
    [
        # (1 + 1 + 3/4 + 4/7) / 4; (1 + 1 + (2/3 + 3/4) / 2 + (3/6 + 4/7) / 2) / 4
        ([1, 2, 4, 7], 0.8304, 0.8110),
        # (1/2 + 2/4 + 3/6 + 4/8) / 4; ((0 + 1/2) + (1/3 + 2/4) + (2/5 + 3/6) + (3/7 + 4/8)) / 8
        ([2, 4, 6, 8], 0.5, 0.3952),
        ([2], 0.5, 0.25),
        ([1], 1, 1),
        ([1, 2, 3], 1, 1),
        # (1/5 + 2/6) / 2; (0 + 1/5 + 1/5 + 2/6) / 4
        ([5, 6], 0.2667, 0.1833),
    ],
)
def test_average_precision_by_hand(ranks: list[int], plain: float, trapezoid: float) -> None:
    assert precision_at(np.array(ranks)) == pytest.approx(plain, abs=5e-5)
    assert precision_at(np.array(ranks), "trapezoid") == pytest.approx(trapezoid, abs=5e-5)
    hits = [place in ranks for place in range(1, 11)]
    assert oxford(hits) == pytest.approx(trapezoid, abs=5e-5)

    persons = [1 if hit else 2 for hit in hits]
    found = line(list(range(1, 11)), persons)
    assert found.ap.tolist() == pytest.approx([plain], abs=5e-5)
    assert found.first.tolist() == [ranks[0]]
    # right answers over the rank of the last
    assert found.inp.tolist() == pytest.approx([len(ranks) / ranks[-1]])
    found = line(list(range(1, 11)), persons, average_precision="trapezoid")
    assert found.ap.tolist() == pytest.approx([trapezoid], abs=5e-5)


def test_of_equally_near_crops_the_wrong_ones_come_first() -> None:
    """Right, right and two wrong crops at 3, behind one wrong crop at 1: ranks 4 and 5."""
    found = line([3, 3, 1, 3, 3], [1, 2, 2, 1, 0])
    assert (found.first.tolist(), found.right.tolist()) == ([4], [2])
    assert found.ap.tolist() == pytest.approx([(1 / 4 + 2 / 5) / 2])
    assert found.inp.tolist() == pytest.approx([2 / 5])


def test_all_crops_equal_is_the_worst() -> None:
    assert line([2] * 6, [1, 1, 2, 3, 0, 2]).first.tolist() == [5]
    # but right answers among themselves do no harm
    assert line([2, 2, 3], [1, 1, 2]).ap.tolist() == [1]


def test_junk_has_no_influence_and_distractors_are_wrong() -> None:
    assert line([1, 2, 3], [-1, 0, 1]).first.tolist() == [2]
    assert line([1, 2, 3], [-1, -1, 1]).ap.tolist() == [1]
    assert line([1, 2, 3], [0, 0, 1]).ap.tolist() == pytest.approx([1 / 3])


def test_distractors_and_junk_find_nobody() -> None:
    found = scores_of(people([0, 0, 0], [0, -1, 5]), people([1, 2], [0, -1]))
    assert found.right.tolist() == found.first.tolist() == [0, 0, 0]
    assert np.isnan(found.ap).all()
    assert np.isnan(found.inp).all()
    assert not found.scored.any()
    assert found.persons.tolist() == [0, -1, 1]


def test_a_gallery_of_junk() -> None:
    assert not scores_of(people([0], [1]), people([1, 2], [-1, -1])).scored.any()


def test_same_camera_is_left_out_of_right_and_of_wrong() -> None:
    """Camera 1 asks; by distance: own person here (left out), others here, own person there."""
    queries, gallery = people([0], [1], [1]), people([1, 2, 3], [1, 2, 1], [1, 1, 2])
    cross = scores_of(queries, gallery, leave_out_same_camera=True)
    # another person seen by the query's camera stays wrong
    assert (cross.right.tolist(), cross.first.tolist()) == ([1], [2])
    ignored = scores_of(queries, gallery)
    assert (ignored.right.tolist(), ignored.first.tolist()) == ([2], [1])
    # all right answers are of the query's camera: nothing to score
    nobody = scores_of(queries, people([1, 2], [1, 2], [1, 2]), leave_out_same_camera=True)
    assert not nobody.scored.any()


def test_many_right_answers_are_counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above 48 right answers another way is taken: it agrees with the loop, and with the first."""
    for seed in range(40):
        generator = np.random.default_rng(seed)
        offered = int(generator.integers(60, 300))
        persons = generator.choice([-1, 0, 1, 1, 2], offered)
        cameras = generator.integers(0, 3, offered)
        places = generator.integers(0, 40 if seed % 2 else 5000, offered)
        queries = people([0, 3], [1, 2], [0, 1])
        gallery = people(places, persons.tolist(), cameras.tolist())
        found = list_few(queries, gallery, bool(seed % 3))
        assert np.array(found) == pytest.approx(np.array(slow(queries, gallery, bool(seed % 3))))
        for few, narrow in WAYS:
            monkeypatch.setattr(query_scores, "_FEW", few)
            monkeypatch.setattr(query_scores, "_NARROW", narrow)
            assert list_few(queries, gallery, bool(seed % 3)) == found
        monkeypatch.undo()
    assert max(row[0] for row in found) > 48


@pytest.mark.parametrize(("few", "narrow"), WAYS)
def test_right_ranks_by_hand(few: int, narrow: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right at 5, 1, 5; wrong at 1, 3, 5, 9, and one that does not count."""
    monkeypatch.setattr(query_scores, "_FEW", few)
    monkeypatch.setattr(query_scores, "_NARROW", narrow)
    distances = np.array([5, 1, 3, 1, 5, 5, 9, np.inf])
    # wrong at most 1 away: 1; at most 5 away: 3
    assert right_ranks(distances, np.array([0, 3, 4])).tolist() == [2, 5, 6]


def test_the_block_size_has_no_influence(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    everyone = people(
        generator.integers(-3, 4, (60, 2)),
        generator.integers(-1, 6, 60).tolist(),
        generator.integers(0, 3, 60).tolist(),
    )
    queries, gallery = everyone.of_rows(np.arange(20)), everyone.of_rows(np.arange(20, 60))
    expected = np.array(slow(queries, gallery, True))
    monkeypatch.setattr(pairwise, "_TILE_ROWS", 1)
    monkeypatch.setattr(pairwise, "_LEAST_ROWS", 1)
    for size in (1, 64, 127, 128, 640, 10_000):
        monkeypatch.setattr(pairwise, "BLOCK_VALUES", size)
        assert np.array(list_few(queries, gallery, True)) == pytest.approx(expected, nan_ok=True)


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairwise, "BLOCK_VALUES", 4)
    monkeypatch.setattr(pairwise, "_TILE_ROWS", 2)
    monkeypatch.setattr(pairwise, "_LEAST_ROWS", 1)
    seen: list[tuple[int, int]] = []
    scores_of(
        people([0, 1, 2], [1, 1, 1]),
        people([0, 1], [1, 1]),
        progress=lambda done, everything: seen.append((done, everything)),
    )
    assert seen == [(2, 3), (3, 3)]


GALLERIES = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([1, 1, 2, 3, 0, -1])), min_size=1, max_size=70
).filter(lambda gallery: any(person == 1 for _, person in gallery))


def scored(gallery: list[tuple[int, int]], variant: str = "plain") -> QueryScores:
    distances, persons = zip(*gallery, strict=True)
    return line(list(distances), list(persons), average_precision=variant)


@settings(deadline=None)
@given(GALLERIES, st.randoms(use_true_random=False))
def test_the_order_of_the_gallery_has_no_influence(
    gallery: list[tuple[int, int]], random: object
) -> None:
    shuffled = list(gallery)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    before, after = scored(gallery), scored(shuffled)
    assert (before.first, before.ap, before.inp) == (after.first, after.ap, after.inp)


@settings(deadline=None)
@given(GALLERIES, st.integers(0, 13), st.sampled_from(["plain", "trapezoid"]))
def test_another_distractor_never_helps(
    gallery: list[tuple[int, int]], place: int, variant: str
) -> None:
    before, after = scored(gallery, variant), scored([*gallery, (place, 0)], variant)
    assert after.ap <= before.ap + 1e-12
    assert after.first >= before.first
    assert after.inp <= before.inp
    # and junk changes nothing
    assert scored([*gallery, (place, -1)], variant).ap == before.ap


@settings(deadline=None)
@given(
    GALLERIES,
    st.integers(0, 10_000),
    st.integers(0, 12),
    st.sampled_from(["plain", "trapezoid"]),
)
def test_a_right_answer_that_comes_nearer_never_hurts(
    gallery: list[tuple[int, int]], which: int, step: int, variant: str
) -> None:
    right = [place for place, (_, person) in enumerate(gallery) if person == 1]
    chosen = right[which % len(right)]
    nearer = list(gallery)
    nearer[chosen] = (max(0, gallery[chosen][0] - step), 1)
    before, after = scored(gallery, variant), scored(nearer, variant)
    assert after.ap >= before.ap - 1e-12
    assert after.first <= before.first
    assert after.inp >= before.inp


@settings(deadline=None)
@given(GALLERIES)
def test_scores_are_fractions(gallery: list[tuple[int, int]]) -> None:
    found = scored(gallery)
    trapezoid = scored(gallery, "trapezoid")
    assert 0 < found.inp <= 1
    assert 0 < found.ap <= 1 + 1e-12
    assert 0 <= trapezoid.ap <= found.ap + 1e-12


def test_variants_of_average_precision() -> None:
    assert check_average_precision("plain") == "plain"
    assert check_average_precision("trapezoid") == "trapezoid"
    with pytest.raises(InputError, match="no average precision 'mean': choose from plain, trap"):
        check_average_precision("mean")


def test_what_cannot_be_scored() -> None:
    one = people([0], [1])
    with pytest.raises(InputError, match="no query crops"):
        scores_of(people([], []), one)
    with pytest.raises(InputError, match="no gallery crops"):
        scores_of(one, people([], []))
    with pytest.raises(InputError, match="embed both with one model"):
        scores_of(one, people([0], [1], model="other"))
    for queries, gallery in ((one, people([0], None)), (people([0], None), one)):
        with pytest.raises(InputError, match="have no persons"):
            scores_of(queries, gallery)
    with pytest.raises(InputError, match="no cameras, .* evaluate with `cameras` = ignored"):
        scores_of(one, one, leave_out_same_camera=True)
    with pytest.raises(InputError, match="not numbers"):
        scores_of(one, people([np.nan], [1]))


def test_a_gallery_of_equal_crops() -> None:
    """The one right answer of 37 equal crops has rank 37, wherever it stands in the gallery."""
    generator = np.random.default_rng(0)
    for width in (32, 128, 512):
        crop = generator.normal(size=width)
        for place in range(37):
            persons = [2] * 37
            persons[place] = 1
            queries = people(generator.normal(size=(9, width)), [1] * 9)
            found = scores_of(queries, people(np.tile(crop, (37, 1)), persons))
            assert found.first.tolist() == [37] * 9
