"""What is in memory is what is in the table, whoever changes it."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_rows import add, hash_of

from passerby.calibration import AnswerRule
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery, free_memory, memory
from passerby.gallery import gallery as gallery_module
from passerby.gallery.erasing import erase
from passerby.gallery.known_hashes import KnownHashes
from passerby.gallery.memory import DoesNotFitError, VectorMemory
from passerby.gallery.searching import Query, search
from passerby.gallery.store import Store
from passerby.gallery.summary import Summary
from passerby.gallery.table_schema import hash_filter, vectors_of
from passerby.gallery.vector_blocks import KINDS
from passerby.inference import RuntimeModel

HALF = pytest.param(
    "half", marks=pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")
)
precisions = pytest.mark.parametrize("precision", ["single", HALF])


@pytest.fixture
def store(model: RuntimeModel, tmp_path: Path) -> Store:
    return Gallery.create(tmp_path / "gallery", model, images="paths")._store


def query(number: int, size: int) -> np.ndarray:
    vector = np.random.default_rng((number, 1)).standard_normal(size).astype(np.float32)
    return vector / np.linalg.norm(vector)


def check(held: VectorMemory, store: Store, where: str | None = None) -> None:
    """Compare the nearest seven rows with those that NumPy finds in the table."""
    wanted = store.query(["hash", "embedding"], where)
    table = store.read(wanted)
    hashes = np.array(table.column("hash").to_pylist(), "U64")
    queries = np.stack([query(number, store.settings.embedding_size) for number in range(3)])
    for vector, near in zip(queries, held.top(queries, 7, where), strict=True):
        away = np.sqrt(((vectors_of(table).astype(float) - vector) ** 2).sum(axis=1))
        order = np.lexsort((hashes, away))[:7]
        assert list(near.hashes) == hashes[order].tolist()
        np.testing.assert_allclose(near.distances, away[order], atol=1e-12)
        assert near.searched == len(table)
    assert len(held) == store.count()


OPERATIONS = ["add", "add", "erase", "delete", "compact", "restore", "update", "look", "look"]


@precisions
@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    operations=st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=10),
    seed=st.integers(0, 9),
)
def test_in_step_with_another_process(
    precision: str,
    operations: list[str],
    seed: int,
    model: RuntimeModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    where = tmp_path_factory.mktemp("step") / "gallery"
    other = Gallery.create(where, model, images="paths")._store
    add(other, range(20))
    ours = Store.open(str(where))
    held = VectorMemory(ours, precision)
    generator = np.random.default_rng(seed)
    added = 20
    for operation in operations:
        some = [hash_of(n) for n in generator.choice(added, 4, replace=False).tolist()]
        if operation == "add":
            count = int(generator.integers(1, 30))
            add(other, range(added, added + count))
            added += count
        elif operation == "erase":
            erase(other, hash_filter(some))
        elif operation == "delete":
            other.crops.delete(hash_filter(some[:1]))
        elif operation == "compact":
            with other.committing():
                other.compact()
        elif operation == "restore":
            versions = [entry["version"] for entry in other.crops.list_versions()]
            other.crops.restore(int(generator.choice(versions)))
        elif operation == "update":
            other.crops.update(where=hash_filter(some), values_sql={"camera": "'2'"})
        else:
            check(held, ours)
            check(held, ours, "camera = '2'")
    check(held, ours)
    check(held, ours, "camera = '2'")
    held.close()


@precisions
def test_what_is_erased_leaves_memory(precision: str, gallery: Gallery) -> None:
    assert gallery.load(precision)
    held = gallery._memory
    assert held is not None
    store = gallery._store
    person = store.read(store.query(["person"])).column("person").to_pylist()[0]
    where = gallery.filter_of(person=person)
    gone = store.read(store.query(["hash", "embedding"], where))
    traces = [bytes.fromhex(value) for value in gone.column("hash").to_pylist()]
    if precision == "single":
        traces += [vector.tobytes() for vector in vectors_of(gone)]
    else:
        traces += [vector.astype(np.float16).tobytes() for vector in vectors_of(gone)]

    def in_memory() -> bytes:
        content = b""
        for part in held._parts:
            block = part.block
            values = block._vectors if precision == "single" else block._held()
            content += values.tobytes() + part.hashes.tobytes()
        return content

    assert all(trace in in_memory() for trace in traces)
    gallery.info()
    assert Summary.of(store).now()["persons"]
    KnownHashes.of(store).refresh()
    shown = held.shown(held._parts[0].ids_in_use[:5].tolist())
    assert held._rows == shown
    gallery.erase(where)
    assert not any(trace in in_memory() for trace in traces)
    assert len(held) == len(gallery)
    assert held._rows == {}
    assert store.followers == {}


def test_what_does_not_fit_is_searched_in_the_table(
    gallery: Gallery, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_crops([toy_data / "train"]).paths[0]
    expected = gallery.search([first], rule=AnswerRule("top_k", 5))
    assert not gallery.load("single", 1000)
    assert gallery.search([first], rule=AnswerRule("top_k", 5)) == expected
    # room for what is there, but not for more
    held = VectorMemory(gallery._store, "single")
    needed = sum(part.bytes for part in held._parts)
    assert gallery.load("single", needed)
    add(gallery._store, range(3))
    assert len(gallery.search(where="camera != 77", rule=AnswerRule("top_k", 500)).answers) == 147
    answers = gallery.search([first], rule=AnswerRule("top_k", 500)).answers
    assert len(answers) == len(gallery) - 1
    assert gallery._memory is None
    assert not gallery.load("single", 0)
    with pytest.raises(DoesNotFitError):
        VectorMemory(gallery._store, "single", needed)


def test_a_process_that_searches_often_loads(
    gallery: Gallery, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a clock that goes on by a second a look, each search of the table takes one.

    The fourth loads.
    """
    monkeypatch.setattr(gallery_module, "loading_seconds", lambda store: 2.5)
    ticks = iter(range(100))
    monkeypatch.setattr(gallery_module.time, "perf_counter", lambda: next(ticks))
    first = find_crops([toy_data / "train"]).paths[0]
    rule = AnswerRule("top_k", 5)
    expected = gallery.search([first], rule=rule)
    for loaded in (False, False, True):
        assert gallery.search([first], rule=rule).answers == expected.answers
        assert (gallery._memory is not None) == loaded


@precisions
def test_rows_that_go_while_they_are_found(
    precision: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search in memory whose nearest row is erased before it is read finds the others."""
    add(store, range(30))
    held = VectorMemory(store, precision)
    asked = Query(query(0, store.settings.embedding_size), None)
    rule = AnswerRule("top_k", 5)
    expected = [a.hash for a in search(store, asked, rule=AnswerRule("top_k", 6)).answers]
    other, took, erased = Store.open(store.where), store.take, []

    def take(ids: list[int], columns: list[str]) -> object:
        if not erased:
            erased.append(erase(other, hash_filter(expected[:1])))
        return took(ids, columns)

    monkeypatch.setattr(store, "take", take)
    found = search(store, asked, rule=rule, memory=held)
    assert [answer.hash for answer in found.answers] == expected[1:]
    # what is remembered of rows is not shown of those that have gone
    erase(other, hash_filter(expected[1:2]))
    found = search(store, asked, rule=rule, memory=held)
    assert expected[1] not in [answer.hash for answer in found.answers]
    assert not any(row["hash"] in expected[:2] for row in held._rows.values())


@precisions
def test_a_version_that_is_cleaned_up_while_it_is_searched(
    precision: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its filter reads, or exact vectors, may be gone after the look at the table."""
    add(store, range(30))
    held = VectorMemory(store, precision)
    other, look, erased = Store.open(store.where), held._catch_up, []

    def then_erase(asked: float) -> None:
        look(asked)
        if not erased:
            erased.append(erase(other, hash_filter([hash_of(0), hash_of(3)])))

    monkeypatch.setattr(held, "_catch_up", then_erase)
    asked = query(0, store.settings.embedding_size)[None]
    # that very search may find them still, but not what is no longer there to be read
    (near,) = held.top(asked, 30, "camera = '0'")
    assert 8 <= len(near) <= 10
    check(held, other, "camera = '0'")


def test_few_rows_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SHOWN", 3)
    add(store, range(9))
    held = VectorMemory(store)
    near = held.top(query(0, store.settings.embedding_size)[None], 9)[0]
    for _ in range(2):
        found = held.shown(near.ids.tolist())
        assert [found[row]["hash"] for row in near.ids.tolist()] == list(near.hashes)
        assert len(held._rows) == 3


@pytest.mark.parametrize("versions", [0, 3])
def test_another_gallery_in_its_place(versions: int, model: RuntimeModel, tmp_path: Path) -> None:
    """Its version may be that of the one before, its rows have the same ids."""
    where = tmp_path / "gallery"
    store = Gallery.create(where, model, images="paths")._store
    add(store, range(12))
    held, known, summary = VectorMemory(store), KnownHashes(store), Summary(store)
    assert known.among([hash_of(0), hash_of(50)]) == {hash_of(0)}
    assert summary.now()["rows"] == len(held) == 12
    asked = Query(query(0, store.settings.embedding_size), None)
    before = search(store, asked, rule=AnswerRule("top_k", 3), memory=held)
    shutil.rmtree(where)
    new = Gallery.create(where, model, images="paths")._store
    add(new, range(50, 62))
    for number in range(versions):
        add(new, range(62 + number, 63 + number))
    assert (new.position()[0] == 2) == (versions == 0)
    check(held, new)
    after = search(store, asked, rule=AnswerRule("top_k", 3), memory=held)
    theirs = {hash_of(number) for number in range(50, 70)}
    assert {answer.hash for answer in after.answers} <= theirs
    assert not {answer.hash for answer in before.answers} & theirs
    assert known.among([hash_of(0), hash_of(50)]) == {hash_of(50)}
    assert summary.now()["rows"] == 12 + versions


@pytest.mark.parametrize("case", ["deleted", "branched"])
def test_a_table_that_is_set_back_to_as_many_rows(case: str, store: Store) -> None:
    """In which the rows at the end are new, and their number is that of before."""
    add(store, range(10))
    held, known, summary = VectorMemory(store), KnownHashes(store), Summary(store)
    if case == "deleted":
        back = store.position()[0]
        store.crops.delete(hash_filter([hash_of(3)]))
        add(store, range(10, 11))
    else:
        first = store.position()[0]
        add(store, range(10, 12))
        back = store.position()[0]
        store.crops.restore(first)
        add(store, range(20, 22))
    for follower in (held, known, summary):
        follower.refresh()
    store.crops.restore(back)
    check(held, store)
    there = [number for number in range(30) if known.among([hash_of(number)])]
    assert there == list(range(10 if case == "deleted" else 12))
    assert summary.now()["rows"] == len(there)


@precisions
def test_nothing_is_taken_that_does_not_fit(
    precision: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half precision would touch all of it at once."""
    add(store, range(9))
    made: list[int] = []

    class Noted(KINDS[precision]):  # type: ignore[misc]
        def __init__(self, capacity: int, size: int) -> None:
            made.append(capacity)
            super().__init__(capacity, size)

    monkeypatch.setitem(KINDS, precision, Noted)
    with pytest.raises(DoesNotFitError):
        VectorMemory(store, precision, 100)
    assert made == []
    VectorMemory(store, precision)
    assert made == [9]


def test_strange_precisions(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="`precision` is 'double': choose from single, half"):
        gallery.load("double")
    assert gallery.load()
    assert gallery.load("single")
    first = gallery._memory
    assert gallery.load("single")
    assert gallery._memory is first
    assert not gallery.load("single", 1000)
    monkeypatch.setattr("passerby.gallery.vector_blocks.find_spec", lambda name: None)
    with pytest.raises(InputError, match="Half precision needs faiss: install the extra `memory`"):
        gallery.load("half")


def test_an_empty_gallery(store: Store) -> None:
    held = VectorMemory(store)
    asked = query(0, store.settings.embedding_size)
    assert len(held.top(asked[None], 5)[0]) == 0
    found, limit = held.within(asked[None], lambda rows: 1.0, 5)
    assert ([len(one) for one in found], limit) == ([0], None)
    add(store, range(3))
    assert len(held.top(asked[None], 5)[0]) == 3


def test_closed_memory_is_not_filled_again(store: Store) -> None:
    add(store, range(3))
    held = VectorMemory(store)
    held.close()
    with pytest.raises(DoesNotFitError):
        held.top(query(0, store.settings.embedding_size)[None], 1)
    assert len(held) == 0


def test_free_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Machine:
        available = 1000

    monkeypatch.setattr(free_memory.psutil, "virtual_memory", Machine)
    assert free_memory.free_bytes(tmp_path) == 1000
    (tmp_path / "memory.max").write_text("800\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 50\n")
    assert free_memory.free_bytes(tmp_path) == 150
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory.free_bytes(tmp_path) == 1000
    (tmp_path / "memory.max").write_text("500\n")
    assert free_memory.free_bytes(tmp_path) == 0
