"""The whole report: which parts there are, several draws of the queries, and the frame."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numbered import numbered

from passerby.calibration import Calibration
from passerby.data import Crops, Schema
from passerby.errors import InputError
from passerby.evaluation import EvaluationProtocol, Report, evaluate, evaluate_retrieval
from passerby.evaluation.retrieval import METRIC_NAMES
from passerby.inference import Embeddings
from passerby.ranking import Distance, Reranking

SCHEMA = Schema.of(["helmet", "vest"])
EMBEDDING = Distance(features="embedding")
CALIBRATION = Calibration(
    distances=(0.5, 1, 2),
    same=(0.5, 0.9, 1),
    different=(0, 0.1, 1),
    crops_per_person=3,
    persons=10,
)


def crowd(seed: int = 0, cameras: bool = True) -> Embeddings:
    """Ten persons with six crops each, seen by three cameras, a distractor and junk."""
    generator = np.random.default_rng(seed)
    persons = np.append(np.repeat(np.arange(1, 11), 6), [0, -1])
    seen = generator.integers(1, 4, len(persons))
    vectors = generator.normal(size=(12, 4))[persons + 1] + generator.normal(size=(62, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    crops = Crops(
        [f"{i}.jpg" for i in range(len(persons))],
        **numbered(persons, seen if cameras else None),
        labels=(generator.random((12, 2)) < 0.5)[persons + 1],
        schema=SCHEMA,
    )
    attributes = generator.random((62, 2)).astype(np.float32)
    return Embeddings(crops, vectors.astype(np.float32), attributes, SCHEMA, "m")


def strict_json(report: Report) -> dict:
    return json.loads(json.dumps(report.to_dict(), allow_nan=False))


def test_all_parts() -> None:
    report = evaluate(crowd(), calibration=CALIBRATION, resamples=10)
    value = strict_json(report)
    assert list(value) == ["attributes", "attributes_pooled", "retrieval"]
    retrieval = value["retrieval"]
    assert (retrieval["protocol"], retrieval["cameras"]) == ("course", "ignored")
    assert (retrieval["trials"], retrieval["top1_sd"]) == (1, 0.0)
    assert retrieval["across_cameras"]["top1"] <= retrieval["top1"]
    assert retrieval["distance"] == "normalized_euclidean plain"
    assert value["attributes"]["crops"] == 60
    assert value["attributes"]["persons"] == 10


def test_several_draws_are_averaged() -> None:
    people, protocol = crowd(), EvaluationProtocol("course", False, seed=5)
    options = {"reranking": Reranking(k1=3, k2=2), "resamples": 100, "calibration": CALIBRATION}
    report = evaluate(people, protocol=protocol, trials=4, **options).retrieval  # type: ignore[arg-type]
    single = [
        evaluate(people, protocol=replace(protocol, seed=seed), **options).retrieval  # type: ignore[arg-type]
        for seed in range(5, 9)
    ]
    assert report is not None
    for name in METRIC_NAMES:
        assert report.metrics[name] == pytest.approx(np.mean([s.metrics[name] for s in single]))
        for part in ("reranked", "across_cameras"):
            means = np.mean([getattr(s, part).metrics[name] for s in single])
            assert getattr(report, part).metrics[name] == pytest.approx(means)
        low, high = report.intervals[name]
        assert low <= report.metrics[name] <= high
    top1 = [s.metrics["top1"] for s in single]
    assert len(set(top1)) > 1
    mean = sum(top1) / 4
    assert report.top1_sd == pytest.approx((sum((t - mean) ** 2 for t in top1) / 3) ** 0.5)
    assert [report.cmc[k - 1] for k in (1, 5, 10)] == pytest.approx(
        [report.metrics[f"top{k}"] for k in (1, 5, 10)]
    )
    assert report.trials == 4
    # the rest is that of the first draw
    assert report.answer_sets == single[0].answer_sets
    assert report.queries == single[0].queries


def test_intervals_take_all_draws_together() -> None:
    """Of persons who are found alike whichever crop asks, more draws make no difference."""
    persons = [1, 1, 2, 2]
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    people = Embeddings(Crops(list("abcd"), **numbered(persons)), vectors, model="m")
    once, often = (evaluate(people, resamples=50, trials=n).retrieval for n in (1, 5))
    assert once is not None
    assert often is not None
    assert (often.metrics, often.intervals) == (once.metrics, once.intervals)
    assert (often.trials, often.top1_sd) == (5, 0)


def test_one_draw_is_as_before() -> None:
    people, protocol = crowd(), EvaluationProtocol("market", True, 2)
    queries, gallery = (people.of_rows(rows) for rows in protocol.split(people.crops))
    expected = evaluate_retrieval(
        queries, gallery, EMBEDDING, protocol="market", leave_out_same_camera=True, resamples=20
    )
    found = evaluate(people, protocol=protocol, resamples=20).retrieval
    assert found is not None
    assert (found.metrics, found.intervals) == (expected.metrics, expected.intervals)
    assert found.across_cameras is None


def test_a_given_gallery() -> None:
    people = crowd()
    queries, gallery = people.of_rows(np.arange(0, 60, 6)), people.of_rows(np.arange(62) % 6 > 0)
    report = evaluate(queries, gallery, resamples=0)
    assert report.retrieval is not None
    assert report.retrieval.protocol == "course, given queries and gallery"
    assert not {"trials", "top1_sd"} & set(strict_json(report)["retrieval"])
    assert report.attributes is not None
    assert report.attributes.crops == 50
    with pytest.raises(InputError, match="`trials` is 3, but queries and gallery are given"):
        evaluate(queries, gallery, trials=3)
    # of a gallery of nobody only the attributes are scored
    unnamed = replace(gallery, crops=gallery.crops.replace(person=None, role=None))
    report = evaluate(queries, unnamed, resamples=0)
    assert report.retrieval is None
    assert report.attributes is not None


def test_crops_of_nobody_are_scored_by_image() -> None:
    people = crowd()
    unnamed = replace(people, crops=people.crops.replace(person=None, role=None, camera=None))
    report = evaluate(unnamed, resamples=10)
    assert (report.retrieval, report.queries, report.gallery) == (None, None, None)
    assert report.attributes is not None
    assert (report.attributes.persons, report.attributes.crops) == (None, 62)
    assert list(strict_json(report)) == ["attributes"]
    with pytest.raises(InputError, match="no persons and no labels to score against"):
        evaluate(replace(unnamed, crops=unnamed.crops.without_labels()))


def test_a_model_without_attributes_finds_persons() -> None:
    people = replace(crowd(), attributes=None, schema=None)
    report = evaluate(people, calibration=CALIBRATION, resamples=0)
    assert (report.attributes, report.attributes_pooled) == (None, None)
    assert report.retrieval is not None


def test_draws_that_cannot_be() -> None:
    with pytest.raises(InputError, match="`trials` is 0: draw queries at least once"):
        evaluate(crowd(), trials=0)


def test_persons_of_one_name_in_two_datasets_are_two() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], np.float32)
    names = {"person": ["7"] * 4, "dataset": ["a", "a", "b", "b"]}
    report = evaluate(Embeddings(Crops(list("wxyz"), **names), vectors, model="m"), resamples=0)
    assert report.retrieval is not None
    assert (report.retrieval.persons, report.retrieval.metrics["map"]) == (2, 1)


class Frame(list):
    """What a test needs of a pandas DataFrame, which is not installed everywhere."""

    def __init__(self, rows: list, columns: list[str]) -> None:
        super().__init__(rows)
        self.columns = columns


def test_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=Frame))
    report = evaluate(
        crowd(), calibration=CALIBRATION, reranking=Reranking(k1=3, k2=2), resamples=10
    )
    frame = report.to_frame()
    assert frame.columns == ["part", "metric", "value", "low", "high"]
    assert report.attributes is not None
    assert report.retrieval is not None
    rows = {(part, metric): values for part, metric, *values in frame}
    assert len(rows) == len(frame)
    macro = report.attributes.macro["f1"], *report.attributes.intervals["macro.f1"]
    assert rows["attributes, macro", "f1"] == list(macro)
    top1 = report.retrieval.metrics["top1"], *report.retrieval.intervals["top1"]
    assert rows["retrieval", "top1"] == list(top1)
    assert {part for part, _ in rows} == {
        *(f"attributes, {group}" for group in ("macro", "defined", "instance")),
        *(f"attributes_pooled, {group}" for group in ("macro", "defined", "instance")),
        "retrieval",
        "retrieval, reranked",
        "retrieval, across cameras",
    }
    assert np.isnan(evaluate(crowd(), resamples=0).to_frame()[0][3])
