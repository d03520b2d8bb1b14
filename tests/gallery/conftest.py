"""A gallery of toy crops, and the model behind it."""

import shutil
from pathlib import Path

import pytest

from passerby.data import read_crops
from passerby.embedding import RuntimeModel, write_model_info
from passerby.evaluation import calibrated
from passerby.gallery import Gallery, find_sightings


@pytest.fixture(scope="session")
def calibrated_model(
    model_file: Path, toy_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The very small untrained network, its distances calibrated on toy crops; read only."""
    folder = tmp_path_factory.mktemp("models") / "calibrated"
    shutil.copytree(model_file, folder)
    model = RuntimeModel.load(folder)
    found = calibrated(model.embed(read_crops(toy_data)), model.info.tasks)
    distances = tuple(distance.model_dump(mode="json") for distance in found)
    write_model_info(folder, model.info.model_copy(update={"distances": distances}))
    return folder


@pytest.fixture(scope="session")
def model(calibrated_model: Path) -> RuntimeModel:
    return RuntimeModel.load(calibrated_model)


@pytest.fixture(scope="session")
def filled(
    model: RuntimeModel,
    calibrated_model: Path,
    toy_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A gallery of all toy crops whose persons are known; read only."""
    where = tmp_path_factory.mktemp("galleries") / "gallery"
    gallery = Gallery.create(where, model, model_source=str(calibrated_model))
    gallery.add(find_sightings([toy_data / "train"]))
    return where


@pytest.fixture
def gallery(filled: Path, model: RuntimeModel, tmp_path: Path) -> Gallery:
    """The same gallery, for one test to change."""
    shutil.copytree(filled, tmp_path / "gallery")
    return Gallery.open(tmp_path / "gallery", model)
