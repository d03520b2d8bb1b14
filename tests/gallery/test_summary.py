from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from passerby.gallery import Gallery
from passerby.gallery.adding import commit
from passerby.gallery.erasing import erase
from passerby.gallery.store import Store
from passerby.gallery.summary import Summary
from passerby.gallery.table_schema import hash_filter
from passerby.inference import RuntimeModel


def hash_of(number: int) -> str:
    return f"{(number * 2654435761) % 2**64:016x}" * 4


def add(store: Store, numbers: range) -> None:
    count, size = len(numbers), store.settings.embedding_size
    known = {
        "hash": [hash_of(n) for n in numbers],
        "camera": [["north", "south", None][n % 3] for n in numbers],
        "person": [None if n % 4 == 0 else str(n % 5) for n in numbers],
        "dataset": [["a", "b"][n % 2] for n in numbers],
        "time": [datetime(2026, 11, 1 + n % 9, tzinfo=UTC) if n % 2 else None for n in numbers],
        "added": [datetime(2026, 11, 20, n % 24, tzinfo=UTC) for n in numbers],
    }
    attributes = np.full((count, len(store.settings.schema_)), 0.5, np.float32)
    commit(store, known, attributes, np.full((count, size), size**-0.5, np.float32))


def expected(numbers: list[int]) -> dict[str, object]:
    cameras = Counter(["north", "south", ""][n % 3] for n in numbers)
    persons = {(n % 5, n % 2) for n in numbers if n % 4}
    days = [1 + n % 9 for n in numbers if n % 2]
    return {
        "rows": len(numbers),
        "cameras": dict(cameras),
        "persons": len(persons),
        "taken": [f"2026-11-{day:02d}T00:00:00+00:00" for day in (min(days), max(days))],
    }


def told(summary: Summary) -> dict[str, object]:
    found = summary.now()
    return {name: found[name] for name in ("rows", "cameras", "persons", "taken")}


@pytest.fixture
def store(model: RuntimeModel, tmp_path: Path) -> Store:
    return Gallery.create(tmp_path / "gallery", model, images="paths")._store


def test_in_step_with_another_process(store: Store) -> None:
    other = Store.open(store.where)
    summary = Summary(store)
    assert summary.now()["rows"] == 0
    assert summary.now()["taken"] is None
    add(other, range(7))
    assert told(summary) == expected(list(range(7)))
    add(other, range(7, 20))
    assert told(summary) == expected(list(range(20)))
    erase(other, hash_filter([hash_of(n) for n in (3, 5)]))
    left = [n for n in range(20) if n not in (3, 5)]
    assert told(summary) == expected(left)
    # as many added as erased
    erase(other, hash_filter([hash_of(7)]))
    add(other, range(20, 21))
    left = [n for n in [*left, 20] if n != 7]
    assert told(summary) == expected(left)
    with other.committing():
        other.compact()
    assert told(summary) == expected(left)


def test_only_what_was_added_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, range(12))
    summary = Summary(store)
    summary.now()
    asked: list[Sequence[str]] = []
    query = Store.query

    def noted(self: Store, names: Sequence[str], where: str | None = None) -> object:
        if "camera" in names:
            asked.append(names)
        return query(self, names, where)

    monkeypatch.setattr(Store, "query", noted)
    assert told(summary) == expected(list(range(12)))
    add(store, range(12, 14))
    assert told(summary) == expected(list(range(14)))
    assert asked == []


def test_a_table_that_was_set_back(store: Store) -> None:
    add(store, range(6))
    before = store.position()[0]
    add(store, range(6, 9))
    summary = Summary(store)
    assert summary.now()["rows"] == 9
    store.crops.restore(before)
    assert told(summary) == expected(list(range(6)))
