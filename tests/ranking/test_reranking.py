import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.ranking.reranking import Reranking


def reference(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    k1: int = 20,
    k2: int = 6,
    share: float = 0.3,
) -> NDArray[np.float64]:
    """Zhong et al. 2017, one crop and one neighbour at a time, with full matrices."""
    crops = np.concatenate([queries, gallery]).astype(np.float64)
    count = len(crops)
    original = np.array([[((a - b) ** 2).sum() for b in crops] for a in crops])
    original /= np.maximum(original.max(axis=1, keepdims=True), 1e-30)
    order = np.argsort(original, axis=1, kind="stable")

    def reciprocal(crop: int, k: int) -> set[int]:
        return {int(c) for c in order[crop, : k + 1] if crop in order[c, : k + 1]}

    encoded = np.zeros((count, count))
    for crop in range(count):
        own = reciprocal(crop, k1)
        wider = set(own)
        for neighbour in own:
            theirs = reciprocal(neighbour, int(np.around(k1 / 2)))
            if len(theirs & own) > 2 / 3 * len(theirs):
                wider |= theirs
        for neighbour in wider:
            encoded[crop, neighbour] = np.exp(-original[crop, neighbour])
        encoded[crop] /= encoded[crop].sum()
    averaged = np.array([encoded[order[crop, :k2]].mean(axis=0) for crop in range(count)])
    result = np.zeros((len(queries), len(gallery)))
    for q in range(len(queries)):
        for g in range(len(gallery)):
            a, b = averaged[q], averaged[len(queries) + g]
            jaccard = 1 - np.minimum(a, b).sum() / np.maximum(a, b).sum()
            result[q, g] = (1 - share) * jaccard + share * original[q, len(queries) + g]
    return result


def reranked(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    ignored: NDArray[np.bool_] | None = None,
    **settings: float,
) -> NDArray[np.float32]:
    blocks = list(Reranking(**settings).blocks(queries, gallery, ignored))  # type: ignore[arg-type]
    assert [start for start, _ in blocks] == [0, *np.cumsum([len(b) for _, b in blocks[:-1]])]
    return np.concatenate([block for _, block in blocks])


def people(
    count: int, crops: int, seed: int, spread: float = 0.7
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Crops around a few persons, the first of each as a query."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((count, 1, 8))
    values = middles + spread * rng.standard_normal((count, crops, 8))
    values = (values / np.linalg.norm(values, axis=2, keepdims=True)).astype(np.float32)
    return values[:, 0], values[:, 1:].reshape(-1, 8)


def test_a_case_by_hand() -> None:
    """On a line, queries at 0 and gallery at 1, 4 and 5; k1 = k2 = 1.

    Of two nearest each: 0 → {0, 1}, 1 → {1, 0}, 4 → {4, 5}, 5 → {5, 4}, all reciprocal; around(½)
    = 0, so nothing is added. The query's row is a pair of weights, 1 to exp(−1/25); the row of the
    gallery's 1 is exp(−1/16) to 1, those of 4 and 5 have nothing in common with it.
    """
    queries, gallery = np.array([[0.0]], np.float32), np.array([[1], [4], [5]], np.float32)
    own = np.array([1, np.exp(-1 / 25)]) / (1 + np.exp(-1 / 25))
    other = np.array([np.exp(-1 / 16), 1]) / (1 + np.exp(-1 / 16))
    jaccard = 1 - np.minimum(own, other).sum() / np.maximum(own, other).sum()
    expected = [[0.7 * jaccard + 0.3 / 25, 0.7 + 0.3 * 16 / 25, 1]]
    np.testing.assert_allclose(reranked(queries, gallery, k1=1, k2=1), expected, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(2, 12),
    st.sampled_from([(20, 6), (5, 2), (3, 1), (1, 1), (2, 30)]),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(0, 1000),
)
def test_it_is_the_reference(
    count: int, crops: int, k: tuple[int, int], share: float, seed: int
) -> None:
    queries, gallery = people(count, crops, seed)
    k1, k2 = k
    k1, k2 = min(k1, len(queries) + len(gallery) - 1), min(k2, len(queries) + len(gallery))
    found = reranked(queries, gallery, k1=k1, k2=k2, share=share)
    expected = reference(queries, gallery, k1, k2, share)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_many_crops_and_several_blocks() -> None:
    queries, gallery = people(60, 12, seed=3)
    np.testing.assert_allclose(reranked(queries, gallery), reference(queries, gallery), atol=2e-5)


def test_neighbours_reach_further_than_there_are_crops() -> None:
    queries, gallery = people(2, 3, seed=0)
    np.testing.assert_allclose(
        reranked(queries, gallery, k1=50, k2=50), reference(queries, gallery, 50, 50), atol=2e-5
    )


def test_ignored_crops_are_not_there() -> None:
    queries, gallery = people(5, 6, seed=1)
    ignored = np.random.default_rng(0).random(len(gallery)) < 0.3
    found = reranked(queries, gallery, ignored)
    assert np.isinf(found[:, ignored]).all()
    np.testing.assert_array_equal(found[:, ~ignored], reranked(queries, gallery[~ignored]))


def test_equal_crops() -> None:
    same = np.full((4, 3), 0.5, np.float32)
    np.testing.assert_allclose(reranked(same[:1], same[1:]), np.zeros((1, 3)), atol=1e-6)


def test_it_finds_more_of_a_spread_person() -> None:
    queries, gallery = people(40, 10, seed=5, spread=0.75)
    owner = np.repeat(np.arange(40), 9)
    plain = ((queries[:, None] - gallery) ** 2).sum(axis=2)

    def first_nine(distances: NDArray[np.floating]) -> float:
        nearest = np.argsort(distances, axis=1)[:, :9]
        return float((owner[nearest] == np.arange(40)[:, None]).mean())

    assert first_nine(reranked(queries, gallery)) > first_nine(plain) + 0.03


@pytest.mark.parametrize("values", [{"k1": 0}, {"k2": 0}, {"share": 1.5}, {"share": float("nan")}])
def test_what_cannot_be(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"choose at least 1 for both|choose from 0 to 1"):
        Reranking(**values)  # type: ignore[arg-type]
