import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_rows import add, hash_of

from passerby.data import Crops
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.erasing import erase
from passerby.gallery.known_hashes import KnownHashes
from passerby.gallery.store import Store
from passerby.gallery.table_schema import hash_filter
from passerby.inference import RuntimeModel


@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(operations=st.lists(st.sampled_from(["add", "erase", "compact", "ask"]), max_size=8))
def test_as_the_table_has_them(
    operations: list[str], model: RuntimeModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    where = tmp_path_factory.mktemp("known") / "gallery"
    other = Gallery.create(where, model, images="paths")._store
    ours = Store.open(str(where))
    there: set[int] = set()
    added = 0

    def check() -> None:
        found = KnownHashes.of(ours).among([hash_of(n) for n in range(added + 3)])
        assert found == {hash_of(n) for n in there}

    for operation in operations:
        if operation == "add":
            add(other, range(added, added + 5))
            there |= set(range(added, added + 5))
            added += 5
        elif operation == "erase" and there:
            gone = sorted(there)[::3]
            erase(other, hash_filter([hash_of(n) for n in gone]))
            there -= set(gone)
        elif operation == "compact":
            with other.committing():
                other.compact()
        elif operation == "ask":
            check()
    check()


def test_hashes_that_begin_alike_are_told_apart(model: RuntimeModel, tmp_path: Path) -> None:
    store = Gallery.create(tmp_path / "gallery", model, images="paths")._store
    add(store, range(3))
    alike = hash_of(1)[:16] + "0" * 48
    assert KnownHashes.of(store).among([alike, hash_of(1)]) == {hash_of(1)}
    assert KnownHashes.of(store).among([]) == set()
    with pytest.raises(InputError, match="is not a hash"):
        KnownHashes.of(store).among([hash_of(1)[:16] + "x"])


def test_a_crop_that_is_erased_can_be_added_again(gallery: Gallery) -> None:
    row = gallery.rows(limit=1)[0]
    path = Path(row["path"])
    assert gallery.add_together([]) == []
    assert gallery.add(Crops([path])).rows == 0
    gallery.erase(gallery.filter_of(hashes=[row["hash"]]))
    assert gallery.add(Crops([path])).rows == 1
    assert gallery.add(Crops([path, path])).rows == 0
    assert gallery.count() == len({r["hash"] for r in gallery.rows(limit=1000)})
    assert hashlib.sha256(path.read_bytes()).hexdigest() == row["hash"]
