import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.inference import Embeddings
from passerby.ranking.reranking import Reranking, jaccard_neighbours
from passerby.training.pseudo_labels import NOBODY, PseudoLabels, clusters, means
from passerby.training.recipe import PseudoLabelSection


def people(persons: int, crops: int, spread: float, seed: int) -> NDArray[np.float32]:
    """Crops around a few persons, in the persons' order."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((persons, 1, 16))
    values = (values + spread * rng.standard_normal((persons, crops, 16))).reshape(-1, 16)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def as_embeddings(vectors: NDArray[np.float32]) -> Embeddings:
    crops = Crops(f"{i}.jpg" for i in range(len(vectors)))
    attributes = np.random.default_rng(0).random(
        (len(vectors), len(MARKET1501_ATTRIBUTES)), np.float32
    )
    return Embeddings(crops, vectors, attributes, MARKET1501_ATTRIBUTES)


def dbscan(distances: NDArray[np.float64], radius: float, crops: int) -> list[set[int]]:
    """Ester et al. 1996, one crop at a time: the clusters' cores and all that they reach."""
    near = [set(np.flatnonzero(row <= radius)) for row in distances]
    cores = {crop for crop, others in enumerate(near) if len(others) >= crops}
    found: list[set[int]] = []
    for core in sorted(cores):
        if any(core in cluster for cluster in found):
            continue
        cluster, waiting = set(), {core}
        while waiting:
            crop = waiting.pop()
            cluster.add(crop)
            if crop in cores:
                waiting |= near[crop] - cluster
        found.append(cluster)
    return found


def test_persons_far_apart_are_found() -> None:
    found = clusters(people(6, 40, 0.05, seed=0), radius=0.5, crops=4)
    assert found.tolist() == np.repeat(np.arange(6), 40).tolist()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.floats(0.2, 0.8), st.integers(2, 6))
def test_clusters_against_a_slow_search(seed: int, radius: float, crops: int) -> None:
    """Full matrices of distances; a crop that two clusters reach may be in either."""
    vectors = people(5, 12, 0.5, seed)
    distances = np.full((60, 60), np.inf)
    for row, (near, values) in enumerate(jaccard_neighbours(vectors, radius, k1=30, k2=6)):
        distances[row, near] = values
    expected = dbscan(distances, radius, crops)
    found = clusters(vectors, radius, crops)
    assert len(expected) == found.max() + 1
    reached = set().union(*expected)
    assert {int(crop) for crop in np.flatnonzero(found == NOBODY)} == set(range(60)) - reached
    for number, cluster in enumerate(expected):
        others = set().union(*(c for n, c in enumerate(expected) if n != number))
        mine = {int(crop) for crop in np.flatnonzero(found == number)}
        assert cluster - others <= mine <= cluster


def test_neighbours_are_those_of_re_ranking() -> None:
    """With a share of 0 re-ranking gives the Jaccard distance alone."""
    vectors = people(4, 10, 0.6, seed=1)
    queries, gallery = vectors[:8], vectors[8:]
    whole = np.concatenate([block for _, block in Reranking(5, 3, 0.0).blocks(queries, gallery)])
    for row, (near, values) in enumerate(jaccard_neighbours(vectors, 0.9, k1=5, k2=3)):
        assert row in near
        assert (np.diff(near) > 0).all()
        if row < 8:
            np.testing.assert_allclose(whole[row, near[near >= 8] - 8], values[near >= 8])
            assert (whole[row] <= 0.9).sum() == (near >= 8).sum()


def test_means_by_hand() -> None:
    values = np.array([[1, 2], [3, 4], [5, 9], [7, 7]], np.float32)
    persons = np.array([1, 0, 1, NOBODY])
    assert means(values, persons).tolist() == [[3, 4], [3, 5.5]]
    assert means(values, np.full(4, NOBODY)).shape == (0, 2)


def test_attributes_are_what_all_crops_show_together() -> None:
    seen = as_embeddings(people(3, 20, 0.05, seed=2))
    found = PseudoLabels.of(seen, PseudoLabelSection())
    assert found.crops == 60
    for person in range(3):
        own = slice(20 * person, 20 * person + 20)
        np.testing.assert_allclose(
            found.attributes[person], seen.attributes[own].mean(axis=0), rtol=1e-5
        )
        middle = seen.vectors[own].mean(axis=0)
        np.testing.assert_allclose(
            found.vectors[person], middle / np.linalg.norm(middle), rtol=1e-4, atol=1e-6
        )
    again = PseudoLabels.from_tensors(found.tensors)
    assert all(
        np.array_equal(getattr(again, name), getattr(found, name))
        for name in ("persons", "vectors", "attributes")
    )


@pytest.mark.parametrize("values", [{"radius": 0}, {"radius": 1}, {"crops": 1}])
def test_settings_out_of_range(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="should be"):
        PseudoLabelSection(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("persons", "sentence"),
    [
        (
            [NOBODY] * 3,
            "None of 3 unlabelled crops are alike enough .* a larger pseudo_labels",
        ),
        ([0, 0, NOBODY], "2 of 3 unlabelled crops look like one and the same person: a smaller"),
        ([1, 0, 1], "3 of 3 unlabelled crops show 2 persons"),
    ],
)
def test_what_was_found_in_words(persons: list[int], sentence: str) -> None:
    count = max(persons) + 1
    nothing = np.zeros((count, 4), np.float32)
    assert re.match(sentence, PseudoLabels(np.array(persons), nothing, nothing).summary)
