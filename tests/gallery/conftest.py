"""The gallery of toy crops, to read or to change."""

import shutil
from pathlib import Path

import pytest

from passerby.gallery import Gallery
from passerby.inference import RuntimeModel


@pytest.fixture(scope="session")
def model(calibrated_model: Path) -> RuntimeModel:
    return RuntimeModel.load(calibrated_model)


@pytest.fixture(scope="session")
def filled(filled_gallery: Path) -> Path:
    """A gallery of all toy crops whose persons are known; read only."""
    return filled_gallery


@pytest.fixture
def gallery(filled: Path, model: RuntimeModel, tmp_path: Path) -> Gallery:
    """The same gallery, for one test to change."""
    shutil.copytree(filled, tmp_path / "gallery")
    return Gallery.open(tmp_path / "gallery", model)
