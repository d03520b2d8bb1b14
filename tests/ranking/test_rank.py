import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.calibration import AnswerRule, find_answer_sets
from passerby.data import Crops
from passerby.data.schema import Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Embeddings
from passerby.ranking import Distance, Ranking, pairwise, rank

EUCLIDEAN = Distance(features="embedding", metric="euclidean")

NUMBERS = itertools.count()
"""Every crop is a file of its own; a file is not an answer to itself."""


def people(
    vectors: np.ndarray, *, model: str = "m", schema: Schema = MARKET1501_ATTRIBUTES
) -> Embeddings:
    count = len(vectors)
    return Embeddings(
        Crops(paths=tuple(Path(f"{next(NUMBERS)}.jpg") for _ in range(count))),
        vectors.astype(np.float32),
        np.zeros((count, len(schema)), np.float32),
        schema,
        model,
    )


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers in a small box, so that many distances are equal and all sums exact."""
    generator = np.random.default_rng(seed)
    width = generator.integers(1, 4)
    sizes = generator.integers(1, 6), generator.integers(1, 25)
    queries, gallery = (generator.integers(-2, 3, (size, width)) for size in sizes)
    return queries, gallery


def slow(
    queries: np.ndarray, gallery: np.ndarray, top_k: int | None = None, within: float | None = None
) -> list[tuple[list[int], list[float]]]:
    found = []
    for query in queries:
        apart = np.array([np.sqrt(float(((query - other) ** 2).sum())) for other in gallery])
        rows = np.argsort(apart, kind="stable")
        if within is not None:
            rows = rows[apart[rows] <= within]
        rows = rows[:top_k]
        found.append((rows.tolist(), apart[rows].astype(np.float32).tolist()))
    return found


def list_few(ranking: Ranking) -> list[tuple[list[int], list[float]]]:
    return [(rows.tolist(), distances.tolist()) for rows, distances in ranking]


def test_by_hand() -> None:
    """Two queries at 0 and 10, a gallery at 3, 1, 9, 1 on a line: row 1 before its equal, row 3."""
    ranking = rank(
        people(np.array([[0], [10]])), people(np.array([[3], [1], [9], [1]])), EUCLIDEAN, top_k=3
    )
    assert list_few(ranking) == [([1, 3, 0], [1, 1, 3]), ([2, 0, 1], [1, 7, 9])]
    assert [len(ranking.queries), len(ranking.gallery)] == [2, 4]


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 100_000),
    st.none() | st.integers(1, 30),
    st.none() | st.sampled_from([-1.0, 0.0, 1.0, 2.0, 2.5, 100.0]),
)
def test_against_a_stable_sort(seed: int, top_k: int | None, within: float | None) -> None:
    queries, gallery = random_case(seed)
    found = rank(people(queries), people(gallery), EUCLIDEAN, top_k=top_k, within=within)
    assert list_few(found) == slow(queries, gallery, top_k, within)


def test_the_block_size_has_no_influence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairwise, "_TILE_ROWS", 1)
    monkeypatch.setattr(pairwise, "_LEAST_ROWS", 1)
    for seed in range(30):
        queries, gallery = random_case(seed)
        expected = slow(queries, gallery)
        for size in (1, 128, 256):
            monkeypatch.setattr(pairwise, "BLOCK_VALUES", size)
            assert list_few(rank(people(queries), people(gallery), EUCLIDEAN)) == expected


def test_progress_ends_with_all_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(pairwise, "BLOCK_VALUES", 8)
    monkeypatch.setattr(pairwise, "_TILE_ROWS", 2)
    monkeypatch.setattr(pairwise, "_LEAST_ROWS", 1)
    rank(
        people(np.zeros((5, 1))),
        people(np.zeros((4, 1))),
        EUCLIDEAN,
        progress=lambda done, everything: seen.append((done, everything)),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_nothing_near_enough_is_an_empty_answer() -> None:
    assert list_few(
        rank(people(np.zeros((2, 1))), people(np.ones((3, 1))), EUCLIDEAN, within=0.5)
    ) == [
        ([], []),
        ([], []),
    ]


def test_what_cannot_be_ranked() -> None:
    one, none = people(np.ones((1, 2))), people(np.ones((0, 2)))
    with pytest.raises(InputError, match="no query crops"):
        rank(none, one, EUCLIDEAN)
    with pytest.raises(InputError, match="no gallery crops"):
        rank(one, none, EUCLIDEAN)
    with pytest.raises(InputError, match="embed both with one model"):
        rank(one, people(np.ones((1, 2)), model="other"), EUCLIDEAN)
    other = Schema.of([f"x{i}" for i in range(32)], "other")
    with pytest.raises(InputError, match="different attributes: embed both"):
        rank(one, people(np.ones((1, 2)), schema=other), EUCLIDEAN)
    with pytest.raises(InputError, match="Some embeddings are not numbers"):
        rank(one, people(np.full((1, 2), np.nan)), EUCLIDEAN)
    for top in (0, -3):
        with pytest.raises(InputError, match=f"nearest {top} crops .* ask for at least 1"):
            rank(one, one, EUCLIDEAN, top_k=top)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_too_large_to_square() -> None:
    crops = people(np.array([[1e25, 1], [1e25, 2]]))
    with pytest.raises(InputError):
        rank(crops, crops, EUCLIDEAN)


@pytest.mark.parametrize(
    ("rule", "threshold", "expected"),
    [
        (AnswerRule("top_k", 2), None, [0, 1]),
        (AnswerRule("threshold", 2.0), 2.0, [0, 1, 2]),
        (AnswerRule("beta", 2.0), 0.5, []),
        (AnswerRule("gap"), None, [0, 1, 2]),
    ],
)
def test_answer_sets(rule: AnswerRule, threshold: float | None, expected: list[int]) -> None:
    """A gallery 1, 1, 2 and 9 away: the largest gap is before the last."""
    gallery = people(np.array([[1], [1], [2], [9]]))
    found = find_answer_sets(people(np.zeros((1, 1))), gallery, EUCLIDEAN, rule, threshold)
    assert found[0][0].tolist() == expected


def test_a_file_is_no_answer_to_itself_however_it_is_named() -> None:
    gallery = people(np.array([[0.0], [1.0], [2.0]]))
    queries = replace(
        gallery,
        crops=Crops(tuple(path.absolute() for path in gallery.crops.paths)),
    )
    rows = [found.tolist() for found, _ in rank(queries, gallery, EUCLIDEAN)]
    assert rows == [[1, 2], [0, 2], [1, 0]]


def embedded(crops: Crops, places: list[float]) -> Embeddings:
    return Embeddings(crops, np.array(places, np.float32)[:, None], model="m")


def answers(queries: Embeddings, gallery: Embeddings) -> list[list[int]]:
    return [rows.tolist() for rows, _ in rank(queries, gallery, EUCLIDEAN)]


def test_two_people_of_one_frame_are_two_crops() -> None:
    boxes = [(0, 0, 10, 20), (30, 0, 10, 20)]
    frame = embedded(Crops(["frame.jpg"] * 2, box=boxes), [0, 1])
    assert answers(frame, frame) == [[1], [0]]


def test_a_crop_that_is_twice_in_the_gallery_is_no_answer_to_itself_either() -> None:
    gallery = embedded(Crops(["a.jpg", "b.jpg", "a.jpg"]), [0, 1, 0])
    assert answers(embedded(Crops(["a.jpg"]), [0]), gallery) == [[1]]


def test_images_in_memory_are_told_by_their_pixels_not_by_their_names() -> None:
    images = [np.zeros((4, 2, 3), np.uint8) for _ in range(3)]
    names = ["image 0", "image 1"]
    queries = embedded(Crops(names, images=images[:2]), [0, 5])
    gallery = embedded(Crops(names, images=images[1:]), [5, 1])
    assert answers(queries, gallery) == [[1, 0], [1]]
    assert answers(queries, embedded(Crops(names), [0, 5])) == [[0, 1], [1, 0]]
