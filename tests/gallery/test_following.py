import gc
import threading
import time
import weakref
from pathlib import Path

import pytest
from made_up_rows import add, hash_of

from passerby.errors import InputError
from passerby.gallery import Gallery, following
from passerby.gallery.erasing import erase
from passerby.gallery.following import look_if_idle
from passerby.gallery.known_hashes import KnownHashes
from passerby.gallery.memory import VectorMemory
from passerby.gallery.store import Store
from passerby.gallery.table_schema import hash_filter
from passerby.inference import RuntimeModel


@pytest.fixture
def store(model: RuntimeModel, tmp_path: Path) -> Store:
    return Gallery.create(tmp_path / "gallery", model, images="paths")._store


def test_what_others_erase_is_forgotten_while_nobody_asks(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "IDLE_SECONDS", 0.15)
    monkeypatch.setattr(following, "_watched", weakref.WeakSet())
    others = set(threading.enumerate())
    add(store, range(9))
    held, known = VectorMemory(store), KnownHashes(store)
    known.refresh()
    (watcher,) = (t for t in set(threading.enumerate()) - others if t._target is not None)
    erase(Store.open(store.where), hash_filter([hash_of(3)]))
    ends = time.monotonic() + 20
    while (len(held), len(known._beginnings)) == (9, 9) and time.monotonic() < ends:
        time.sleep(0.05)
    time.sleep(0.2)
    assert (len(held), len(known._beginnings)) == (8, 8)
    del held, known
    # that of adding
    store.followers.clear()
    gc.collect()
    watcher.join(20)
    assert not watcher.is_alive()


def test_only_the_idle_look(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, range(3))
    held = VectorMemory(store)
    add(store, range(3, 5))
    look_if_idle(held)
    assert len(held) == 3
    monkeypatch.setattr(following, "IDLE_SECONDS", 0)
    look_if_idle(held)
    assert len(held) == 5


def test_what_cannot_be_looked_at_is_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the vectors of a gallery that was embedded again, by another model."""
    add(store, range(3))
    held = VectorMemory(store)
    monkeypatch.setattr(following, "IDLE_SECONDS", 0)

    def refuse() -> None:
        raise InputError("it was embedded again")

    monkeypatch.setattr(store, "check_current", refuse)
    monkeypatch.setattr(store, "position", lambda: (7, b"another"))
    look_if_idle(held)
    assert len(held) == 0
    with pytest.raises(InputError, match="embedded again"):
        held.refresh()


def test_what_half_is_learned_of_is_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, range(3))
    held = VectorMemory(store)
    add(store, range(3, 5))

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(held, "_append", fail)
    with pytest.raises(MemoryError):
        held.refresh()
    assert len(held) == 0
    monkeypatch.undo()
    held.refresh()
    assert len(held) == 5


def test_one_for_each_gallery_that_is_open(store: Store) -> None:
    assert KnownHashes.of(store) is KnownHashes.of(store)
    assert KnownHashes.of(store) is not KnownHashes.of(Store.open(store.where))


def test_those_that_wait_share_a_look(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, range(3))
    known = KnownHashes(store)
    known.refresh()
    looks = []
    position = store.position
    monkeypatch.setattr(store, "position", lambda: looks.append(1) or position())
    with known._looking:
        threads = [threading.Thread(target=known.among, args=([hash_of(1)],)) for _ in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
    for thread in threads:
        thread.join()
    assert len(looks) == 1
    # what comes later looks itself
    known.refresh()
    assert len(looks) == 2
