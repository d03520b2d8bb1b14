import hashlib
from pathlib import Path

import numpy as np
import pytest

from passerby.data import Crops, Schema
from passerby.datasets import read_crops
from passerby.datasets.joining import Source
from passerby.errors import InputError
from passerby.training import Recipe, load_recipe
from passerby.training.split import Split

ATTRIBUTES_ALONE = ["loss.identity.weight=0", "loss.metric.kind=none", "instances_per_person=0"]


def recipe(held_out: int, calibration: int, seed: int, *values: str) -> Recipe:
    return load_recipe(
        "smoke",
        [
            f"data.held_out_persons={held_out}",
            f"data.calibration_persons={calibration}",
            f"data.seed={seed}",
            *values,
        ],
    )


HELD_OUT = {
    0: "b3b548f3aa950bd56478e0f31195d7533cb202206fccaa7304cb8e9d5ddbb6d1",
    1: "6ac6c96b5dec8ea3488c307efd98e31cc4f7a1ed32b3ad8f5e8d4f910a1d9e45",
    2: "7689d4644dd7208546fcd8544cf95eca0497b7a1736d79c503409f388ad027f2",
}
"""SHA-256 of the 151 persons' names, one a line, as commit aa480f9 held them out."""

CALIBRATION = {
    0: "d6dac0d73ff56848631f24b31df91978f7188fa3bd9c41acf45101036fdb64db",
    1: "6c2fbdb736758a2761102b52dc526493f34215b2bd8f386a287da721b996e35d",
    2: "800e39d053fc4202570df452566f380582a3faff14e42b4f3ceab57d83eeda8f",
}
"""The same of the 60 of the others that it kept for calibration."""

FIRST = {
    0: "0006 0011 0014 0022 0025 0033 0043 0046 0049 0057",
    1: "0005 0009 0018 0020 0029 0030 0043 0044 0072 0092",
    2: "0002 0007 0013 0043 0072 0073 0090 0098 0109 0112",
}

TOY_HELD_OUT = {
    0: "0003 0005 0011 0012 0019 0022",
    1: "0002 0008 0017 0018 0022 0024",
    2: "0008 0015 0017 0020 0021 0023",
}
TOY_CALIBRATION = {
    0: "0001 0004 0006 0015 0017",
    1: "0003 0013 0014 0015 0020",
    2: "0003 0007 0009 0012 0022",
}


def fingerprint(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


@pytest.mark.real_data
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_courses_persons_are_held_out_as_ever(real_data: Path, seed: int) -> None:
    split = Split.of(read_crops(real_data), recipe(151, 60, seed))
    assert split.held_out is not None
    assert split.calibration is not None
    held_out = split.held_out.persons["course"]
    assert " ".join(held_out[:10]) == FIRST[seed]
    assert fingerprint(held_out) == HELD_OUT[seed]
    assert fingerprint(split.calibration.persons["course"]) == CALIBRATION[seed]
    assert len(split.train) + len(split.held_out) + len(split.calibration) == 12989


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_toy_persons_are_held_out_as_ever(toy_data: Path, seed: int) -> None:
    split = Split.of(read_crops(toy_data), recipe(6, 5, seed))
    assert split.held_out is not None
    assert split.calibration is not None
    assert split.held_out.persons == {"course": tuple(TOY_HELD_OUT[seed].split())}
    assert split.calibration.persons == {"course": tuple(TOY_CALIBRATION[seed].split())}
    shown = [part.persons["course"] for part in (split.train, split.calibration, split.held_out)]
    assert sorted(name for names in shown for name in names) == list(
        read_crops(toy_data).persons["course"]
    )


def labelled(count: int, **columns: object) -> Crops:
    labels = np.random.default_rng(0).random((count, 2)) < 0.5
    names = [f"{row:03d}.jpg" for row in range(count)]
    return Crops(names, labels=labels, schema=Schema.of(["helmet", "vest"]), **columns)


def test_crops_without_persons_are_split_by_image() -> None:
    """Drawn with the same seed rule: the first of a permutation."""
    crops = labelled(40)
    split = Split.of(crops, recipe(10, 6, 3, *ATTRIBUTES_ALONE))
    chosen = sorted(np.random.default_rng(3).permutation(40)[:10].tolist())
    assert split.held_out is not None
    assert split.calibration is not None
    assert split.held_out.names == tuple(f"{row:03d}.jpg" for row in chosen)
    assert (len(split.train), len(split.calibration)) == (24, 6)
    parts = [split.train, split.calibration, split.held_out]
    assert sorted(name for part in parts for name in part.names) == list(crops.names)
    with pytest.raises(InputError, match="keeps 30 crops for evaluation and 10 .* there are 40"):
        Split.of(crops, recipe(30, 10, 3, *ATTRIBUTES_ALONE))


def test_crops_of_nobody_are_trained_on_beside_persons() -> None:
    person = ["a", "a", "b", "b", "c", "c", "", ""]
    split = Split.of(labelled(8, person=person), recipe(1, 0, 0, *ATTRIBUTES_ALONE))
    (chosen,) = np.random.default_rng(0).permutation(3)[:1].tolist()
    assert split.held_out is not None
    assert split.held_out.names == tuple(f"{2 * chosen + n:03d}.jpg" for n in (0, 1))
    assert split.train.names[-2:] == ("006.jpg", "007.jpg")


def test_crops_are_divided_where_nobody_is_known() -> None:
    split = Split.of(labelled(8), recipe(3, 0, 0, *ATTRIBUTES_ALONE))
    chosen = sorted(np.random.default_rng(0).permutation(8)[:3].tolist())
    assert split.held_out is not None
    assert split.held_out.names == tuple(f"{row:03d}.jpg" for row in chosen)


def test_each_dataset_is_divided_on_its_own() -> None:
    parts = [
        labelled(8, person=list("aabbccdd"), dataset=["x"] * 8),
        labelled(6, person=list("aabbcc"), dataset=["y"] * 6),
        labelled(4, dataset=["z"] * 4),
    ]
    sources = [
        Source(name, part.replace(paths=[f"{name}/{path}" for path in part.paths]))
        for name, part in zip("xyz", parts, strict=True)
    ]
    split = Split.of(sources, recipe(1, 0, 0))
    assert split.held_out is not None
    assert {name: len(people) for name, people in split.held_out.persons.items()} == {
        "x": 1,
        "y": 1,
    }
    assert (split.held_out.dataset == "z").sum() == 1
    assert len(split.train) + len(split.held_out) == 18
    entries = [{"path": name} for name in "xyz"]
    entries[0]["held_out_persons"] = 2
    entries[2]["held_out_persons"] = 0
    of_each = recipe(1, 0, 0).model_dump()
    of_each["data"]["sets"] = entries
    split = Split.of(sources, Recipe.model_validate(of_each))
    assert split.held_out is not None
    assert {name: len(people) for name, people in split.held_out.persons.items()} == {
        "x": 2,
        "y": 1,
    }
    assert not (split.held_out.dataset == "z").any()
    with pytest.raises(InputError, match=r"^y: the recipe keeps 3 persons for evaluation"):
        Split.of(sources, recipe(3, 0, 0))


@pytest.mark.parametrize(
    "values",
    [
        ["loss.metric.kind=none", "instances_per_person=0"],
        ["loss.identity.weight=0"],
        ["loss.identity.weight=0", "loss.metric.kind=none"],
    ],
)
def test_what_tells_persons_apart_needs_to_know_them_all(values: list[str]) -> None:
    crops = labelled(6, person=["a", "", "b", "c", "", "d"])
    # their attributes can be learned
    assert len(Split.of(crops, recipe(1, 0, 0, *values)).train) == 5
    crops = crops.without_labels()
    with pytest.raises(
        InputError, match=r"^2 of 6 crops have no person, 001\.jpg first, but the recipe tells per"
    ):
        Split.of(crops, recipe(1, 0, 0, *values))


def test_distractors_and_junk_are_left_out_of_training() -> None:
    crops = labelled(
        6,
        person=["a", "", "b", "b", "", "c"],
        role=["", "distractor", "", "", "junk", ""],
    )
    split = Split.of(crops, recipe(0, 0, 0))
    assert split.train.names == ("000.jpg", "002.jpg", "003.jpg", "005.jpg")
    alone = Split.of(crops, recipe(0, 0, 0, *ATTRIBUTES_ALONE))
    assert alone.train.names == split.train.names


def test_persons_of_two_datasets_are_different_persons() -> None:
    crops = labelled(4, person=["7"] * 4, dataset=["x", "y", "x", "y"])
    split = Split.of(crops, recipe(1, 0, 0))
    assert split.held_out is not None
    assert split.held_out.persons.keys() ^ split.train.persons.keys() == {"x", "y"}
