import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.gallery.vector_blocks import KINDS, SingleBlock, VectorBlock, merge, usual_precision

SIZE = 24

kinds = pytest.mark.parametrize(
    "kind",
    [
        "single",
        pytest.param(
            "half",
            marks=pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed"),
        ),
    ],
)


def drawn(count: int, seed: int = 0, size: int = SIZE) -> np.ndarray:
    """Vectors of length 1, some of them the same."""
    vectors = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[count // 2 : count // 2 + count // 10] = vectors[: count // 10]
    return vectors


def filled(kind: str, vectors: np.ndarray) -> VectorBlock:
    block = KINDS[kind](len(vectors) + 7, vectors.shape[1])
    block.append(vectors[:100])
    block.append(vectors[100:])
    return block


def nearest(vectors: np.ndarray, query: np.ndarray, count: int, among: np.ndarray) -> set[int]:
    """The nearest rows by arithmetic in double precision, with all that are as near as the last."""
    away = ((vectors[among].astype(float) - query) ** 2).sum(axis=1)
    if not len(among):
        return set()
    last = np.sort(away)[: min(count, len(away))][-1]
    return set(among[away <= last].tolist())


@kinds
@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 1500),
    count=st.integers(1, 40),
    queries=st.integers(1, 12),
    share=st.sampled_from([None, 0.0, 0.02, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_no_neighbour_is_missed(
    kind: str, rows: int, count: int, queries: int, share: float | None, seed: int
) -> None:
    vectors = drawn(rows, seed)
    block = filled(kind, vectors)
    generator = np.random.default_rng(seed)
    asked = drawn(queries, seed + 1)
    asked[0] = vectors[seed % rows]
    among = None if share is None else np.flatnonzero(generator.random(rows) < share)
    everything = np.arange(rows) if among is None else among
    for query, (found, scores) in zip(asked, block.top(asked, count, among), strict=True):
        assert nearest(vectors, query, count, everything) <= set(found.tolist())
        assert set(found.tolist()) <= set(everything.tolist())
        np.testing.assert_allclose(scores, vectors[found] @ query, atol=2e-3)
    for score, most in ((0.3, rows), (-1.0, rows), (0.999, rows), (-1.0, count)):
        for query, (found, _) in zip(asked, block.above(asked, score, most, among), strict=True):
            cosines = vectors[everything].astype(float) @ query.astype(float)
            high = everything[cosines >= score]
            assert nearest(vectors, query, most, high) <= set(found.tolist())
            assert set(found.tolist()) <= set(everything.tolist())
            assert (vectors[found] @ query >= score - 2e-3).all()


@kinds
def test_little_is_found_in_vain(kind: str) -> None:
    vectors = drawn(20_000, size=64)
    block = filled(kind, vectors)
    for queries in (vectors[:1], vectors[:30]):
        assert all(20 <= len(rows) < 40 for rows, _ in block.top(queries, 20))
    assert all(20 <= len(rows) < 40 for rows, _ in block.above(vectors[:30], -1, 20))


@kinds
def test_rows_take_the_places_of_others(kind: str) -> None:
    """Of 0 1 2 3 4 5 the rows 1 and 4 go: 5 takes the place of 1, then 0 5 2 3 are left."""
    vectors = drawn(6)
    block = filled(kind, vectors)
    block.replace(np.array([2]), vectors[4:5])
    block.move(np.array([1]), np.array([5]), 4)
    assert len(block) == 4
    block.append(vectors[1:2])
    expected = vectors[[0, 5, 4, 3, 1]]
    for row, vector in enumerate(expected):
        (found,) = block.top(vector[None], 1)
        assert row in found[0]
    if kind == "single":
        np.testing.assert_array_equal(block.exact(np.arange(5)), expected.astype(float))


@kinds
def test_what_has_gone_leaves_memory(kind: str) -> None:
    """If faiss kept its codes elsewhere, `replace` and `move` would change nothing."""
    vectors = drawn(6)
    block = filled(kind, vectors)
    values = block._vectors if isinstance(block, SingleBlock) else block._held()  # type: ignore[attr-defined]
    np.testing.assert_allclose(values[:6].astype(float), vectors, atol=1e-3)
    block.move(np.array([], np.int64), np.array([], np.int64), 2)
    assert np.count_nonzero(values[2:6]) == 0
    assert np.count_nonzero(values[:2])


def test_parts_are_merged() -> None:
    parts = [
        (np.array([1, 2]), np.array([0.5, 0.9], np.float32)),
        (np.array([7, 8]), np.array([0.6, 0.5], np.float32)),
    ]
    rows, scores = merge(parts, 2)
    assert sorted(rows.tolist()) == [2, 7]
    assert sorted(scores.tolist()) == pytest.approx([0.6, 0.9])
    assert sorted(merge(parts, 3)[0].tolist()) == [1, 2, 7, 8]
    assert sorted(merge(parts, 2, 0.1)[0].tolist()) == [1, 2, 7, 8]
    assert len(merge([], 3)[0]) == 0


def test_half_precision_where_faiss_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passerby.gallery.vector_blocks.find_spec", lambda name: None)
    assert usual_precision(10**9) == "single"
    monkeypatch.setattr("passerby.gallery.vector_blocks.find_spec", lambda name: object())
    assert usual_precision(10**9) == "half"
    assert usual_precision(10**6) == "single"


@pytest.mark.skipif(
    None in (find_spec("faiss"), find_spec("torch")), reason="faiss or torch is not installed"
)
def test_half_precision_beside_libraries_that_teach_faiss_tensors() -> None:
    """Importing `faiss.contrib.torch_utils` changes all indices of the process for good."""
    program = (
        "import numpy as np; from passerby.gallery.vector_blocks import HalfBlock; "
        "block = HalfBlock(20, 4); block.append(np.eye(4, dtype=np.float32)); "
        "import faiss.contrib.torch_utils; "
        "block.append(-np.eye(4, dtype=np.float32)); query = np.eye(4, dtype=np.float32); "
        "among = np.arange(0, 8, 2); "
        "print([rows.tolist() for rows, _ in block.top(query[:2], 1)], "
        "block.above(query[2:3], 0.5, 9, among)[0][0].tolist(), "
        "[rows.tolist() for rows, _ in block.top(np.repeat(query, 3, 0), 1)][::3])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[[0], [1]] [2] [[0], [1], [2], [3]]"
