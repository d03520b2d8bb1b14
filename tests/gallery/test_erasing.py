import shutil
from pathlib import Path

import pytest
from PIL import Image

from passerby.data import Crops
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery
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
