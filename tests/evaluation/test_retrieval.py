"""The report, on crops that stand on a line.

The hand case, cameras ignored: four queries and a gallery of six.

    gallery   row 0   1   2   3   4   5
    place         1   2   6   13  16  90
    person        1   2   1   2   0   −1

    query at 0 of person 1: right at ranks 1 and 3    top1 1, AP (1 + 2/3) / 2 = 5/6, INP 2/3
    query at 3 of person 1: right at ranks 2 and 3    top1 0, AP (1/2 + 2/3) / 2 = 7/12, INP 2/3
    query at 15 of person 2: right at ranks 2 and 4   top1 0, AP (1/2 + 2/4) / 2 = 1/2, INP 1/2
    query at 5 of person 3: nobody; skipped
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numbered import numbered

from passerby.calibration.calibration import Calibration
from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.evaluation import RetrievalReport, evaluate_retrieval
from passerby.inference import Embeddings
from passerby.ranking import Distance, Reranking
from passerby.ranking.query_scores import score_queries

EUCLIDEAN = Distance(features="embedding", metric="euclidean")
HAT = MARKET1501_ATTRIBUTES.index("hat")
CALIBRATION = Calibration(
    distances=(1, 3, 12),
    same=(0.5, 0.9, 1),
    different=(0, 0.001, 1),
    crops_per_person=2,
    persons=10,
)


def people(
    places: object,
    persons: list[int] | None,
    cameras: list[int] | None = None,
    labels: np.ndarray | None = None,
) -> Embeddings:
    vectors = np.asarray(places, np.float32)
    vectors = vectors.reshape(len(vectors), -1 if vectors.size else 1)
    crops = Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(len(vectors))),
        **numbered(persons, cameras),
        labels=labels,
        schema=None if labels is None else MARKET1501_ATTRIBUTES,
    )
    return Embeddings(
        crops, vectors, np.zeros((len(vectors), 32), np.float32), MARKET1501_ATTRIBUTES, "m"
    )


def hats(*wearing: bool) -> np.ndarray:
    labels = np.zeros((len(wearing), 32), bool)
    labels[:, HAT] = wearing
    return labels


QUERIES = people([0, 3, 15, 5], [1, 1, 2, 3], labels=hats(True, True, False, True))
GALLERY = people([1, 2, 6, 13, 16, 90], [1, 2, 1, 2, 0, -1])


def by_hand(**options: object) -> RetrievalReport:
    options = {"resamples": 0, **options}
    return evaluate_retrieval(QUERIES, GALLERY, EUCLIDEAN, **options)  # type: ignore[arg-type]


def test_figures_by_hand() -> None:
    report = by_hand()
    assert (report.queries, report.skipped, report.persons) == (3, 1, 2)
    assert report.metrics == {
        "top1": pytest.approx(1 / 3),
        "top5": 1,
        "top10": 1,
        "map": pytest.approx((5 / 6 + 7 / 12 + 1 / 2) / 3),
        "minp": pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3),
    }
    assert report.intervals == {}
    assert report.cameras == "ignored"
    assert report.protocol == "given"
    assert (report.answer_sets, report.reliability) == ([], None)


def test_the_curve_goes_on_beyond_the_gallery() -> None:
    curve = by_hand().cmc
    assert len(curve) == 50
    assert curve[0] == pytest.approx(1 / 3)
    assert set(curve[1:]) == {1}


def test_trapezoids_by_hand() -> None:
    report = by_hand(average_precision="trapezoid")
    # right at 1, 3: (1 + (1/2 + 2/3) / 2) / 2; at 2, 3: ((0 + 1/2) / 2 + (1/2 + 2/3) / 2) / 2;
    # at 2, 4: ((0 + 1/2) / 2 + (1/3 + 2/4) / 2) / 2
    expected = [(1 + 7 / 12) / 2, (1 / 4 + 7 / 12) / 2, (1 / 4 + 5 / 12) / 2]
    assert report.scores.ap[:3] == pytest.approx(expected)
    assert report.metrics["map"] == pytest.approx(sum(expected) / 3)
    assert report.average_precision == "trapezoid"


def test_slices_by_hand() -> None:
    """Person 1 has a hat, person 2 has not; the skipped query, with a hat, does not count."""
    slices = by_hand().slices
    assert slices["hat"]["with"] == {
        "queries": 2,
        "top1": 0.5,
        "map": pytest.approx((5 / 6 + 7 / 12) / 2),
    }
    assert slices["hat"]["without"] == {"queries": 1, "top1": 0, "map": 0.5}
    # nobody has a bag
    assert set(slices["bag"]) == {"without"}
    assert slices["bag"]["without"]["queries"] == 3
    assert list(slices) == list(MARKET1501_ATTRIBUTES.names)
    assert evaluate_retrieval(GALLERY, GALLERY, EUCLIDEAN, resamples=0).slices == {}


def test_what_the_own_camera_saw_is_left_out() -> None:
    queries = people([0, 20], [1, 2], [1, 1])
    gallery = people([1, 2, 3, 19], [1, 3, 1, 2], [1, 1, 2, 1])
    report = evaluate_retrieval(
        queries, gallery, EUCLIDEAN, leave_out_same_camera=True, protocol="market", resamples=0
    )
    # person 2 was seen by the query's camera only
    assert (report.queries, report.skipped, report.persons) == (1, 1, 1)
    assert (report.cameras, report.protocol) == ("cross", "market")
    assert (report.metrics["top1"], report.metrics["map"]) == (0, 0.5)


def random_people(seed: int, count: int = 60) -> tuple[Embeddings, Embeddings]:
    generator = np.random.default_rng(seed)
    persons = generator.integers(-1, 9, count)
    places = persons[:, None] * 2 + generator.integers(-5, 6, (count, 2))
    labels = generator.random((11, 32))[persons + 1] < 0.5
    everyone = people(places, persons.tolist(), generator.integers(0, 3, count).tolist(), labels)
    return everyone.of_rows(np.arange(count // 2)), everyone.of_rows(np.arange(count // 2, count))


def interval_of(case: int, **options: object) -> RetrievalReport:
    options = {"resamples": 200, **options}
    return evaluate_retrieval(*random_people(case), EUCLIDEAN, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(5))
def test_intervals_hold_the_figures_and_are_the_same_each_time(seed: int) -> None:
    report = interval_of(seed)
    assert set(report.intervals) == set(report.metrics)
    for name, (low, high) in report.intervals.items():
        assert 0 <= low <= report.metrics[name] <= high <= 1
    assert report.intervals["map"][0] < report.intervals["map"][1]
    assert interval_of(seed).intervals == report.intervals
    assert interval_of(seed, seed=1).intervals != report.intervals
    assert interval_of(seed, seed=1).metrics == report.metrics


def test_intervals_resample_persons() -> None:
    """Asking every question ten times must not make the intervals narrower."""
    queries, gallery = random_people(3)
    once = evaluate_retrieval(queries, gallery, EUCLIDEAN, resamples=300)
    repeated = queries.of_rows(np.repeat(np.arange(len(queries)), 10))
    tenfold = evaluate_retrieval(repeated, gallery, EUCLIDEAN, resamples=300)
    for name, interval in once.intervals.items():
        assert tenfold.intervals[name] == pytest.approx(interval)


def test_intervals_against_a_slow_bootstrap() -> None:
    report = interval_of(4, resamples=2000)
    scored = report.scores.scored
    persons, values = report.scores.persons[scored], report.scores.ap[scored]
    generator = np.random.default_rng(7)
    ids = np.unique(persons)
    means = [
        np.concatenate([values[persons == p] for p in generator.choice(ids, len(ids))]).mean()
        for _ in range(2000)
    ]
    expected = np.quantile(means, [0.025, 0.975])
    assert report.intervals["map"] == pytest.approx(expected.tolist(), abs=0.02)


def test_one_person_has_no_spread() -> None:
    report = evaluate_retrieval(QUERIES.of_rows(np.array([0, 1])), GALLERY, EUCLIDEAN, resamples=10)
    assert report.intervals["map"] == pytest.approx([report.metrics["map"]] * 2)


def test_answer_sets_of_a_calibrated_distance() -> None:
    """Thresholds read off the curve: same 0.5 / 0.9 / 1, different 0 / 0.001 / 1 at 1 / 3 / 12.

    Of a gallery of six, 2 are right and 4 wrong: F2 at 1 is 5 · 1 / (8 + 1) = 0.56, at 3 it is
    5 · 1.8 / (8 + 1.8) = 0.92, at 12 it is 10 / (8 + 6) = 0.71.
    """
    report = by_hand(calibration=CALIBRATION)
    named = {scores.rule: scores for scores in report.answer_sets}
    assert {rule: scores.threshold for rule, scores in named.items()} == {
        "best F2": 3,
        "recall 0.9": 3,
        "FMR 0.001": 3,
        "gap": None,
    }
    # within 3: from 0 rows 0 1, from 3 rows 0 1 2, from 15 rows 3 4
    best = named["best F2"]
    assert best.size == pytest.approx(7 / 3)
    assert best.precision == pytest.approx((1 / 2 + 2 / 3 + 1 / 2) / 3)
    assert best.recall == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert (best.identified, best.empty, best.false_alarms) == (1, 0, 1)


def certain(
    distances: tuple[float, ...], same: tuple[float, ...], different: tuple[float, ...]
) -> Calibration:
    return Calibration(
        distances=distances, same=same, different=different, crops_per_person=30, persons=9
    )


@pytest.mark.parametrize(
    "calibration",
    [
        certain((1, 2), (0.8, 1), (0.2, 1)),
        # the far ones lie beyond the last point, with the rest of both
        certain((0.5, 1), (0.4, 0.8), (0.1, 0.2)),
    ],
)
def test_reliability_by_hand(calibration: Calibration) -> None:
    """In 60 crops 30 are right, 24 of them near, and 30 wrong, 6 near: said, found 0.8 and 0.2.

    Up to 1: 0.8 of the same and 0.2 of the different, ratio 4, prior odds 30 / 30; beyond: 1/4.
    """
    places = [1] * 30 + [2] * 30
    persons = [1] * 24 + [2] * 6 + [1] * 6 + [2] * 24
    report = evaluate_retrieval(
        people([0], [1]),
        people(places, persons),
        EUCLIDEAN,
        calibration,
        resamples=0,
    )
    assert report.reliability is not None
    assert report.reliability.said == pytest.approx((0.2, 0.8), abs=1e-5)
    assert report.reliability.found == pytest.approx((0.2, 0.8))
    assert report.reliability.pairs == (30, 30)
    assert report.reliability.error == pytest.approx(0, abs=1e-5)


def test_a_model_too_sure_of_itself() -> None:
    """As above, but near crops are right half of the time: |0.8 − 0.5|, far ones |0.2 − 0.5|."""
    places = [1] * 30 + [2] * 30
    report = evaluate_retrieval(
        people([0], [1]),
        people(places, [1, 2] * 30),
        EUCLIDEAN,
        certain((1, 2), (0.8, 1), (0.2, 1)),
        resamples=0,
    )
    assert report.reliability is not None
    assert report.reliability.found == pytest.approx((0.5, 0.5))
    assert report.reliability.error == pytest.approx(0.3, abs=1e-5)


def test_few_pairs_prove_nothing() -> None:
    report = by_hand(calibration=CALIBRATION)
    assert report.reliability is not None
    assert report.reliability.pairs == ()


def strict_json(report: RetrievalReport) -> dict:
    return json.loads(json.dumps(report.to_dict(), allow_nan=False))


def test_the_json() -> None:
    value = strict_json(by_hand(calibration=CALIBRATION, resamples=20))
    assert value["top1"] == pytest.approx(1 / 3)
    assert value["distance"] == "euclidean plain"
    assert value["features"] == "embedding"
    assert (value["queries"], value["skipped"], value["persons"]) == (3, 1, 2)
    for name in ("top1", "top5", "top10", "map", "minp"):
        low, high = value[f"{name}_ci"]
        assert 0 <= low <= high <= 1
    assert len(value["cmc"]) == 50
    assert [scores["threshold"] for scores in value["answer_sets"]] == [3, 3, 3, None]
    assert set(value["reliability"]) == {"said", "found", "pairs", "error"}
    assert value["slices"]["hat"]["with"]["queries"] == 2
    assert "map_ci" not in strict_json(by_hand())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.integers(2, 12))
def test_the_json_of_anything(seed: int, cross: bool, count: int) -> None:
    queries, gallery = random_people(seed, count)
    options = {"leave_out_same_camera": cross, "resamples": 5}
    scores = score_queries(queries, gallery, EUCLIDEAN, leave_out_same_camera=cross)
    if not scores.scored.any():
        with pytest.raises(InputError, match="No query has a right answer in the gallery"):
            evaluate_retrieval(queries, gallery, EUCLIDEAN, CALIBRATION, **options)
        return
    report = evaluate_retrieval(queries, gallery, EUCLIDEAN, CALIBRATION, **options)
    value = strict_json(report)
    assert value["queries"] + value["skipped"] == len(queries)
    assert 0 <= value["top1"] <= value["top5"] <= value["top10"] <= 1
    assert value["cmc"] == sorted(value["cmc"])
    assert [value["cmc"][k - 1] for k in (1, 5, 10)] == [value[f"top{k}"] for k in (1, 5, 10)]
    sides = [slices.values() for slices in value["slices"].values()]
    assert all(sum(side["queries"] for side in both) == value["queries"] for both in sides)


@pytest.mark.parametrize(
    ("cross", "message"),
    [(False, "check the persons of both"), (True, "another camera took.* `cameras` = ignored")],
)
def test_nobody_to_find(cross: bool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_retrieval(
            people([0, 1], [1, 0], [1, 1]),
            people([0, 1, 2], [2, -1, 0], [1, 1, 2]),
            EUCLIDEAN,
            CALIBRATION,
            leave_out_same_camera=cross,
        )


def test_what_cannot_be_scored() -> None:
    with pytest.raises(InputError, match="no query crops"):
        evaluate_retrieval(people([], []), GALLERY, EUCLIDEAN)
    with pytest.raises(InputError, match="No query has a right answer"):
        evaluate_retrieval(QUERIES, people([1, 2], [-1, -1]), EUCLIDEAN)
    with pytest.raises(InputError, match="no cameras"):
        evaluate_retrieval(QUERIES, GALLERY, EUCLIDEAN, leave_out_same_camera=True)
    with pytest.raises(InputError, match="not numbers"):
        evaluate_retrieval(people([np.nan], [1]), GALLERY, EUCLIDEAN)


def test_junk_is_not_searched() -> None:
    assert by_hand().gallery == 5


def test_the_error_is_that_of_the_bins() -> None:
    """Sixty crops, each in an interval of its own, in turn right and wrong: all said 0.5."""
    steps = np.arange(1, 31) / 30
    distances = tuple(range(1, 61))
    same = tuple(np.repeat(np.concatenate([[0], steps]), 2)[1:-1].tolist())
    different = tuple(np.repeat(steps, 2).tolist())
    persons = [2, 1] * 30
    report = evaluate_retrieval(
        people([0], [1]),
        people(distances, persons),
        EUCLIDEAN,
        certain(distances, (*same[:59], 1.0), different),
        resamples=0,
    )
    assert report.reliability is not None
    assert report.reliability.said == pytest.approx([0.5], abs=1e-3)
    assert report.reliability.found == (0.5,)
    assert report.reliability.error == pytest.approx(0, abs=1e-3)


def test_reranked_figures_are_those_of_the_reranked_distances() -> None:
    rng = np.random.default_rng(0)
    persons = np.repeat(np.arange(1, 13), 8)
    cameras = rng.integers(1, 4, len(persons)).tolist()
    places = rng.standard_normal((13, 4))[persons] + 0.9 * rng.standard_normal((len(persons), 4))
    persons[1:6] = -1
    crops = people(places, persons.tolist(), cameras)
    asking = np.arange(0, len(persons), 8)
    queries, gallery = (
        crops.of_rows(rows) for rows in (asking, np.setdiff1d(np.arange(len(persons)), asking))
    )
    reranking = Reranking(k1=6, k2=3)
    report = evaluate_retrieval(
        queries, gallery, EUCLIDEAN, leave_out_same_camera=True, reranking=reranking, resamples=20
    )
    assert report.reranked is not None
    junk = gallery.crops.person_codes == -1
    (_, block), *others = reranking.blocks(queries.vectors, gallery.vectors, junk)
    assert not others
    average_precisions = []
    for query, row in enumerate(block):
        mine = gallery.crops.person_codes == queries.crops.person_codes[query]
        own_camera = gallery.crops.camera == queries.crops.camera[query]
        hits = mine[np.argsort(np.where(mine & own_camera, np.inf, row), kind="stable")]
        hits = hits[: len(row) - (mine & own_camera).sum() - junk.sum()]
        if hits.any():
            ranks = np.flatnonzero(hits) + 1
            average_precisions.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    assert report.reranked.metrics["map"] == pytest.approx(np.mean(average_precisions))
    assert report.reranked.metrics["map"] != report.metrics["map"]
    value = report.to_dict()["reranked"]
    assert (value["k1"], value["k2"], value["share"]) == (6, 3, 0.3)
    assert value["map_ci"][0] <= value["map"] <= value["map_ci"][1]


def test_across_cameras_beside_them_ignored() -> None:
    """Camera 1 asks for person 1 at 0: own camera at 1, another's at 3, person 2 at 2."""
    queries = people([0, 20], [1, 2], [1, 1])
    gallery = people([1, 2, 3, 19, 30], [1, 3, 1, 2, 0], [1, 1, 2, 1, 1])
    report = evaluate_retrieval(queries, gallery, EUCLIDEAN, resamples=20)
    assert (report.metrics["top1"], report.cameras) == (1, "ignored")
    across = report.across_cameras
    assert across is not None
    # person 2 was seen by the query's camera only
    assert (across.queries, across.skipped) == (1, 1)
    assert (across.metrics["top1"], across.metrics["map"]) == (0, 0.5)
    alone = evaluate_retrieval(
        queries, gallery, EUCLIDEAN, leave_out_same_camera=True, resamples=20
    )
    assert (across.metrics, across.intervals) == (alone.metrics, alone.intervals)
    assert alone.across_cameras is None
    value = strict_json(report)["across_cameras"]
    assert (value["queries"], value["skipped"], value["map"]) == (1, 1, 0.5)
    assert value["map_ci"] == [0.5, 0.5]
    assert strict_json(alone)["across_cameras"] is None


@pytest.mark.parametrize(
    ("asking", "offered"),
    [
        (None, None),
        (["1", "1"], None),
        # one camera
        (["1", "1"], ["1", "1", "2"]),
        # of a person unknown
        (["1", ""], ["1", "2", "2"]),
        # nobody was seen by another camera than the query's
        (["1", "2"], ["1", "2", "2"]),
    ],
)
def test_nothing_to_say_across_cameras(asking: list[str] | None, offered: list[str] | None) -> None:
    queries, gallery = people([0, 20], [1, 2]), people([1, 19, 30], [1, 2, 0])
    queries, gallery = (
        replace(part, crops=part.crops.replace(camera=cameras))
        for part, cameras in ((queries, asking), (gallery, offered))
    )
    assert evaluate_retrieval(queries, gallery, EUCLIDEAN, resamples=0).across_cameras is None


def test_a_distractor_needs_no_camera() -> None:
    queries, gallery = people([0], [1], [1]), people([1, 3, 30], [1, 1, 0], [1, 2, 1])
    gallery = replace(gallery, crops=gallery.crops.replace(camera=["1", "2", ""]))
    across = evaluate_retrieval(queries, gallery, EUCLIDEAN, resamples=0).across_cameras
    assert across is not None
    assert across.metrics["top1"] == 1


def test_unknown_labels_are_in_no_slice() -> None:
    labels = hats(True, True, False, True).astype(np.float32)
    labels[0, HAT] = np.nan
    queries = people([0, 3, 15, 5], [1, 1, 2, 3], labels=labels)
    slices = evaluate_retrieval(queries, GALLERY, EUCLIDEAN, resamples=0).slices
    assert slices["hat"]["with"]["queries"] == 1
    assert slices["hat"]["without"]["queries"] == 1


def test_queries_that_were_given_have_no_trials() -> None:
    assert not {"trials", "top1_sd"} & set(strict_json(by_hand()))
