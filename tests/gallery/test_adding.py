import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.data import COLUMNS, Column, Crops, register_column
from passerby.data.columns import NUMBER
from passerby.data.crops import concatenate
from passerby.data.decoding import decode
from passerby.data.schema import Schema
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery, store
from passerby.gallery.adding import AddRequest, commit
from passerby.gallery.erasing import finish, note_clean_up
from passerby.gallery.table_schema import attribute_columns, vectors_of
from passerby.inference import RuntimeModel
from passerby.inference.model_info import Preprocessing, describe_files


@pytest.fixture
def empty(model: RuntimeModel, tmp_path: Path) -> Gallery:
    return Gallery.create(tmp_path / "gallery", model)


@pytest.fixture
def crops(toy_data: Path) -> Crops:
    return find_crops([toy_data / "train"])[:20]


def table_of(gallery: Gallery):
    return gallery._store.crops.to_arrow()


def test_rows_are_what_the_model_says(empty: Gallery, crops: Crops, model: RuntimeModel) -> None:
    steps = []
    added = empty.add(crops, progress=lambda done, total: steps.append((done, total)))
    assert (added.rows, added.known, added.broken, steps) == (20, 0, [], [(20, 20)])

    table = table_of(empty)
    rows = {row["hash"]: number for number, row in enumerate(table.select(["hash"]).to_pylist())}
    for place, path in enumerate(crops.paths):
        row = table.slice(rows[hashlib.sha256(path.read_bytes()).hexdigest()], 1)
        pixels = np.array(Image.fromarray(decode(path)).resize((32, 64), Image.Resampling.BILINEAR))
        vectors, attributes = model.run(pixels[None])
        np.testing.assert_allclose(vectors_of(row), vectors, atol=1e-5)
        known = row.to_pylist()[0]
        assert (known["person"], known["camera"]) == (crops.person[place], crops.camera[place])
        assert known["path"] == str(path)
        np.testing.assert_allclose(
            [known[name] for name in attribute_columns(empty.settings).values()],
            attributes[0],
            atol=1e-5,
        )


def test_thumbnails_show_the_crop_and_nothing_of_the_camera(
    empty: Gallery, tmp_path: Path, toy_data: Path
) -> None:
    crop = Image.open(next((toy_data / "train").iterdir())).resize((600, 1200))
    exif = Image.Exif()
    exif[0x010F] = "SecretCameraMaker"
    crop.save(tmp_path / "large.jpg", exif=exif)
    empty.add(Crops([tmp_path / "large.jpg"]))
    content = empty.thumbnail(empty.rows()[0]["hash"])
    assert content is not None
    assert b"SecretCameraMaker" not in content
    small = Image.open(io.BytesIO(content))
    assert small.size == (128, 256)
    difference = np.abs(np.asarray(small, float) - np.asarray(crop.resize((128, 256)), float))
    assert difference.mean() < 6


def test_each_crop_once(empty: Gallery, crops: Crops, tmp_path: Path) -> None:
    copy = Crops([shutil.copy(crops.paths[0], tmp_path / "copy.jpg")], camera=["99"])
    first = empty.add(concatenate([crops[:10], copy]))
    assert (first.rows, first.known) == (10, 1)
    again = empty.add(crops)
    assert (again.rows, again.known, len(empty)) == (10, 10, 20)
    assert len(set(again.hashes)) == 20


def test_paths_alone(model: RuntimeModel, crops: Crops, tmp_path: Path) -> None:
    gallery = Gallery.create(tmp_path / "paths", model, images="paths")
    gallery.add(crops[:3])
    assert "thumbnail" not in table_of(gallery).column_names
    assert gallery.thumbnail(gallery.rows()[0]["hash"]) is None


def test_broken_crops_stop_the_work_or_are_reported(
    empty: Gallery, crops: Crops, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(crops.paths[0].read_bytes()[:200])
    some = Crops([crops.paths[0], broken, crops.paths[1], tmp_path / "missing.jpg"])
    with pytest.raises(InputError, match="broken.jpg is damaged or cut off"):
        empty.add(some)
    assert len(empty) == 2, "what was readable before stays"

    reported: list[str] = []
    added = empty.add(
        Crops([*some.paths, crops.paths[2]]), on_broken=lambda error: reported.append(str(error))
    )
    assert (added.rows, added.known) == (1, 2)
    assert reported == added.broken
    assert len(reported) == 2
    assert "missing.jpg" in reported[1]


def test_another_models_vectors_are_refused(
    filled: Path, model_file: Path, calibrated_model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(model_file, other)
    info = json.loads((other / "model.json").read_text())
    info["preprocessing"]["mean"][0] += 0.1
    info |= describe_files(other, Preprocessing(**info["preprocessing"]))
    (other / "model.json").write_text(json.dumps(info))
    swapped = RuntimeModel.load(other)
    with pytest.raises(InputError, match=r"embed all again with `passerby gallery reindex"):
        Gallery.open(filled, swapped)

    # the same place, another model: found when it is needed
    moved = tmp_path / "moved"
    shutil.copytree(calibrated_model, moved)
    gallery = Gallery.create(tmp_path / "own", RuntimeModel.load(moved), model_source=str(moved))
    shutil.rmtree(moved)
    shutil.copytree(other, moved)
    with pytest.raises(InputError, match="holds vectors of the model tiny"):
        Gallery.open(gallery.where).add(Crops([tmp_path / "x.jpg"]))


def test_another_export_of_the_same_model_fits(
    filled: Path, model_file: Path, tmp_path: Path
) -> None:
    """The vectors depend on weights and preprocessing, not on the bytes of one file."""
    other = tmp_path / "other"
    shutil.copytree(model_file, other)
    with (other / "model.onnx").open("ab") as network:
        network.write(b"\x08\x00")  # an unknown field: the same network, another file
    info = json.loads((other / "model.json").read_text())
    info |= describe_files(other, Preprocessing(**info["preprocessing"]))
    (other / "model.json").write_text(json.dumps(info))
    assert len(Gallery.open(filled, RuntimeModel.load(other))) == 144


def test_a_model_that_calls_its_attributes_otherwise(
    filled: Path, model_file: Path, tmp_path: Path
) -> None:
    """The network is the same, but not what its outputs are said to mean."""
    other = tmp_path / "other"
    shutil.copytree(model_file, other)
    info = json.loads((other / "model.json").read_text())
    names = [attribute["name"] for attribute in info["schema"]["attributes"]]
    info["schema"] = Schema.of([f"{name}?" for name in names]).to_dict()
    (other / "model.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="holds other attributes than those that the model tiny"):
        Gallery.open(filled, RuntimeModel.load(other))


def test_the_log_says_who_and_how_many(empty: Gallery, crops: Crops) -> None:
    empty.add(crops[:3], reason="test of the gate")
    created, added = empty.audit()
    assert (created.operation, added.operation) == ("create", "add")
    assert (added.rows, added.reason) == (3, "test of the gate")
    assert "@" in added.who


def test_a_place_in_use(tmp_path: Path, model: RuntimeModel, filled: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        Gallery.create(tmp_path / "file", model)
    with pytest.raises(InputError, match="exists already"):
        Gallery.create(filled, model)
    with pytest.raises(InputError, match="is not a gallery of Passerby"):
        Gallery.open(tmp_path)
    (tmp_path / "empty").mkdir()
    assert len(Gallery.create(tmp_path / "empty", model)) == 0


def test_of_equal_files_the_first_says_what_is_known(
    empty: Gallery, crops: Crops, tmp_path: Path
) -> None:
    copy = Crops([shutil.copy(crops.paths[0], tmp_path / "zzz.jpg")])
    assert empty.add(concatenate([crops[:1], copy])).rows == 1
    (row,) = empty.rows()
    assert (row["person"], row["path"]) == (crops.person[0], str(crops.paths[0]))


def test_names_in_another_encoding(empty: Gallery, crops: Crops, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    shutil.copy(crops.paths[0], odd)
    reported: list[str] = []
    added = empty.add(
        Crops([odd, crops.paths[1]]), on_broken=lambda error: reported.append(str(error))
    )
    assert added.rows == 1
    assert "is not named in UTF-8: rename it." in reported[0]
    with pytest.raises(InputError, match="source is .* other encodings"):
        find_crops([crops.paths[0]], source="caf\udce9")
    with pytest.raises(InputError, match="is not named in UTF-8"):
        empty.add(Crops([Path("x\0.jpg")]))


def test_a_calibration_measured_since(
    model_file: Path, calibrated_model: Path, crops: Crops, tmp_path: Path
) -> None:
    """The network is the same, so its new calibration holds for the vectors that are there."""
    place = tmp_path / "model"
    shutil.copytree(model_file, place)
    gallery = Gallery.create(tmp_path / "own", RuntimeModel.load(place), model_source=str(place))
    gallery.add(crops[:5])
    with pytest.raises(InputError, match="is not calibrated"):
        Gallery.open(gallery.where).search([crops.paths[0]])
    shutil.copy(calibrated_model / "model.json", place)
    assert Gallery.open(gallery.where).search([crops.paths[0]]).threshold is not None
    shutil.rmtree(place)
    with pytest.raises(InputError, match="is not where it was: give `model`"):
        Gallery.open(gallery.where).search([crops.paths[0]])


def test_many_small_commits_become_few_files(
    gallery: Gallery, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_OFTEN", 2)
    monkeypatch.setattr(store, "_FILES", 3)

    def files() -> int:
        return int(gallery._store.crops.stats()["fragment_stats"]["num_fragments"])

    before = {row["hash"] for row in gallery.rows(limit=1000)}
    new = find_crops([toy_data / "test"])[:12]
    # rows that are to be erased stay where they are noted
    note_clean_up(gallery._store)
    for place in range(6):
        gallery.add(new[place : place + 1])
    assert files() == 7
    finish(gallery._store)
    for place in range(6, 12):
        gallery.add(new[place : place + 1])
    assert files() <= 5
    rows = [row["hash"] for row in gallery.rows(limit=1000)]
    assert len(rows) == len(set(rows)) == len(before) + 12
    assert before < set(rows)


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """A frame of 60×40 pixels, all different."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[..., 0] = np.arange(40)[:, None] * 6
    pixels[..., 1] = np.arange(60) * 4
    Image.fromarray(pixels).save(tmp_path / "street.png")
    return tmp_path / "street.png"


def test_a_crop_is_its_file_and_its_box(
    empty: Gallery, street: Path, model: RuntimeModel, tmp_path: Path
) -> None:
    """Two people of one frame are two rows, and the frame itself is a third."""
    boxes = [(4, 5, 12, 30), (30, 2, 20, 36), None]
    added = empty.add(Crops([street] * 3, box=boxes, person=["a", "b", ""]))
    assert (added.rows, added.known) == (3, 0)
    frame = hashlib.sha256(street.read_bytes()).hexdigest()
    expected = [
        hashlib.sha256(f"{frame}:4,5,12,30".encode()).hexdigest(),
        hashlib.sha256(f"{frame}:30,2,20,36".encode()).hexdigest(),
        frame,
    ]
    assert added.hashes == expected
    rows = {row["hash"]: row for row in table_of(empty).to_pylist()}
    assert [rows[value]["frame"] for value in expected] == [frame, frame, None]
    assert [rows[value]["box"] for value in expected] == [[4, 5, 12, 30], [30, 2, 20, 36], None]
    assert empty.add(Crops([street] * 2, box=boxes[:2])).known == 2

    cut = Image.open(street).crop((4, 5, 16, 35))
    pixels = np.array(cut.resize((32, 64), Image.Resampling.BILINEAR))
    (vector,) = model.run(pixels[None])[0]
    np.testing.assert_allclose(rows[expected[0]]["embedding"], vector, atol=1e-5)
    kept = Image.open(io.BytesIO(empty.thumbnail(expected[0]) or b""))
    assert kept.size == (12, 30)

    # a photo of the street names all that were cut out of it
    copy = Path(shutil.copy(street, tmp_path / "copy.png"))
    assert empty.count(empty.filter_of(images=[copy])) == 3
    assert empty.erase(empty.filter_of(images=[copy])).scanned
    assert len(empty) == 0


def test_boxes_at_the_border_and_beyond(empty: Gallery, street: Path) -> None:
    reported: list[str] = []
    boxes = [(-5, -5, 25, 25), (100, 100, 20, 20), (40, 20, 200, 200)]
    added = empty.add(
        Crops([street] * 3, box=boxes), on_broken=lambda error: reported.append(str(error))
    )
    assert added.rows == 2
    (sentence,) = reported
    assert "street.png: of the box 100 100 20 20 fewer than 8 pixels" in sentence
    assert "lie in the picture of 60×40: fix the box." in sentence
    sizes = {
        Image.open(io.BytesIO(empty.thumbnail(value) or b"")).size for value in set(added.hashes)
    }
    assert sizes == {(20, 20)}, "what lies in the picture: columns 0–19 and 40–59"


def test_names_are_exact_text(empty: Gallery, crops: Crops) -> None:
    some = Crops(
        crops.paths[:4],
        person=["2", "0002", "Skirt&Dress", ""],
        camera=["north gate", "1", "it's", "1"],
        track=["7", "7", "", ""],
        source=["a", "b", "", ""],
        dataset=["x", "x", "y", ""],
        time=[datetime(2026, 11, 1, 8, 30, tzinfo=UTC), None, None, None],
    )
    empty.add(some)
    assert empty.count(empty.filter_of(person="2")) == 1
    assert empty.count(empty.filter_of(person="0002")) == 1
    assert empty.count(empty.filter_of(where='camera = "north gate"')) == 1
    assert empty.count(empty.filter_of(where='camera = "it\'s"')) == 1
    assert empty.count(empty.filter_of(where="camera = 1 and person = unknown")) == 1
    info = empty.info()
    assert (info["persons"], info["tracks"]) == (3, 2)
    assert info["datasets"] == {"": 1, "x": 2, "y": 1}
    assert info["cameras"] == {"1": 2, "it's": 1, "north gate": 1}
    assert info["format"] == 2
    row = next(row for row in empty.rows() if row["person"] == "2")
    assert row["time"] == datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
    assert {name: row[name] for name in ("camera", "track", "source", "dataset", "box")} == {
        "camera": "north gate",
        "track": "7",
        "source": "a",
        "dataset": "x",
        "box": None,
    }
    assert list(row["attributes"]) == list(empty.settings.schema_.names)


def test_embeddings_are_stored_as_they_are(
    empty: Gallery, crops: Crops, model: RuntimeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = model.embed(crops)
    reference = Gallery.create(Path(empty.where).with_name("reference"), model)
    reference.add(crops)

    def never(*_: object) -> None:
        raise AssertionError("the model is not asked again")

    monkeypatch.setattr(RuntimeModel, "run", never)
    monkeypatch.setattr(RuntimeModel, "load", never)
    gallery = Gallery.open(empty.where)
    assert gallery.add(known).rows == 20
    assert gallery.add(known).known == 20
    ours, theirs = (table_of(g).drop_columns(["added"]) for g in (gallery, reference))
    ours, theirs = (table.sort_by("hash") for table in (ours, theirs))
    np.testing.assert_allclose(vectors_of(ours), vectors_of(theirs), atol=1e-5)
    names = [name for name in ours.column_names if name not in ("embedding",) and name[0] != "a"]
    assert "thumbnail" in names
    assert ours.select(names).to_pylist() == theirs.select(names).to_pylist()


def test_embeddings_that_do_not_fit(empty: Gallery, crops: Crops, model: RuntimeModel) -> None:
    known = model.embed(crops[:3])
    with pytest.raises(InputError, match=r"these embeddings are of another one \(0123456789ab…\)"):
        empty.add(replace(known, model="0123456789abcdef"))
    with pytest.raises(InputError, match="embed the crops again without `flip`"):
        empty.add(model.embed(crops[:3], flip=True))
    with pytest.raises(InputError, match="have other attributes than"):
        empty.add(replace(known, attributes=None, schema=None))
    assert len(empty) == 0


def test_distractors_and_junk_show_nobody(empty: Gallery, crops: Crops) -> None:
    roles = ["", "distractor", "junk"]
    empty.add(Crops(crops.paths[:3], person=["7", "7", "7"], camera=["1"] * 3, role=roles))
    assert len(empty) == 3
    assert empty.count("person = '7'") == 1
    assert empty.count("person IS NULL AND camera = '1'") == 2
    assert "role" not in table_of(empty).column_names


def test_pictures_in_memory(empty: Gallery, crops: Crops) -> None:
    pixels = [decode(path) for path in crops.paths[:2]]
    assert empty.add(Crops(["one", "two"], images=pixels, person=["a", "b"])).rows == 2
    assert {row["path"] for row in empty.rows()} == {None}
    assert empty.add(Crops(["three"], images=pixels[:1])).known == 1


@pytest.fixture
def height(empty: Gallery) -> Iterator[str]:
    """The name of a column that was declared after the gallery was made."""
    register_column(Column("height", NUMBER, "how tall, in metres"))
    yield "height"
    del COLUMNS["height"]


def test_a_column_declared_later(
    empty: Gallery, crops: Crops, model: RuntimeModel, tmp_path: Path, height: str
) -> None:
    tall = Crops(crops.paths[:2], height=[1.8, None])
    prepared = empty.prepare(crops.paths[0].read_bytes(), crops.paths[0], {height: 1.8})
    for add in (
        lambda: empty.add(tall),
        lambda: empty.add(model.embed(tall)),
        lambda: empty.add_together([AddRequest([prepared])]),
        lambda: empty.search(where="height > 1.5"),
    ):
        with pytest.raises(InputError) as error:
            add()
        assert str(error.value) == (
            f"{empty.where} has no column height, which was declared after it was made: make a new "
            "gallery, or leave height out."
        )
    # what says nothing is left out
    assert empty.add(Crops(crops.paths[:2], height=[None, None])).rows == 2

    newer = Gallery.create(tmp_path / "newer", model)
    newer.add(tall)
    assert [answer.known["height"] for answer in newer.search(where="height > 1.5").answers] == [
        1.8
    ]
    assert newer.info()["columns"][-1] == "height"
    del COLUMNS["height"]
    # where it is not declared it is not shown, but not lost
    assert "height" not in newer.rows()[0]
    newer.reindex(model, None)
    register_column(Column("height", NUMBER, "how tall, in metres"))
    assert [answer.known["height"] for answer in newer.search(where="height > 1.5").answers] == [
        1.8
    ]
    assert empty.reindex(model, None) == 2
    assert empty.rows()[0]["height"] is None, "a table that is made anew has the new column"


def test_vectors_of_another_length(empty: Gallery) -> None:
    store = empty._store
    known = {"hash": ["0" * 64], "added": [datetime.now(UTC)], "thumbnail": [b""]}
    size = store.settings.embedding_size
    attributes = np.full((1, len(store.settings.schema_)), 0.5, np.float32)
    for length in (0.0, 2.0, float("nan")):
        vectors = np.full((1, size), length * size**-0.5, np.float32)
        with pytest.raises(InputError, match=f"has the length {length:.4g}: a gallery holds"):
            commit(store, known, attributes, vectors)
    assert len(empty) == 0
