import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.data import Crops
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.adding import commit
from passerby.gallery.byte_scan import find_bytes
from passerby.gallery.erasing import traces_of
from passerby.gallery.table_schema import EMBEDDING
from passerby.inference import RuntimeModel


def traces(gallery: Gallery, where: str) -> list[bytes]:
    columns = ["hash", "thumbnail", EMBEDDING]
    query = gallery._store.crops.search().where(where).select(columns).limit(1000)
    return traces_of(query.to_arrow())


def test_no_byte_of_a_person_is_left(gallery: Gallery) -> None:
    where = gallery.filter_of(person="0003")
    wanted = traces(gallery, where)
    folder = Path(gallery.where)
    assert len(wanted) == 3 * 6
    # the proof can fail: all is found before
    assert set(find_bytes(folder, wanted)) == set(wanted)

    before = len(gallery)
    erased = gallery.erase(where, reason="asked for")
    assert (erased.rows, erased.scanned, erased.twins) == (6, True, ())
    assert len(gallery) == before - 6
    assert find_bytes(folder, wanted) == {}
    for path in folder.rglob("*"):
        if path.is_file():
            assert not any(trace in path.read_bytes() for trace in wanted)
    assert gallery.count(where) == 0
    entry = gallery.audit()[-1]
    assert (entry.operation, entry.rows, entry.reason) == ("forget", 6, "asked for")


def test_one_row_of_a_large_file(gallery: Gallery) -> None:
    """Compaction leaves a file alone of which less than a tenth is deleted: ours does not."""
    gallery._store.crops.optimize()
    assert gallery._store.crops.stats()["fragment_stats"]["num_fragments"] == 1
    value = gallery.rows()[0]["hash"]
    where = gallery.filter_of(hashes=[value])
    wanted = traces(gallery, where)
    rest = {row["hash"]: row for row in gallery.rows(limit=1000) if row["hash"] != value}
    gallery.erase(where)
    assert find_bytes(Path(gallery.where), wanted) == {}
    assert {row["hash"]: row for row in gallery.rows(limit=1000)} == rest


def test_by_photo_description_and_age(gallery: Gallery, toy_data: Path) -> None:
    crop = find_crops([toy_data / "train"]).paths[0]
    assert gallery.count(gallery.filter_of(images=[crop])) == 1
    assert gallery.erase(gallery.filter_of(images=[crop])).rows == 1
    assert gallery.erase(gallery.filter_of(images=[crop])).rows == 0
    cameras = gallery.count("camera = '2'")
    assert gallery.erase(gallery.filter_of(where="camera = 2")).rows == cameras


def test_whom_to_erase_is_said_in_one_way(gallery: Gallery) -> None:
    for nothing_or_two in ({}, {"person": "0003", "where": "camera = 2"}):
        with pytest.raises(InputError, match="in one way"):
            gallery.filter_of(**nothing_or_two)
    with pytest.raises(InputError, match="is not a hash of a crop"):
        gallery.filter_of(hashes=["' OR true --"])
    with pytest.raises(InputError, match="`dataset` says whose `person` is meant"):
        gallery.filter_of(where="camera = 2", dataset="market1501")


def test_another_file_of_the_same_picture_is_named(
    gallery: Gallery, toy_data: Path, tmp_path: Path
) -> None:
    crop = find_crops([toy_data / "train"]).paths[0]
    twin = tmp_path / "twin.jpg"
    # bytes after the end of the image: another hash, the same pixels
    twin.write_bytes(crop.read_bytes() + b"more")
    (added,) = gallery.add(Crops([twin])).hashes
    erased = gallery.erase(gallery.filter_of(images=[crop]))
    assert (erased.rows, erased.twins) == (1, (added,))
    assert gallery.erase(gallery.filter_of(hashes=[added])).twins == ()


def test_leftovers_of_a_crashed_writer_go_too(gallery: Gallery) -> None:
    """A writer that is killed before it commits leaves a data file that no version names."""
    where = gallery.filter_of(person="0003")
    wanted = traces(gallery, where)
    data = Path(gallery.where) / "crops.lance" / "data"
    shutil.copy(next(data.iterdir()), data / "0101010001.lance")
    gallery.erase(where)
    assert find_bytes(Path(gallery.where), wanted) == {}


def test_what_cannot_be_erased_is_said(gallery: Gallery) -> None:
    where = gallery.filter_of(person="0003")
    kept = Path(gallery.where) / "backup"
    shutil.copytree(Path(gallery.where) / "crops.lance", kept)
    with pytest.raises(InputError, match=r"backup.* still holds bytes of them"):
        gallery.erase(where)
    assert gallery.count(where) == 0


def test_all_crops(gallery: Gallery, toy_data: Path) -> None:
    everybody = gallery.filter_of(where="camera != nobody or camera = unknown")
    assert gallery.erase(everybody).rows == 144
    assert len(gallery) == 0
    assert gallery.add(find_crops([toy_data / "train"])[:3]).rows == 3


def test_a_reader_meanwhile(gallery: Gallery, model: RuntimeModel) -> None:
    """What another process opened before the versions were cleaned up still answers."""
    other = Gallery.open(gallery.where, model)
    assert other.count("camera = '2'") > 0
    gallery.erase(gallery.filter_of(where="camera = 2"))
    assert other.search(where="camera != 2").searched == len(gallery)


def test_the_number_has_to_be_the_expected_one(gallery: Gallery) -> None:
    where = gallery.filter_of(person="0003")
    with pytest.raises(InputError, match="6 crops are meant by now, not 5"):
        gallery.erase(where, expected=5)
    assert gallery.count(where) == 6
    assert gallery.erase(where, expected=6).rows == 6


def test_small_and_flat_pictures_raise_no_false_alarm(gallery: Gallery, tmp_path: Path) -> None:
    """Their thumbnails consist of tables that all of them share, and of equal data."""
    paths = []
    for number, grey in enumerate((10, 10, 90, 200)):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (16 + number, 32), (grey, grey, grey)).save(path)
        paths.append(path)
    gallery.add(Crops(paths))
    for path in paths:
        erased = gallery.erase(gallery.filter_of(images=[path]))
        assert (erased.rows, erased.scanned) == (1, True)


def named(gallery: Gallery, paths: list[Path], people: list[str], **columns: list[str]) -> None:
    gallery.add(Crops(paths[: len(people)], person=people, **columns))


@pytest.fixture
def empty(model: RuntimeModel, tmp_path: Path) -> Gallery:
    return Gallery.create(tmp_path / "own", model)


@pytest.fixture
def copies(toy_data: Path, tmp_path: Path) -> list[Path]:
    """Crops at places whose names tell nothing."""
    return [
        Path(shutil.copy(path, tmp_path / f"{number}.jpg"))
        for number, path in enumerate(find_crops([toy_data / "train"]).paths[:6])
    ]


def test_persons_of_one_name_in_several_datasets(empty: Gallery, copies: list[Path]) -> None:
    named(empty, copies, ["7", "7", "7", "8"], dataset=["a", "b", "", "a"])
    with pytest.raises(InputError) as error:
        empty.filter_of(person="7")
    assert str(error.value) == (
        "The datasets '', 'a', 'b' each have a person '7', who are different persons: give "
        "`dataset`."
    )
    assert empty.count(empty.filter_of(person="7", dataset="a")) == 1
    assert empty.count(empty.filter_of(person="7", dataset="")) == 1
    with pytest.raises(
        InputError, match="No person '7' is of the dataset 'c', but of '', 'a', 'b'"
    ):
        empty.filter_of(person="7", dataset="c")
    with pytest.raises(InputError, match="`person` is empty"):
        empty.filter_of(person="")
    assert empty.count(empty.filter_of(person="8")) == 1
    assert empty.count(empty.filter_of(person="9")) == 0
    assert empty.count(empty.filter_of(person="' OR true --")) == 0
    assert empty.erase(empty.filter_of(person="7", dataset="b")).rows == 1
    assert empty.erase(empty.filter_of(person="7", dataset="a")).rows == 1
    # one is left, who needs no dataset
    assert empty.erase(empty.filter_of(person="7")).rows == 1
    assert [row["person"] for row in empty.rows()] == ["8"]


def test_names_and_paths_are_gone(empty: Gallery, copies: list[Path]) -> None:
    named(empty, copies, ["Jane Example", "Jane Example", "John Example"])
    folder = Path(empty.where)
    wanted = [b"Jane Example", *(str(path).encode() for path in copies[:2])]
    assert set(find_bytes(folder, wanted)) == set(wanted)
    assert empty.erase(empty.filter_of(person="Jane Example")).scanned
    assert find_bytes(folder, wanted) == {}
    assert set(find_bytes(folder, [b"John Example"])) == {b"John Example"}


def test_a_name_that_is_left_is_found(empty: Gallery, copies: list[Path]) -> None:
    named(empty, copies, ["Jane Example", "John Example"])
    (Path(empty.where) / "notes.txt").write_text("ask Jane Example")
    with pytest.raises(InputError, match=r"notes.txt still holds bytes of them"):
        empty.erase(empty.filter_of(person="Jane Example"))


def test_names_that_others_bear_raise_no_alarm(empty: Gallery, copies: list[Path]) -> None:
    """Another row, in any column; a column of the table; a word of the settings."""
    people = ["Jane Example", "embedding", "model_fingerprint", "Jane Example", "x"]
    sources = ["", "", "", "", "phone of Jane Example"]
    named(empty, copies, people, source=sources, dataset=["a", "", "", "b", ""])
    for person, dataset in (
        ("embedding", None),
        ("model_fingerprint", None),
        ("Jane Example", "a"),
        ("Jane Example", None),
    ):
        erased = empty.erase(empty.filter_of(person=person, dataset=dataset))
        assert (erased.rows, erased.scanned) == (1, True)


def test_reasons_do_not_name_whom_they_erase(empty: Gallery, copies: list[Path]) -> None:
    """The log stays, and a reason is in the user's words."""
    named(empty, copies, ["Jane Example", "Bob", "0007"])
    for person, reason in (
        ("Jane Example", "jane example asked"),
        ("Bob", "for Bob, by mail"),
        ("0007", "0007 asked"),
    ):
        with pytest.raises(InputError, match="`reason` names whom it asks to erase"):
            empty.erase(empty.filter_of(person=person), reason=reason)
    assert len(empty) == 3
    assert empty.erase(empty.filter_of(person="Bob"), reason="Bobby asked").rows == 1
    assert empty.erase(empty.filter_of(person="0007"), reason="ticket 10007").rows == 1
    assert "Jane" not in (Path(empty.where) / "audit.jsonl").read_text()


def test_reasons_that_named_them_before(empty: Gallery, copies: list[Path]) -> None:
    empty.add(Crops(copies[:1], person=["Jane Example"]), reason="photos of Jane Example")
    with pytest.raises(InputError) as error:
        empty.erase(empty.filter_of(person="Jane Example"))
    log = Path(empty.where) / "audit.jsonl"
    assert str(error.value) == (
        f"The rows are erased, but a reason in {log} still names whom they showed: change that "
        "line if the name has to go from there too."
    )
    assert len(empty) == 0
    # who adds is not whom it showed
    who = empty.audit()[0].who
    empty.add(Crops(copies[:1], person=[who]))
    assert empty.erase(empty.filter_of(person=who)).scanned


@pytest.mark.parametrize("rows", [200, 3000])
def test_text_of_large_galleries_can_be_found(empty: Gallery, rows: int) -> None:
    """The database would compress it, and what is compressed is never found."""
    size = empty.settings.embedding_size
    generator = np.random.default_rng(0)
    hashes = [generator.bytes(32).hex() for _ in range(rows)]
    known = {
        "hash": hashes,
        "path": [f"/srv/crops/of/somebody/{row:06d}.jpg" for row in range(rows)],
        "frame": [generator.bytes(32).hex() for _ in range(rows)],
        "person": [f"Person Number {row // 10:05d}" for row in range(rows)],
        "added": [datetime.now(UTC)] * rows,
        "thumbnail": [generator.bytes(900) for _ in range(rows)],
    }
    vectors = generator.standard_normal((rows, size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    attributes = np.full((rows, len(empty.settings.schema_)), 0.5, np.float32)
    commit(empty._store, known, attributes, vectors)
    names = ("hash", "path", "frame", "person")
    folder = Path(empty.where)
    for _ in range(2):
        kept = empty._store.read(empty._store.query(list(names))).to_pylist()
        wanted = {row[name].encode() for row in kept for name in names}
        assert set(find_bytes(folder, wanted)) == wanted
        # the files of the others are written anew
        empty.erase(empty.filter_of(person="Person Number 00003"))
    gone = [known[name][row].encode() for name in names for row in range(30, 40)]
    assert find_bytes(folder, gone) == {}
    assert len(empty) == rows - 10
