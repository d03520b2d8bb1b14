"""The model that ships: it loads offline and answers what it answered when it was made."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from passerby.data import Crops, read_crops
from passerby.data.toy import write_toy
from passerby.embedding import RuntimeModel
from passerby.embedding.model_location import DEFAULT_MODEL
from passerby.ranking import calibrated_distances

STORED = json.loads((Path(__file__).parent / "default_model.json").read_text(encoding="utf-8"))
MOST_MB = 12


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def check(crops: Crops, stored: dict) -> None:
    assert [path.name for path in crops.paths] == stored["files"]
    found = RuntimeModel.load().embed(crops)
    expected = np.array(stored["embeddings"])
    # other processors add up in another order
    np.testing.assert_allclose(found.vectors[:, : expected.shape[1]], expected, atol=2e-3)
    np.testing.assert_allclose(found.attributes, stored["attributes"], atol=5e-3)


def test_toy_crops(offline: None, tmp_path: Path) -> None:
    write_toy(tmp_path / "toy", persons=4, seed=0, crops_per_person=2)
    check(read_crops(tmp_path / "toy")[: len(STORED["toy"]["files"])], STORED["toy"])


@pytest.mark.real_data
def test_real_crops(offline: None, real_data: Path) -> None:
    check(read_crops(real_data)[: len(STORED["real"]["files"])], STORED["real"])


@pytest.mark.real_data
def test_each_person_of_the_folds_counts_once(real_data: Path) -> None:
    """Folds are runs that held out 151 persons, by the seeds 0, 1 and 2; some are in several."""
    crops = read_crops(real_data)
    held_out = [crops.split_persons(151, seed)[1].person_ids for seed in range(3)]
    persons = len(np.unique(np.concatenate(held_out)))
    for known in calibrated_distances(RuntimeModel.load().info):
        assert known.calibration.persons == persons


def test_it_is_small_and_calibrated() -> None:
    size = sum(file.stat().st_size for file in DEFAULT_MODEL.iterdir())
    assert size <= MOST_MB * 1e6
    info = RuntimeModel.load().info
    assert info.tasks == ("attributes", "identity")
    assert info.distances
    assert len(info.training.persons) == 751
    assert not any("/" in str(value) for value in (info.name, info.training.machine))


def test_no_model_named(toy_data: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    crop = min((toy_data / "test").iterdir())
    predicted = subprocess.run(
        [sys.executable, "-m", "passerby", "predict", str(crop), "--json"],
        capture_output=True,
        check=True,
        env=environment,
    )
    ((_, attributes),) = json.loads(predicted.stdout).items()
    assert len(attributes) == 32
    command = [sys.executable, "-m", "passerby", "rank"]
    command += ["--queries", str(toy_data / "queries"), "--gallery", str(toy_data / "test")]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True)
    assert (tmp_path / "reid_test.txt").read_text().count(":") == len(
        list((toy_data / "queries").iterdir())
    )
