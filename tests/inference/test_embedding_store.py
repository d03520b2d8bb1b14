import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.inference import RuntimeModel, embed_to_folder, is_embeddings, read_embeddings
from passerby.inference.crops_file import read_crops_file, write_crops_file


@pytest.fixture(scope="module")
def whole(model_file: Path, toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings of 40 crops; read only."""
    folder = tmp_path_factory.mktemp("embeddings") / "whole"
    embed_to_folder(RuntimeModel.load(model_file), read_crops(toy_data)[:40], folder)
    return folder


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    """The same, that a test may damage."""
    return Path(shutil.copytree(whole, tmp_path / "store"))


def test_what_is_embeddings(whole: Path, model_file: Path, tmp_path: Path) -> None:
    assert is_embeddings(whole)
    assert not is_embeddings(model_file)
    assert not is_embeddings(tmp_path / "nothing")


def test_a_store_can_be_moved(store: Path, whole: Path) -> None:
    moved = read_embeddings(store.rename(store.with_name("moved")))
    np.testing.assert_array_equal(moved.vectors, np.load(whole / "vectors.npy", allow_pickle=False))


def test_no_store(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (model_file, tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(InputError, match=r"holds no embeddings: .*embed crops into it"):
            read_embeddings(place)


@pytest.mark.parametrize("name", ["vectors.npy", "attributes.npy", "crops.csv"])
def test_a_missing_file(store: Path, name: str) -> None:
    (store / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing: embed the crops again"):
        read_embeddings(store)


@pytest.mark.parametrize("name", ["embeddings.json", "vectors.npy", "attributes.npy", "crops.csv"])
@pytest.mark.parametrize("part", [0, 7, 100, -1])
def test_a_file_that_is_cut_off(store: Path, name: str, part: int) -> None:
    path = store / name
    content = path.read_bytes()
    path.write_bytes(content[:part] if part != -1 else content[: len(content) * 9 // 10])
    with pytest.raises(InputError, match=rf"{name} is damaged .*embed the crops again"):
        read_embeddings(store)


@pytest.mark.parametrize("name", ["embeddings.json", "vectors.npy", "attributes.npy", "crops.csv"])
def test_a_file_of_other_bytes(store: Path, name: str) -> None:
    (store / name).write_bytes(np.random.default_rng(0).bytes(10_000))
    with pytest.raises(InputError, match=rf"{name} is damaged .*embed the crops again"):
        read_embeddings(store)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((40, 95), np.float32),
        np.zeros((39, 96), np.float32),
        np.zeros(40 * 96, np.float32),
        np.zeros((40, 96), np.float64),
        np.zeros((40, 96), ">f4"),
    ],
    ids=["narrow", "short", "flat", "float64", "big-endian"],
)
def test_vectors_of_another_shape(store: Path, array: np.ndarray) -> None:
    np.save(store / "vectors.npy", array)
    with pytest.raises(InputError, match=r"vectors\.npy is damaged .*it is not an array of 40×96"):
        read_embeddings(store)


def test_an_archive_instead_of_vectors(store: Path) -> None:
    np.savez(store / "vectors.npz", a=np.zeros(3))
    (store / "vectors.npz").replace(store / "vectors.npy")
    with pytest.raises(InputError, match=r"vectors\.npy is damaged"):
        read_embeddings(store)


class Harmful:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("as_array", [True, False])
def test_nothing_is_unpickled(store: Path, monkeypatch, as_array: bool) -> None:
    monkeypatch.chdir(store)
    path = store / "vectors.npy"
    if as_array:
        np.save(path, np.array([Harmful()] * 40, object))
    else:
        path.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(InputError, match=r"vectors\.npy is damaged"):
        read_embeddings(store)
    assert not (store / "harm").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 1}, r"format: .*embed the crops again"),
        ({"rows": 0}, r"rows: .*embed the crops again"),
        ({"rows": 39}, r"crops\.csv is damaged .*40 rows instead of 39"),
        ({"embedding_size": 95}, r"vectors\.npy is damaged .*not an array of 40×95"),
        ({"embedding_size": -1}, r"embedding_size: .*embed the crops again"),
        (
            {"schema": {"attributes": [{"name": "hat"}]}},
            r"attributes\.npy is damaged .*array of 40×1 ",
        ),
        ({"schema": {"attributes": []}}, "has no attributes"),
        ({"schema": [1]}, "not a schema of attributes"),
        ({"model": None}, r"model: .*embed the crops again"),
        ({"colour": "red"}, r"colour: .*embed the crops again"),
    ],
)
def test_a_description_that_does_not_fit(store: Path, changes: dict, message: str) -> None:
    path = store / "embeddings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=message):
        read_embeddings(store)


class TestCropsFile:
    def test_strange_names_come_back(self, tmp_path: Path) -> None:
        names = ["é.jpg", 'a "b", c.jpg', "line\nbreak.jpg", "\r.jpg", " .jpg", "[red].jpg"]
        names.append(os.fsdecode(b"\xff\xfe.jpg"))
        paths = tuple(tmp_path / name for name in names)
        write_crops_file(tmp_path / "crops.csv", Crops(paths))
        found = read_crops_file(tmp_path / "crops.csv")
        assert found.paths == paths
        assert not found.columns

    def test_ids_come_back(self, tmp_path: Path) -> None:
        crops = Crops(
            (tmp_path / "a", tmp_path / "b"),
            person=["0002", "2"],
            camera=["north, gate", ""],
            time=[None, np.datetime64("2026-11-01T08:30:00.5")],
            box=[(1, 2, 30, 40), None],
            role=["", "distractor"],
        )
        write_crops_file(tmp_path / "crops.csv", crops)
        found = read_crops_file(tmp_path / "crops.csv")
        assert list(found.columns) == ["person", "camera", "time", "box", "role"]
        for name, values in crops.columns.items():
            np.testing.assert_array_equal(found.columns[name], values)

    def test_relative_paths_become_absolute(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_crops_file(Path("crops.csv"), Crops((Path("a.jpg"),)))
        assert read_crops_file(Path("crops.csv")).paths == (tmp_path / "a.jpg",)

    @pytest.mark.parametrize(
        "content",
        [
            "person,path\n1,/a\n",
            "path,colour\n/a,1\n",
            "path,person,camera\n/a,1\n",
            "path,person,camera\n,1,2\n",
            "path,time\n/a,yesterday\n",
            "path,box\n/a,1 2 3\n",
            "path,box\n/a,1 2 99999999999999999999 4\n",
            'path,person,camera\n"/a,1,2\n',
            "path,person,camera\n" + "a" * 200_000 + ",1,2\n",
        ],
    )
    def test_damage(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "crops.csv"
        path.write_text(content)
        with pytest.raises(InputError, match=r"crops\.csv is damaged .*embed the crops again"):
            read_crops_file(path)
