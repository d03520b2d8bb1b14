from pathlib import Path

import numpy as np
import pytest

from passerby.data import Crops
from passerby.data.schema import Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Embeddings
from passerby.ranking import pairwise
from passerby.ranking.pairwise import check_comparable, closeness, to_distances


def people(count: int, *, model: str = "m", schema: Schema = MARKET1501_ATTRIBUTES) -> Embeddings:
    crops = Crops(paths=tuple(Path(f"{i}.jpg") for i in range(count)))
    return Embeddings(
        crops,
        np.ones((count, 2), np.float32),
        np.zeros((count, len(schema)), np.float32),
        schema,
        model,
    )


def vectors(seed: int, count: int, width: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9, 10, (count, width)).astype(np.float32)


def test_by_hand() -> None:
    (start, block), *rest = closeness(np.float32([[1, 2], [0, 0]]), np.float32([[4, 6], [1, 2]]))
    # 16 + 36 − 2 · (4 + 12) = 20, 1 + 4 − 2 · 5 = −5; for the second query |g|²
    assert (start, block.tolist(), rest) == (0, [[20, -5], [52, 5]], [])
    # 20 + 5 = 25, −5 + 5 = 0
    assert to_distances(block[0], np.float32([1, 2])).tolist() == [5, 0]


def test_rounding_never_makes_a_distance_imaginary() -> None:
    assert to_distances(np.float32([-5.000001]), np.float32([1, 2])).tolist() == [0]


@pytest.mark.parametrize("seed", range(40))
def test_blocks_of_any_size_say_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(seed)
    asked, offered = generator.integers(1, 9, 2).tolist()
    rows = int(generator.integers(1, 4))
    monkeypatch.setattr(pairwise, "_TILE_ROWS", rows)
    monkeypatch.setattr(pairwise, "_LEAST_ROWS", 1)
    monkeypatch.setattr(pairwise, "BLOCK_VALUES", int(generator.integers(1, 400)))
    queries, gallery = vectors(seed, asked), vectors(seed + 1, offered)
    found, next_start = [], 0
    for start, block in closeness(queries, gallery):
        assert start == next_start
        found.append(block.copy())
        next_start += len(block)
    assert next_start == asked
    slow = [[((q - g) ** 2).sum() ** 0.5 for g in gallery] for q in queries]
    pairs = zip(np.concatenate(found), queries, strict=True)
    assert [to_distances(row, q).tolist() for row, q in pairs] == pytest.approx(
        np.array(slow), abs=1e-6
    )


def test_no_gallery_left() -> None:
    """A gallery of nothing but junk: every query is seen, with nothing beside it."""
    found = list(closeness(vectors(0, 3), vectors(0, 0)))
    assert [(start, block.shape) for start, block in found] == [(0, (3, 0))]


def test_who_can_be_compared() -> None:
    check_comparable(people(1), people(2))
    with pytest.raises(InputError, match="There are no query crops: add some"):
        check_comparable(people(0), people(2))
    with pytest.raises(InputError, match="There are no gallery crops: add some"):
        check_comparable(people(1), people(0))
    with pytest.raises(InputError, match="queries were embedded with the model m….* n…"):
        check_comparable(people(1), people(1, model="n"))
    other = Schema.of([f"x{i}" for i in range(32)], "other")
    with pytest.raises(InputError, match="different attributes: embed both"):
        check_comparable(people(1), people(1, schema=other))


def test_equal_crops_are_equally_near(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    for width in (32, 128, 512):
        queries = generator.normal(size=(9, width)).astype(np.float32)
        crop = generator.normal(size=width).astype(np.float32)
        for count in (37, 1001):
            gallery = np.tile(crop, (count, 1))
            for size in (1, 16_000_000):
                monkeypatch.setattr(pairwise, "BLOCK_VALUES", size)
                for _, block in closeness(queries, gallery):
                    assert (block == block[:, :1]).all()


def test_only_equal_crops_share_values() -> None:
    generator = np.random.default_rng(0)
    gallery = generator.normal(size=(50, 16)).astype(np.float32)
    gallery[[7, 31, 49]] = gallery[3]
    gallery[20] = gallery[11]
    queries = generator.normal(size=(4, 16)).astype(np.float32)
    ((_, found),) = closeness(queries, gallery)
    expected = (gallery.astype(float) ** 2).sum(axis=1) - 2 * queries.astype(float) @ gallery.T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert len(np.unique(found[0])) == 50 - 4


def test_schemas_are_compared_by_content() -> None:
    again = Schema(MARKET1501_ATTRIBUTES.attributes, name="of another name")
    check_comparable(people(1), people(1, schema=again))
    without = Embeddings(people(1).crops, np.ones((1, 2), np.float32), model="m")
    check_comparable(without, without)
    for pair in ((without, people(1)), (people(1), without)):
        with pytest.raises(InputError, match="have different attributes: embed both"):
            check_comparable(*pair)
