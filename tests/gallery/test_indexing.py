from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from passerby.calibration import AnswerRule
from passerby.errors import InputError
from passerby.gallery import Gallery, erasing, indexing
from passerby.gallery.adding import commit
from passerby.gallery.byte_scan import find_bytes
from passerby.gallery.indexing import index_of
from passerby.gallery.searching import Query, search
from passerby.inference import RuntimeModel

ROWS = 3000


def fill(gallery: Gallery, count: int, start: int = 0) -> np.ndarray:
    """Add rows in groups of ten that are near each other."""
    size = gallery.settings.embedding_size
    generator = np.random.default_rng(start)
    centres = np.repeat(generator.standard_normal((count // 10, size)), 10, axis=0)
    vectors = (centres + 0.5 * generator.standard_normal((count, size))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nothing = [None] * count
    known = {
        "hash": [generator.bytes(32).hex() for _ in range(count)],
        "path": nothing,
        "person": [str(start + number // 10) for number in range(count)],
        "camera": nothing,
        "time": nothing,
        "source": nothing,
        "added": [datetime.now(UTC)] * count,
        "thumbnail": [b"thumbnail of nobody"] * count,
    }
    attributes = np.full((count, len(gallery.settings.schema_)), 0.5, np.float32)
    commit(gallery._store, known, attributes, vectors)
    return vectors


def query(vector: np.ndarray, gallery: Gallery) -> Query:
    return Query(vector, np.full(len(gallery.settings.schema_), 0.5, np.float32))


@pytest.fixture
def large(model: RuntimeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    """So many rows that an index is built, which is kept even if it is slower."""
    monkeypatch.setattr(indexing, "LEAST_ROWS", 1000)
    monkeypatch.setattr(erasing, "LEAST_ROWS", 1000)
    monkeypatch.setattr(indexing, "_LEAST_SPEED", 0)
    return Gallery.create(tmp_path / "gallery", model)


def test_it_finds_what_exact_search_finds(large: Gallery) -> None:
    vectors = fill(large, ROWS)
    index = large.build_index()
    assert index is not None
    assert index.recall >= 0.99
    assert index == index_of(Gallery.open(large.where)._store), "the next process knows it"
    hits = []
    for vector in vectors[::200]:
        by_index = search(large._store, query(vector, large), rule=AnswerRule("top_k", 10))
        exact = search(large._store, query(vector, large), rule=AnswerRule("top_k", 10), exact=True)
        assert (by_index.exact, exact.exact) == (False, True)
        hits.append(len({a.hash for a in by_index.answers} & {a.hash for a in exact.answers}))
    assert np.mean(hits) >= 9.5


def test_newer_rows_are_found_and_ask_for_a_new_index(large: Gallery) -> None:
    fill(large, ROWS)
    large.build_index()
    assert not large.needs_new_index
    newer = fill(large, ROWS // 4, start=ROWS)
    assert large.needs_new_index
    answers = search(large._store, query(newer[0], large), rule=AnswerRule("top_k", 1)).answers
    assert answers[0].known["person"] == str(ROWS)
    assert answers[0].distance == pytest.approx(0, abs=1e-3)
    large.build_index()
    assert not large.needs_new_index


def test_an_index_keeps_no_copy_of_who_was_erased(large: Gallery) -> None:
    vectors = fill(large, ROWS)
    large.build_index()
    wanted = [vector.tobytes()[:24] for vector in vectors[:10]]
    assert set(find_bytes(Path(large.where), wanted)) == set(wanted)
    assert large.erase(large.filter_of(person="0")).rows == 10
    assert find_bytes(Path(large.where), wanted) == {}
    assert index_of(large._store) is not None, "built anew"


def test_an_index_that_does_not_pay_is_dropped(
    model: RuntimeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "LEAST_ROWS", 1000)
    monkeypatch.setattr(indexing, "_LEAST_SPEED", 1e9)
    gallery = Gallery.create(tmp_path / "gallery", model)
    fill(gallery, ROWS)
    assert gallery.build_index() is None
    assert index_of(gallery._store) is None
    assert list(gallery._store.crops.list_indices()) == []


def test_a_small_gallery(gallery: Gallery) -> None:
    with pytest.raises(InputError, match="holds 144 crops: an index pays from about 10,000 on"):
        gallery.build_index()
