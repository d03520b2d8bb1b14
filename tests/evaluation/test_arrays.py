import numpy as np
import pytest
from numbered import numbered

from passerby.data import Crops
from passerby.errors import InputError
from passerby.evaluation import EvaluationProtocol, evaluate, evaluate_arrays
from passerby.inference import Embeddings

PERSONS = ["alice", "bob", "alice", "bob", "", None]
"""At 0°, 90°, 10°, 60°; nobody at 5° and 89°."""
ANGLES = np.radians([0, 90, 10, 60, 5, 89])
VECTORS = 7 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
ASKING = np.array([True, True, False, False, False, False])


def test_by_hand() -> None:
    """Nearer than the right answer of each, 10° and 30° away, is one crop of nobody."""
    report = evaluate_arrays(VECTORS, PERSONS, queries=ASKING, resamples=0)
    assert (report.queries, report.persons, report.gallery) == (2, 2, 4)
    assert (report.metrics["top1"], report.metrics["top5"], report.metrics["map"]) == (0, 1, 0.5)
    assert (report.trials, report.across_cameras) == (None, None)


def test_across_cameras_by_hand() -> None:
    """Camera 1 saw all of Bob, so he does not count; Alice's other crop is of camera 2."""
    cameras = ["1", "1", "2", "1", "2", "2"]
    report = evaluate_arrays(
        VECTORS, PERSONS, cameras, queries=ASKING, protocol="market", resamples=0
    )
    assert (report.queries, report.skipped, report.cameras) == (1, 1, "cross")


@pytest.mark.parametrize("protocol", ["course", EvaluationProtocol("market", True, 3)])
def test_it_is_what_crops_give(protocol: EvaluationProtocol | str) -> None:
    generator = np.random.default_rng(0)
    persons = np.repeat(np.arange(1, 9), 5)
    cameras = generator.integers(1, 4, 40)
    vectors = generator.normal(size=(9, 6))[persons] + generator.normal(size=(40, 6))
    found = evaluate_arrays(vectors, persons, cameras, protocol=protocol, trials=3, resamples=20)
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    crops = Crops([f"{i}.jpg" for i in range(40)], **numbered(persons, cameras))
    expected = evaluate(Embeddings(crops, unit), protocol=protocol, trials=3, resamples=20)
    assert expected.retrieval is not None
    assert found.to_dict() == expected.retrieval.to_dict()


@pytest.mark.parametrize(
    "names",
    [
        [5, 6, 5, 6, None, None],
        np.array(["x", "y", "x", "y", "", ""]),
        np.array([5, 6, 5, 6, np.nan, None], object),
        (np.int32(5), "6", 5, 6, None, ""),
    ],
)
def test_any_sequence_of_names(names: list) -> None:
    report = evaluate_arrays(VECTORS, names, queries=ASKING, resamples=0)
    assert (report.persons, report.metrics["map"]) == (2, 0.5)


def test_arrays_of_other_libraries() -> None:
    torch = pytest.importorskip("torch")
    persons, queries = torch.tensor([5, 6, 5, 6, 7, 8]), torch.tensor(ASKING)
    report = evaluate_arrays(torch.tensor(VECTORS), persons, queries=queries, resamples=0)
    assert report.metrics["map"] == 0.5


def test_minus_one_and_zero_are_persons() -> None:
    names = [0, -1, 0, -1, None, None]
    assert evaluate_arrays(VECTORS, names, queries=ASKING, resamples=0).persons == 2


def test_lengths_do_not_matter() -> None:
    scaled = VECTORS * np.array([1e30, 1e-30, 1, 5, 2, 3])[:, None]
    report = evaluate_arrays(scaled, PERSONS, queries=ASKING, resamples=0)
    assert report.metrics["map"] == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": VECTORS[0]}, "`vectors` must be finite numbers, of shape"),
        ({"vectors": np.full((6, 2), np.inf)}, "`vectors` must be finite numbers"),
        ({"vectors": "vectors"}, "`vectors` must be finite numbers"),
        ({"persons": PERSONS[:5]}, "`persons` has 5 values for 6 vectors: give one each"),
        ({"persons": 5}, "`persons` has no values for 6 vectors"),
        ({"persons": [1.5] * 6}, "`persons` holds 1.5: give names or whole numbers"),
        ({"persons": [True] * 6}, "`persons` holds True"),
        ({"cameras": [1]}, "`cameras` has 1 values for 6 vectors"),
        ({"queries": [0, 1]}, "`queries` must be true or false for each of the 6 vectors"),
        ({"queries": ASKING[:3]}, "`queries` must be true or false for each of the 6 vectors"),
        ({"queries": np.zeros(6, bool)}, "`queries` must be true for some vectors and false for"),
        ({"queries": np.ones(6, bool)}, "`queries` must be true for some vectors and false for"),
        ({"protocol": "market"}, "needs `cameras`: give them"),
        ({"protocol": "cuhk"}, "no protocol 'cuhk'"),
        ({"persons": list("abcdef"), "queries": None}, "Nobody appears in two crops"),
        ({"persons": [None] * 6}, "no persons"),
        ({"persons": list("abcdef")}, "No query has a right answer"),
        ({"trials": 2}, "`trials` is 2, but queries and gallery are given"),
    ],
)
def test_what_does_not_fit(change: dict, message: str) -> None:
    given = {"vectors": VECTORS, "persons": PERSONS, "queries": ASKING, **change}
    with pytest.raises(InputError, match=message):
        evaluate_arrays(**given)
