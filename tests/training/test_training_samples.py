import numpy as np

from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.training.pseudo_labels import NOBODY, PseudoLabels
from passerby.training.training_samples import TrainingSamples

LABELS = np.random.default_rng(0).random((3, len(MARKET1501_ATTRIBUTES))) < 0.5
CROPS = Crops(
    ("a", "b", "c"),
    person=["0007", "0003", "0007"],
    labels=LABELS,
    schema=MARKET1501_ATTRIBUTES,
)
OTHERS = Crops("vwxyz")
FOUND = PseudoLabels(
    persons=np.array([1, NOBODY, 0, 1, NOBODY]),
    vectors=np.eye(2, dtype=np.float32),
    attributes=np.random.default_rng(1).random((2, len(MARKET1501_ATTRIBUTES)), np.float32),
)


def test_annotated_crops_teach_what_is_annotated() -> None:
    samples = TrainingSamples.of(CROPS)
    assert samples.persons.tolist() == [1, 0, 1]
    assert samples.person_count == 2
    np.testing.assert_array_equal(samples.attributes, LABELS)


def test_crops_whose_person_is_not_known_show_nobody() -> None:
    samples = TrainingSamples.of(Crops("abc", person=["7", "", "7"]))
    assert samples.persons.tolist() == [0, NOBODY, 0]
    assert samples.person_count == 1
    nobody = TrainingSamples.of(OTHERS)
    assert nobody.persons.tolist() == [NOBODY] * 5
    assert nobody.person_count == 0


def test_each_crop_belongs_to_its_dataset() -> None:
    samples = TrainingSamples.of(Crops("abc", person=["7", "8", "7"], dataset=["y", "x", "y"]))
    assert samples.set_names == ("x", "y")
    assert samples.sets.tolist() == [1, 0, 1]


def test_one_name_in_two_datasets_is_two_persons() -> None:
    crops = Crops("abc", person=["7", "7", "7"], dataset=["x", "y", "x"])
    assert TrainingSamples.of(crops).persons.tolist() == [0, 1, 0]


def test_each_crop_found_teaches_about_its_own_person() -> None:
    samples = TrainingSamples.of(CROPS).with_others(OTHERS, FOUND)
    assert [path.name for path in samples.crops.paths] == ["a", "b", "c", "v", "x", "y"]
    assert samples.persons.tolist() == [1, 0, 1, 3, 2, 3]
    assert (len(samples), samples.person_count) == (6, 4)
    np.testing.assert_array_equal(samples.attributes[:3], LABELS)
    np.testing.assert_array_equal(samples.attributes[3:], FOUND.attributes[[1, 0, 1]])


def test_without_annotation_attributes_are_not_taught() -> None:
    bare = CROPS.without_labels()
    assert TrainingSamples.of(bare).with_others(OTHERS, FOUND).attributes.shape == (6, 0)


def test_the_dataset_of_each_person() -> None:
    """Persons are numbered by dataset and name; nobody belongs to none."""
    crops = Crops(
        [f"{n}.jpg" for n in range(6)],
        person=["2", "1", "", "1", "2", "3"],
        dataset=["b", "a", "a", "b", "b", "a"],
    )
    samples = TrainingSamples.of(crops)
    names = [samples.set_names[place] for place in samples.person_sets]
    by_person = dict(zip(samples.persons.tolist(), crops.dataset.tolist(), strict=True))
    assert names == [by_person[person] for person in range(4)]
