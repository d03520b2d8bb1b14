"""Data and models that many tests share: drawn pedestrians and very small networks."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from passerby.toy import write_toy

os.environ["HF_HUB_OFFLINE"] = "1"

SHARED = Path(__file__).resolve().parents[2] / "shared"
TOY_PERSONS = 24


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy dataset in the course layout; read only."""
    folder = tmp_path_factory.mktemp("data") / "toy"
    write_toy(folder, TOY_PERSONS, seed=1, crops_per_person=6)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The course's Market-1501; the test is skipped where it is absent."""
    folder = SHARED / "data" / "market1501-unitn"
    if not folder.is_dir():
        pytest.skip(f"no real pedestrians at {folder}")
    return folder


@pytest.fixture(scope="session")
def market_mat() -> Path:
    """Market-1501_Attribute's own file; the test is skipped where it is absent."""
    file = SHARED / "data" / "market1501-attribute" / "market_attribute.mat"
    if not file.is_file():
        pytest.skip(f"no {file}")
    return file


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file of a very small untrained network; read only."""
    import torch

    from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
    from passerby.models import Architecture, PersonModel, save_model

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), MARKET1501_ATTRIBUTES)
    save_model(model, folder, name="tiny")
    return folder


@pytest.fixture(scope="session")
def write_mat() -> Callable[[Path, dict[str, dict[str, list]]], Path]:
    """Writes Market-1501_Attribute's file from part to field to values."""
    import numpy as np
    from scipy.io import savemat

    def write(path: Path, parts: dict[str, dict[str, list]]) -> Path:
        cells = {
            part: {
                name: np.array(values, object if name == "image_index" else np.float64)
                for name, values in fields.items()
            }
            for part, fields in parts.items()
        }
        savemat(path, {"market_attribute": cells})
        return path

    return write


@pytest.fixture(scope="session")
def calibrated_model(
    model_file: Path, toy_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The very small untrained network, its distances calibrated on toy crops; read only."""
    from passerby.calibration import calibrate_distances
    from passerby.datasets import read_crops
    from passerby.inference import RuntimeModel, write_model_info

    folder = tmp_path_factory.mktemp("models") / "calibrated"
    shutil.copytree(model_file, folder)
    model = RuntimeModel.load(folder)
    found = calibrate_distances(model.embed(read_crops(toy_data)), model.info.tasks)
    distances = tuple(distance.model_dump(mode="json") for distance in found)
    write_model_info(folder, model.info.model_copy(update={"distances": distances}))
    return folder


@pytest.fixture(scope="session")
def filled_gallery(
    calibrated_model: Path, toy_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A gallery of all toy crops whose persons are known; read only."""
    from passerby.datasets.finding import find_crops
    from passerby.gallery import Gallery
    from passerby.inference import RuntimeModel

    where = tmp_path_factory.mktemp("galleries") / "gallery"
    model = RuntimeModel.load(calibrated_model)
    gallery = Gallery.create(where, model, model_source=str(calibrated_model))
    gallery.add(find_crops([toy_data / "train"]))
    return where
