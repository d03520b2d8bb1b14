import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.data import Crops
from passerby.data.crops import concatenate
from passerby.data.decoding import decode
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery, store
from passerby.gallery.erasing import finish, note_clean_up
from passerby.gallery.table_schema import attribute_columns, vectors_of
from passerby.inference import RuntimeModel


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
    with (other / "model.onnx").open("ab") as network:
        network.write(b"\x08\x00")  # an unknown field: the same network, another file
    info = json.loads((other / "model.json").read_text())
    info["fingerprint"] = hashlib.sha256((other / "model.onnx").read_bytes()).hexdigest()
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
    with pytest.raises(InputError, match="is not text in UTF-8"):
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
