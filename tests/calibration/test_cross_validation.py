from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numbered import numbered, numbers

from passerby.calibration.cross_validation import (
    calibrate_by_folds,
    check_fold,
    measure_calibration_by_folds,
)
from passerby.calibration.fitting import pair_distances
from passerby.calibration.strangers import draw_persons, strangers
from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.evaluation.thresholds import choose_decision_by_folds, thresholds_of_others
from passerby.inference import Decision, Embeddings, ModelInfo, Preprocessing, RuntimeModel
from passerby.inference.leakage import SeenFiles
from passerby.inference.model_info import Provenance
from passerby.ranking import Distance

EUCLIDEAN = Distance(features="embedding", metric="euclidean")


def fold(seed: int, persons: int = 10, scale: float = 1.0, labelled: bool = True) -> Embeddings:
    """Persons of its own with three crops each; attributes are right when above 0.3, not 0.5."""
    generator = np.random.default_rng(seed)
    owner = np.repeat(np.arange(1, persons + 1), 3)
    labels = (generator.random((persons + 1, 32)) < 0.4)[owner]
    attributes = np.where(labels, 0.4, 0.1) + 0.05 * generator.random(labels.shape)
    vectors = scale * generator.normal(size=(persons + 1, 4))[owner]
    crops = Crops(
        paths=tuple(Path(f"{seed}-{i}.jpg") for i in range(len(owner))),
        **numbered(100 * seed + owner),
        labels=labels if labelled else None,
        schema=MARKET1501_ATTRIBUTES if labelled else None,
    )
    vectors = (vectors + generator.normal(size=vectors.shape)).astype(np.float32)
    return Embeddings(crops, vectors, attributes.astype(np.float32), MARKET1501_ATTRIBUTES, "m")


def info(**training: object) -> ModelInfo:
    recipe = {"name": "x", "epochs": 3, "model": {"weights": "w"}, "data": {"seed": 0}}
    return ModelInfo(
        name="x",
        schema=MARKET1501_ATTRIBUTES,
        embedding_size=4,
        preprocessing=Preprocessing(height=8, width=8, mean=(0, 0, 0), std=(1, 1, 1)),
        architecture={},
        training=Provenance.model_validate({"recipe": recipe, **training}),
    )


def test_a_person_of_two_folds_is_one_person() -> None:
    folds = [fold(1), fold(1, persons=6)]
    found = measure_calibration_by_folds(folds, EUCLIDEAN)
    assert found.persons == 10
    assert found.crops_per_person == 2


def test_curves_count_the_pairs_within_every_fold() -> None:
    folds = [fold(1), fold(2, persons=6, scale=3.0)]
    found = measure_calibration_by_folds(folds, EUCLIDEAN)
    assert found.persons == 16
    assert found.crops_per_person == 2
    same, different = [], []
    for part in folds:
        for a, b in combinations(range(len(part)), 2):
            apart = np.linalg.norm(part.vectors[a] - part.vectors[b])
            alike = numbers(part.crops)[a] == numbers(part.crops)[b]
            (same if alike else different).append(apart)
    for limit, right, wrong in zip(found.distances, found.same, found.different, strict=True):
        assert right == pytest.approx(np.mean(np.array(same) <= limit + 1e-6), abs=0.011)
        assert wrong == pytest.approx(np.mean(np.array(different) <= limit + 1e-6), abs=0.011)


def test_each_dataset_counts_as_much() -> None:
    """The mean of the curves of two folds of one dataset and of one fold of another."""
    small, large, other = fold(1, persons=4), fold(2, persons=20), fold(3, persons=9, scale=3.0)
    other = replace(other, crops=other.crops.replace(dataset=["b"] * len(other)))
    found = measure_calibration_by_folds([small, large, other], EUCLIDEAN)
    assert found.persons == 33
    curves = []
    for folds in ([small, large], [other]):
        same, different = (
            np.sort(np.concatenate(part))
            for part in zip(*(pair_distances(one, EUCLIDEAN) for one in folds), strict=True)
        )
        curves.append((same, different))
    for limit, right, wrong in zip(found.distances, found.same, found.different, strict=True):
        assert right == pytest.approx(np.mean([np.mean(same <= limit) for same, _ in curves]))
        assert wrong == pytest.approx(np.mean([np.mean(diff <= limit) for _, diff in curves]))


def test_plain_distances_alone_the_best_first() -> None:
    found = calibrate_by_folds([fold(1, scale=9.0), fold(2, scale=9.0)], ("attributes",))
    assert {known.distance.name for known in found} == {
        "embedding normalized_euclidean",
        "logits normalized_euclidean",
        "logits euclidean",
        "attributes euclidean",
    }
    assert all(known.distance.kind == "plain" for known in found)
    assert calibrate_by_folds([fold(1)], ("identity",))[0].distance.features == "embedding"


def test_thresholds_that_hold_on_the_other_folds() -> None:
    decision = choose_decision_by_folds([fold(1), fold(2), fold(3)])
    assert decision.rule == "thresholds"
    assert decision.thresholds is not None
    assert all(0.15 < value < 0.4 for value in decision.thresholds)


def test_thresholds_that_do_not_hold_are_not_taken() -> None:
    """What one model answers with 0.35 and 0.1, the other answers with 0.9 and 0.65."""
    folds = []
    for seed, yes, no in ((1, 0.35, 0.1), (2, 0.9, 0.65)):
        part = fold(seed)
        labels = np.array(part.crops.labels)
        for where in MARKET1501_ATTRIBUTES.groups.values():
            labels[:, where] = (
                np.arange(where.stop - where.start) == np.array(numbers(part.crops))[:, None] % 4
            )
        crops = part.crops.replace(labels=labels)
        attributes = np.where(labels, yes, no).astype(np.float32)
        folds.append(Embeddings(crops, part.vectors, attributes, MARKET1501_ATTRIBUTES, "m"))
    assert choose_decision_by_folds(folds) == Decision("group")
    again = replace(folds[0], crops=folds[0].crops.replace(person=folds[1].crops.person))
    assert choose_decision_by_folds([folds[0], again]).rule == "thresholds"


def test_thresholds_are_tried_on_persons_by_whom_they_were_not_chosen() -> None:
    """Persons 1 to 10 and 6 to 15, of whom 6 to 10 would change every threshold."""
    first, other = fold(0), fold(0)
    moved = replace(
        other, crops=other.crops.replace(**numbered(np.array(numbers(other.crops)) + 5))
    )
    shared = np.array(numbers(moved.crops)) <= 10
    misled = replace(moved, attributes=np.where(shared[:, None], 0.9, moved.attributes))
    assert thresholds_of_others([first, misled], 0) == thresholds_of_others([first, moved], 0)
    elsewhere = fold(3)
    assert thresholds_of_others([elsewhere, misled], 0) != thresholds_of_others(
        [elsewhere, moved], 0
    )


def test_folds_of_the_same_persons_cannot_try_thresholds() -> None:
    with pytest.raises(InputError, match="All folds held out the same persons"):
        choose_decision_by_folds([fold(1), fold(1)])


def test_one_fold_cannot_check_its_thresholds() -> None:
    with pytest.raises(InputError, match="One fold cannot tell whether its thresholds hold"):
        choose_decision_by_folds([fold(1)])


def test_folds_without_labels() -> None:
    with pytest.raises(InputError, match="no attribute annotations to choose by"):
        choose_decision_by_folds([fold(1), fold(2, labelled=False)])


def seen_model(trained_on: Crops, **training: object) -> RuntimeModel:
    """Of a model file what `check_fold` looks at."""
    seen = SeenFiles.of(training=trained_on)
    return cast(RuntimeModel, SimpleNamespace(info=info(**training), seen=seen))


def test_a_fold_is_of_the_same_recipe_and_data_and_held_someone_out(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(4)]
    for path in paths:
        path.write_bytes(path.name.encode())
    crops = Crops(paths, person=["1", "2", "3", "3"], dataset=["a"] * 4)
    model = info(held_out_persons={"a": ["9"], "b": ["1"]})
    good = {"held_out_persons": {"a": ["1", "2"]}}
    check_fold(seen_model(crops[2:], **good), model, [crops], "r")
    elsewhere = {"recipe": {"epochs": 3, "model": {"weights": "v"}, "data": {"seed": 5}}}
    check_fold(seen_model(crops[2:], **good, **elsewhere), model, [crops], "r")
    with pytest.raises(InputError, match="r was trained by another recipe"):
        check_fold(seen_model(crops[2:], **good, recipe={"epochs": 4}), model, [crops], "r")
    few = {**good, "recipe": {"epochs": 3, "data": {"balance": 0.5}, "model": {}}}
    with pytest.raises(InputError, match="r was trained by another recipe"):
        check_fold(seen_model(crops[2:], **few), model, [crops], "r")
    other = seen_model(crops[2:], **good)
    other.info = other.info.model_copy(update={"schema_": None})
    with pytest.raises(InputError, match="r answers other attributes, or embeddings of another"):
        check_fold(other, model, [crops], "r")
    with pytest.raises(InputError, match="r was trained on other data"):
        check_fold(seen_model(crops[:2], **good), model, [crops[2:]], "r")
    with pytest.raises(InputError, match="r was trained on everybody"):
        check_fold(seen_model(crops), model, [crops], "r")
    with pytest.raises(InputError, match="r and x held out some of the same persons"):
        check_fold(seen_model(crops[2:], held_out_persons={"a": ["1", "9"]}), model, [crops], "r")


def test_a_fold_may_have_left_a_dataset_out(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(4)]
    for path in paths:
        path.write_bytes(path.name.encode())
    learned = Crops(paths[:2], person=["1", "2"], dataset=["a"] * 2)
    left_out = Crops(paths[2:], person=["1", "2"], dataset=["b"] * 2)
    check_fold(seen_model(learned), info(), [learned, left_out], "r")
    with pytest.raises(InputError, match="r was trained on everybody"):
        check_fold(seen_model(learned), info(), [learned], "r")


def test_strangers_are_those_who_taught_nothing_and_set_no_threshold(tmp_path: Path) -> None:
    """Person 1 is known by another crop; the last crop's person is not known."""
    paths = [tmp_path / f"{number}.jpg" for number in range(6)]
    for path in paths:
        path.write_bytes(path.name.encode())
    crops = Crops(paths, person=["1", "1", "2", "3", "3", ""], dataset=["a"] * 6)
    seen = SeenFiles.of(training=crops[:1], calibration=crops[2:3])
    found = strangers(crops, seen)
    assert found is not None
    assert found.paths == crops.paths[3:5]
    learned = SeenFiles.of(training=crops[:1], calibration=crops[2:3], unlabelled=crops[3:4])
    assert strangers(crops, learned) is None
    assert strangers(crops[:3], seen) is None


def test_persons_are_drawn_whole_and_always_the_same() -> None:
    crops = fold(1, persons=30).crops
    drawn = draw_persons(crops, 7)
    assert drawn.person_count == 7
    assert len(drawn) == 21
    assert drawn.paths == draw_persons(crops, 7).paths
    assert draw_persons(crops, 30).paths == crops.paths


def test_persons_are_one_only_within_a_dataset() -> None:
    first, other = fold(1), fold(1, persons=6)
    elsewhere = replace(other, crops=other.crops.replace(dataset=["b"] * len(other)))
    assert measure_calibration_by_folds([first, elsewhere], EUCLIDEAN).persons == 16
    # they may try each other's thresholds
    assert thresholds_of_others([first, elsewhere], 0).rule == "thresholds"
    with pytest.raises(InputError, match="All folds held out the same persons"):
        thresholds_of_others([first, other], 0)
