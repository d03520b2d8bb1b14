"""Attributes of any name, and none at all."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from passerby.calibration import AnswerRule
from passerby.data import Crops
from passerby.data.schema import Schema
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.store import Store
from passerby.gallery.table_schema import STORAGE_OPTIONS
from passerby.inference import RuntimeModel
from passerby.models import Architecture, PersonModel, save_model

NAMES = ("Skirt&Dress", "path", "Age18-60", "Female", "camera", "a0000", "it's")


def saved(folder: Path, schema: Schema | None) -> RuntimeModel:
    torch.manual_seed(0)
    network = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), schema)
    save_model(network, folder, name="odd")
    return RuntimeModel.load(folder)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> RuntimeModel:
    """A model whose attributes are called as columns are, or with what a query means otherwise."""
    return saved(tmp_path_factory.mktemp("models") / "odd", Schema.of(NAMES))


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> RuntimeModel:
    """A model without attributes."""
    return saved(tmp_path_factory.mktemp("models") / "without", None)


@pytest.fixture(scope="module")
def crops(toy_data: Path) -> Crops:
    return find_crops([toy_data / "train"])[:12]


@pytest.fixture(scope="module")
def gallery(odd: RuntimeModel, crops: Crops, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    gallery = Gallery.create(tmp_path_factory.mktemp("odd") / "gallery", odd)
    gallery.add(crops)
    return gallery


@pytest.fixture(scope="module")
def probabilities(odd: RuntimeModel, crops: Crops) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, odd.embed(crops).known_attributes.T, strict=True))


def test_columns_have_neutral_names(gallery: Gallery) -> None:
    names = gallery._store.schema.names
    assert names[:2] == ["hash", "path"]
    assert names[-8:] == [
        "a0000",
        "a0001",
        "a0002",
        "a0003",
        "a0004",
        "a0005",
        "a0006",
        "embedding",
    ]
    assert gallery.settings.schema_ == Schema.of(NAMES)
    assert Gallery.open(gallery.where).settings.schema_ == Schema.of(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("camera", "it's")])
def test_each_can_be_asked_for(
    gallery: Gallery, probabilities: dict[str, np.ndarray], crops: Crops, name: str
) -> None:
    values = probabilities[name]
    threshold = float(np.sort(values)[6]) - 1e-4
    expected = {str(p) for p, v in zip(crops.paths, values, strict=True) if v >= threshold}
    found = gallery.search(where=f'"{name}" >= {threshold:.6f}', rule=AnswerRule("top_k", 12))
    assert {answer.path for answer in found.answers} == expected
    scores = [answer.attributes[name] for answer in found.answers]
    assert scores == sorted(scores, reverse=True)
    np.testing.assert_allclose([answer.score for answer in found.answers], scores, atol=1e-6)
    present = gallery.count(gallery.filter_of(where=f'"{name}"'))
    assert present == int((values >= 0.5).sum())


def test_a_quote_in_a_name(gallery: Gallery, probabilities: dict[str, np.ndarray]) -> None:
    where = gallery.filter_of(where='"it\'s"')
    assert gallery.count(where) == int((probabilities["it's"] >= 0.5).sum())


def test_a_column_comes_first(gallery: Gallery, crops: Crops) -> None:
    """An attribute that is called as a column is asked for in quotes."""
    assert gallery.count(gallery.filter_of(where="camera = 1")) == int((crops.camera == "1").sum())


def test_what_is_told_of_a_row(
    gallery: Gallery, probabilities: dict[str, np.ndarray], crops: Crops, tmp_path: Path
) -> None:
    rows = {row["path"]: row for row in gallery.rows(limit=100)}
    gallery.export(tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        exported = {row["path"]: row for row in csv.DictReader(file)}
    for place, path in enumerate(crops.paths):
        row = rows[str(path)]
        assert row["camera"] == exported[str(path)]["camera"] == crops.camera[place]
        for name in NAMES:
            value = probabilities[name][place]
            assert row["attributes"][name] == pytest.approx(value, abs=1e-5)
            # two columns of one name would be one too many
            title = name if name in ("Skirt&Dress", "Age18-60", "Female", "it's") else None
            told = exported[str(path)][title or f"attribute {name}"]
            assert float(told) == pytest.approx(value, abs=1e-5)


def test_by_photo(gallery: Gallery, crops: Crops) -> None:
    found = gallery.search([crops.paths[0]], '"Skirt&Dress" <= 1', AnswerRule("top_k", 20))
    assert len(found.answers) == 11
    for answer in found.answers:
        assert {*answer.agree, *answer.disagree} <= set(NAMES)


def test_a_model_without_attributes(
    without: RuntimeModel, odd: RuntimeModel, crops: Crops, tmp_path: Path
) -> None:
    gallery = Gallery.create(tmp_path / "gallery", without)
    assert gallery.add(crops[:6]).rows == 6
    assert gallery.add(without.embed(crops)).rows == 6
    assert gallery.settings.schema_ is None
    answers = gallery.search([crops.paths[0]], "camera != nowhere", AnswerRule("top_k", 5)).answers
    assert [answer.attributes for answer in answers] == [{}] * 5
    assert [(answer.agree, answer.disagree) for answer in answers] == [((), ())] * 5
    assert gallery.rows()[0]["attributes"] == {}
    like = gallery.search(like=[answers[0].hash], rule=AnswerRule("top_k", 5))
    assert len(like.answers) == 5
    with pytest.raises(InputError, match="The model odd was not trained on attributes"):
        gallery.search(where="backpack")
    assert gallery.export(tmp_path / "all.csv") == 12
    assert gallery.info()["rows"] == 12

    # from no attributes to some, and back
    assert gallery.reindex(odd, None) == 12
    assert gallery.settings.schema_ == Schema.of(NAMES)
    assert gallery.count(gallery.filter_of(where="Female >= 0")) == 12
    assert gallery.reindex(without, None) == 12
    assert gallery.rows()[0]["attributes"] == {}


def row_ids(store: Store) -> dict[str, int]:
    rows = store.read(store.query(["hash", "_rowid"])).to_pylist()
    return {row["hash"]: row["_rowid"] for row in rows}


def test_a_row_keeps_its_id(odd: RuntimeModel, crops: Crops, tmp_path: Path) -> None:
    """Of a new gallery, and of one that was embedded again: whatever is written anew."""
    assert STORAGE_OPTIONS == {"new_table_enable_stable_row_ids": "true"}
    gallery = Gallery.create(tmp_path / "gallery", odd)
    for _ in range(2):
        for place in range(0, 12, 3):
            gallery.add(crops[place : place + 3])
        before = row_ids(gallery._store)
        assert len(set(before.values())) == 12
        assert max(before.values()) < 24, "none of them begins with the number of a file"
        gone = gallery.rows()[0]["hash"]
        gallery.erase(gallery.filter_of(hashes=[gone]))
        gallery._store.clean_up()
        assert row_ids(gallery._store) == {h: i for h, i in before.items() if h != gone}
        gallery.erase(gallery.filter_of(where="camera != nowhere"))
        gallery.reindex(odd, None)
