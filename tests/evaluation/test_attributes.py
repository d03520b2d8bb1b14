"""Attribute metrics against figures worked out by hand and against scikit-learn.

The hand case has one crop of each of four persons and looks at three attributes; everyone is
adult, with pants and so on, in the other 29.

    person   hat            upred          backpack
             truth answer   truth answer   truth answer
    1        yes   yes      yes   no       no    yes
    2        yes   no       no    no       no    yes
    3        no    no       no    no       no    no
    4        no    yes      no    no       no    no
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numbered import numbered
from sklearn import metrics

from passerby.data import Crops, Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.evaluation import AttributeReport, bootstrap, evaluate_attributes
from passerby.inference import Decision, Embeddings

FIXED = Decision("fixed")
HAT, UPRED, BACKPACK = (MARKET1501_ATTRIBUTES.index(name) for name in ("hat", "upred", "backpack"))


def evaluated(
    probabilities: np.ndarray,
    labels: np.ndarray,
    persons: np.ndarray,
    decision: Decision | None = None,
    **options: int,
) -> AttributeReport:
    count = len(persons)
    crops = Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(count)),
        **numbered(persons),
        labels=labels,
        schema=MARKET1501_ATTRIBUTES,
    )
    embeddings = Embeddings(
        crops, np.ones((count, 1), np.float32), probabilities, MARKET1501_ATTRIBUTES, "test"
    )
    return evaluate_attributes(embeddings, decision, **options)


def hand_case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.zeros((4, 32), bool)
    answers = np.zeros((4, 32), bool)
    labels[:, MARKET1501_ATTRIBUTES.index("adult")] = answers[
        :, MARKET1501_ATTRIBUTES.index("adult")
    ] = True
    labels[[0, 1], HAT] = True
    answers[[0, 3], HAT] = True
    labels[0, UPRED] = True
    answers[[0, 1], BACKPACK] = True
    return answers.astype(np.float32), labels, np.array([1, 2, 3, 4])


def scored(resamples: int = 0) -> AttributeReport:
    probabilities, labels, persons = hand_case()
    return evaluated(probabilities, labels, persons, FIXED, resamples=resamples)


def test_one_attribute_by_hand() -> None:
    hat = scored().per_attribute["hat"]
    # 1 true positive, 1 false positive, 1 false negative, 1 true negative
    assert hat == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "ma": 0.5,
        "accuracy": 0.5,
        "gain": 0.0,
        "positives": 0.5,
        "known": 4,
    }


def test_never_answered_is_zero_and_not_undefined() -> None:
    report = scored()
    red = report.per_attribute["upred"]
    assert (red["precision"], red["recall"], red["f1"]) == (0, 0, 0)
    assert red["ma"] == 0.5
    assert red["accuracy"] == 0.75
    assert red["gain"] == 0
    assert "upred" not in report.undefined


def test_undefined_counts_as_zero_or_not_at_all() -> None:
    report = scored()
    assert len(report.undefined) == 30
    assert set(MARKET1501_ATTRIBUTES.names) - set(report.undefined) == {"hat", "upred"}
    assert report.defined["f1"] == pytest.approx((0.5 + 0) / 2)
    assert report.defined["ma"] == pytest.approx((0.5 + 0.5) / 2)
    # adult is right for everyone: F1 1 although nobody is not adult
    assert report.macro["f1"] == pytest.approx((0.5 + 0 + 1) / 32)
    # backpack: no positive, 2 of 4 negatives right: (0 + 1/2) / 2; 28 others: (0 + 1) / 2
    assert report.macro["ma"] == pytest.approx((0.5 + 0.5 + 0.5 + 0.25 + 28 * 0.5) / 32)


def test_instance_based_by_hand() -> None:
    instance = scored().instance
    # truth and answer beside "adult": hat+red/hat+backpack, hat/backpack, –/–, –/hat
    assert instance["accuracy"] == pytest.approx((2 / 4 + 1 / 3 + 1 + 1 / 2) / 4)
    precision = (2 / 3 + 1 / 2 + 1 + 1 / 2) / 4
    recall = (2 / 3 + 1 / 2 + 1 + 1) / 4
    assert instance["precision"] == pytest.approx(precision)
    assert instance["recall"] == pytest.approx(recall)
    assert instance["f1"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_the_official_twelve_by_hand() -> None:
    labels = np.zeros((2, 32), bool)
    probabilities = np.zeros((2, 32), np.float32)
    for name in ("adult", "upmulticolor", "downblue"):
        labels[:, MARKET1501_ATTRIBUTES.index(name)] = True
    probabilities[:, MARKET1501_ATTRIBUTES.index("adult")] = 0.2
    probabilities[:, MARKET1501_ATTRIBUTES.index("upmulticolor")] = 0.3
    probabilities[0, MARKET1501_ATTRIBUTES.index("upgreen")] = 0.1
    probabilities[1, MARKET1501_ATTRIBUTES.index("upgreen")] = 0.4
    probabilities[0, MARKET1501_ATTRIBUTES.index("downblue")] = 0.1
    probabilities[1, MARKET1501_ATTRIBUTES.index("downmulticolor")] = 0.9
    probabilities[1, MARKET1501_ATTRIBUTES.index("downblue")] = 0.8
    probabilities[1, HAT] = 0.7
    report = evaluated(probabilities, labels, np.array([1, 2]), FIXED, resamples=0)
    # first crop: all but the top, which has no colour; second: also the hat is wrong
    assert report.official12 == pytest.approx((11 / 12 + 10 / 12) / 2)
    # multicolor as a class: first all right; second: top (green), bottom (multicolor), hat wrong
    assert report.official12_multicolor == pytest.approx((12 / 12 + 9 / 12) / 2)


def test_distractors_and_junk_are_left_out() -> None:
    probabilities, labels, persons = hand_case()
    noise = np.ones((2, 32), np.float32)
    report = evaluated(
        np.concatenate([probabilities, noise]),
        np.concatenate([labels, np.zeros((2, 32), bool)]),
        np.concatenate([persons, [0, -1]]),
        FIXED,
        resamples=0,
    )
    assert report == scored()


def random_case(seed: int, crops: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probabilities = generator.random((crops, 32)).round(2).astype(np.float32)
    labels = generator.random((crops, 32)) < generator.random(32)
    return probabilities, labels, generator.integers(1, 9, crops)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_label_based_figures_agree_with_scikit_learn(seed: int) -> None:
    probabilities, labels, persons = random_case(seed)
    report = evaluated(probabilities, labels, persons, FIXED, resamples=0)
    answers = probabilities >= 0.5
    for i, name in enumerate(MARKET1501_ATTRIBUTES.names):
        truth, answer = labels[:, i], answers[:, i]
        figures = report.per_attribute[name]
        assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(truth, answer))
        expected = {
            "precision": metrics.precision_score(truth, answer, zero_division=0),
            "recall": metrics.recall_score(truth, answer, zero_division=0),
            "f1": metrics.f1_score(truth, answer, zero_division=0),
            "ma": metrics.balanced_accuracy_score(truth, answer),
        }
        for score, value in expected.items():
            if name in report.undefined:
                assert figures[score] is None
            else:
                assert figures[score] == pytest.approx(value)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_the_crops_does_not_matter(seed: int) -> None:
    probabilities, labels, persons = random_case(seed)
    order = np.random.default_rng(seed + 1).permutation(len(persons))
    straight = evaluated(probabilities, labels, persons, resamples=20)
    shuffled = evaluated(probabilities[order], labels[order], persons[order], resamples=20)
    assert straight.per_attribute == shuffled.per_attribute
    assert straight.instance == pytest.approx(shuffled.instance)
    for name, interval in straight.intervals.items():
        assert shuffled.intervals[name] == pytest.approx(interval)


def test_perfect_answers_score_one() -> None:
    _, labels, persons = random_case(3)
    report = evaluated(labels.astype(np.float32), labels, persons, FIXED, resamples=0)
    for name in ("precision", "recall", "f1", "ma", "accuracy"):
        assert report.defined[name] == 1


def test_intervals_resample_persons() -> None:
    """Repeating every crop of a person must not make the intervals narrower."""
    probabilities, labels, persons = random_case(5)
    once = evaluated(probabilities, labels, persons, resamples=300)
    tenfold = evaluated(
        *(np.repeat(a, 10, axis=0) for a in (probabilities, labels, persons)),
        resamples=300,
    )
    assert set(once.intervals) == set(tenfold.intervals)
    for name, (low, high) in once.intervals.items():
        assert tenfold.intervals[name] == pytest.approx((low, high))
    low, high = once.intervals["macro.f1"]
    assert low < once.macro["f1"] < high


def test_losing_an_attribute_in_a_sample_does_not_lower_it() -> None:
    """One of 30 persons has a hat and everything is right: the interval is all 1, not below."""
    labels = np.zeros((30, 32), bool)
    labels[0, HAT] = labels[::2, UPRED] = True
    report = evaluated(labels.astype(np.float32), labels, np.arange(1, 31), FIXED, resamples=200)
    assert report.macro["f1"] == pytest.approx(2 / 32)
    assert report.intervals["macro.f1"] == pytest.approx((2 / 32, 2 / 32))


def test_intervals_against_a_slow_bootstrap() -> None:
    probabilities, _, persons = random_case(7)
    labels = np.random.default_rng(8).random((60, 32)) < 0.5  # no sample loses an attribute
    report = evaluated(probabilities, labels, persons, FIXED, resamples=400)
    generator = np.random.default_rng(1)
    ids = np.unique(persons)
    figures = []
    for _ in range(400):
        rows = np.concatenate(
            [np.flatnonzero(persons == p) for p in generator.choice(ids, len(ids))]
        )
        sample = evaluated(probabilities[rows], labels[rows], persons[rows], FIXED, resamples=0)
        figures.append(sample.macro["f1"])
    expected = np.quantile(figures, [0.025, 0.975])
    assert report.intervals["macro.f1"] == pytest.approx(expected.tolist(), abs=0.01)


def test_the_json_names_both_averages_and_the_intervals() -> None:
    value = scored(resamples=50).to_dict()
    assert value["decision"] == "fixed"
    assert {"precision", "recall", "f1", "ma", "accuracy", "gain", "f1_ci"} <= set(value)
    assert {"f1", "f1_ci"} <= set(value["defined"])
    assert set(value["instance"]) >= {"accuracy", "precision", "recall", "f1", "f1_ci"}
    assert {"official12", "official12_ci", "undefined", "crops", "persons"} <= set(value)
    assert list(value["per_attribute"]) == list(MARKET1501_ATTRIBUTES.names)
    low, high = value["f1_ci"]
    assert 0 <= low <= high <= 1


def test_nothing_to_score() -> None:
    probabilities, labels, _ = hand_case()
    with pytest.raises(InputError, match="no crop of an annotated person to score"):
        evaluated(probabilities, labels, np.array([0, 0, -1, 0]))


def test_a_model_that_answers_nan() -> None:
    probabilities, labels, persons = hand_case()
    probabilities[1, 1] = np.nan
    with pytest.raises(InputError, match="answers NaN"):
        evaluated(probabilities, labels, persons)


OWN = Schema.of(["helmet", "vest", "gloves"])


def own(
    labels: list[list[float]],
    answers: list[list[int]],
    schema: Schema = OWN,
    **columns: list[str],
) -> Embeddings:
    paths = [f"{i}.jpg" for i in range(len(labels))]
    crops = Crops(paths, labels=np.array(labels, np.float32), schema=schema, **columns)
    vectors = np.ones((len(labels), 1), np.float32)
    return Embeddings(crops, vectors, np.array(answers, np.float32), schema, "m")


NAN = float("nan")
UNKNOWN_CASE = own(
    # helmet, vest; gloves are unknown throughout, the last crop altogether
    [[1, 1, NAN], [0, NAN, NAN], [NAN, 0, NAN], [1, 0, NAN], [NAN, NAN, NAN]],
    [[1, 0, 1], [1, 1, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]],
)


def test_unknown_labels_count_nowhere_by_hand() -> None:
    """helmet: 1 TP, 1 FP, 1 FN; vest: 1 FN, 1 FP, 1 TN."""
    report = evaluate_attributes(UNKNOWN_CASE, FIXED, resamples=0)
    assert (report.crops, report.persons) == (4, None)
    assert report.known == {"helmet": 3, "vest": 3, "gloves": 0}
    assert (report.unknown, report.undefined) == (("gloves",), ())
    helmet, vest, gloves = (report.per_attribute[name] for name in OWN.names)
    assert helmet == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "ma": 0.25,
        "accuracy": pytest.approx(1 / 3),
        "gain": pytest.approx(1 / 3 - 2 / 3),
        "positives": pytest.approx(2 / 3),
        "known": 3,
    }
    assert (vest["f1"], vest["ma"], vest["accuracy"]) == (0, 0.25, pytest.approx(1 / 3))
    assert gloves == {**dict.fromkeys(helmet), "known": 0}
    # gloves are in no average
    assert report.macro["f1"] == report.defined["f1"] == 0.25
    assert report.macro["accuracy"] == pytest.approx(1 / 3)
    # of the first four crops: {h v} / {h}, {} / {h}, {} / {v}, {h} / {}
    assert report.instance["accuracy"] == (1 / 2 + 0 + 0 + 0) / 4
    assert report.instance["precision"] == 1 / 4
    assert report.instance["recall"] == (1 / 2) / 4
    assert (report.official12, report.official12_multicolor) == (None, None)


def test_the_json_of_other_attributes() -> None:
    report = evaluate_attributes(UNKNOWN_CASE, FIXED, resamples=10)
    value = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (value["persons"], value["crops"]) == (None, 4)
    assert value["known"] == {"helmet": 3, "vest": 3, "gloves": 0}
    assert value["unknown"] == ["gloves"]
    assert value["per_attribute"]["gloves"]["f1"] is None
    assert not [name for name in value if name.startswith("official")]
    assert not [name for name in report.intervals if name.startswith("official")]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_unknown_labels_against_scikit_learn(seed: int) -> None:
    probabilities, labels, persons = random_case(seed)
    labels = labels.astype(np.float32)
    labels[np.random.default_rng(seed).random(labels.shape) < 0.4] = np.nan
    report = evaluated(probabilities, labels, persons, FIXED, resamples=0)
    for i, name in enumerate(MARKET1501_ATTRIBUTES.names):
        known = ~np.isnan(labels[:, i])
        truth, answer = labels[known, i] == 1, probabilities[known, i] >= 0.5
        assert report.known[name] == known.sum()
        figures = report.per_attribute[name]
        assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(truth, answer))
        if name not in report.undefined:
            expected = metrics.f1_score(truth, answer, zero_division=0)
            assert figures["f1"] == pytest.approx(expected)
    # a crop whose labels are unknown changes nothing
    more = evaluated(
        np.concatenate([probabilities, np.ones((1, 32), np.float32)]),
        np.concatenate([labels, np.full((1, 32), np.nan, np.float32)]),
        np.append(persons, 99),
        FIXED,
        resamples=0,
    )
    assert more == report


def test_without_persons_crops_are_resampled() -> None:
    """As if each crop showed a person of its own."""
    probabilities, labels, persons = random_case(9)
    alone = np.arange(1, len(persons) + 1)
    expected = evaluated(probabilities, labels, alone, resamples=50)
    crops = Crops([f"{i}.jpg" for i in range(60)], labels=labels, schema=MARKET1501_ATTRIBUTES)
    embeddings = Embeddings(
        crops, np.ones((60, 1), np.float32), probabilities, MARKET1501_ATTRIBUTES, "test"
    )
    found = evaluate_attributes(embeddings, resamples=50)
    assert replace(found, persons=60) == expected
    assert found.persons is None


def test_crops_of_unknown_persons_beside_known_ones() -> None:
    labels, answers = [[1.0, 0, 1], [0, 1, 0], [1, 1, 0]], [[1, 0, 0], [0, 1, 1], [1, 0, 0]]
    whole = evaluate_attributes(own(labels, answers), FIXED, resamples=0)
    mixed = own(labels, answers, person=["a", "", "a"])
    found = evaluate_attributes(mixed, FIXED, resamples=0)
    assert replace(found, persons=None) == whole
    assert found.persons == 1


def test_losing_the_known_labels_in_a_sample_does_not_lower_it() -> None:
    """Of 30 persons one is known to wear a helmet, and everything is right: accuracy stays 1."""
    labels = np.full((30, 3), NAN)
    labels[0, 0] = 1
    labels[:, 1] = np.arange(30) % 2
    case = own(labels.tolist(), np.nan_to_num(labels).tolist())
    report = evaluate_attributes(case, FIXED, resamples=200)
    assert report.macro["accuracy"] == 1
    assert report.intervals["macro.accuracy"] == (1, 1)
    assert report.macro["f1"] == 1


def test_many_crops_are_resampled_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate_attributes(UNKNOWN_CASE, FIXED, resamples=50)
    monkeypatch.setattr(bootstrap, "_BLOCK_VALUES", 28)
    blocks = evaluate_attributes(UNKNOWN_CASE, FIXED, resamples=50)
    assert set(blocks.intervals) == set(whole.intervals)
    for name, found in whole.intervals.items():
        assert blocks.intervals[name] == pytest.approx(found)


def test_a_mean_label_of_a_track_counts_from_one_half_on() -> None:
    means = own([[0.5, 0.49, 1]] * 2, [[1, 0, 1], [0, 1, 1]])
    assert evaluate_attributes(means, FIXED, resamples=0) == evaluate_attributes(
        own([[1, 0, 1]] * 2, [[1, 0, 1], [0, 1, 1]]), FIXED, resamples=0
    )


def test_the_official_twelve_need_every_label() -> None:
    probabilities, labels, persons = hand_case()
    assert evaluated(probabilities, labels, persons, resamples=0).official12 is not None
    unknown = labels.astype(np.float32)
    unknown[0, HAT] = np.nan
    assert evaluated(probabilities, unknown, persons, resamples=0).official12 is None


def test_what_other_attributes_cannot_be_scored() -> None:
    case = own([[1, 0, 1]], [[1, 0, 1]])
    other = case.crops.replace(schema=Schema.of(["hat", "bag", "skirt"]))
    with pytest.raises(InputError, match="other attributes than the model's: map them"):
        evaluate_attributes(replace(case, crops=other))
    with pytest.raises(InputError, match="no attribute annotations to score against"):
        evaluate_attributes(replace(case, crops=case.crops.without_labels()))
    with pytest.raises(InputError, match="no crop of an annotated person"):
        evaluate_attributes(own([[NAN] * 3], [[1, 0, 1]]))
    with pytest.raises(InputError, match="not trained on attributes"):
        evaluate_attributes(replace(case, attributes=None, schema=None))
