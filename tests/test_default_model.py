"""The model that ships: it loads offline and answers what it answered when it was made."""

import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from passerby.calibration import read_matchers
from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.inference import RuntimeModel
from passerby.inference.leakage import leave_out_seen
from passerby.inference.model_location import DEFAULT_MODEL
from passerby.toy import write_toy

ROOT = Path(__file__).resolve().parents[1]
STORED = json.loads((Path(__file__).parent / "default_model.json").read_text(encoding="utf-8"))
MOST_MB = 12
LEARNED = {
    "course": 751,
    "cuhk03": 1467,
    "peta/3DPeS": 193,
    "peta/CAVIAR4REID": 72,
    "peta/SARC3D": 50,
    "peta/TownCentre": 222,
}
"""The persons of each dataset on whom it was trained."""


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
    """Both folds held out 151 persons of Market-1501, some the same; each left a dataset out."""
    crops = read_crops(real_data)
    held_out = [set(crops.split_persons(151, seed)[1].person) for seed in range(2)]
    # at most 200 of CUHK03's 767 training persons are drawn; 3DPeS has fewer
    persons = len(set.union(*held_out)) + 200 + LEARNED["peta/3DPeS"]
    for known in read_matchers(RuntimeModel.load().info):
        assert known.calibration.persons == persons


@pytest.mark.slow
@pytest.mark.real_data
def test_it_refuses_what_it_was_trained_on(real_data: Path) -> None:
    model = RuntimeModel.load()
    names = [one.name for one in model.info.training.learned_from]
    assert len(names) == 9
    for name in names:
        folder = real_data.parent / name
        if not folder.is_dir():
            folder = real_data.parent / "peta" / name
        for split in ("train", "query", "gallery") if name == "cuhk03" else ("train",):
            crops = read_crops(folder, split, accept_missing=True)
            with pytest.raises(InputError, match="was trained on all of these crops"):
                leave_out_seen(crops, model.info, model.seen)


def test_it_is_small_and_calibrated() -> None:
    size = sum(file.stat().st_size for file in DEFAULT_MODEL.iterdir())
    assert size <= MOST_MB * 1e6
    info = RuntimeModel.load().info
    assert info.tasks == ("attributes", "identity")
    assert info.distances
    assert info.embedding_size == 512
    assert {name: len(who) for name, who in info.training.persons.items()} == LEARNED
    assert not any("/" in str(value) for value in (info.name, info.training.machine))


def test_in_8_bits(offline: None, tmp_path: Path) -> None:
    """It stands for the other one, in galleries too, and answers almost the same."""
    model = RuntimeModel.load("shipped")
    try:
        small = RuntimeModel.load("shipped-int8")
    except InputError as error:
        if "computes otherwise in 8 bits" not in str(error):
            raise
        pytest.skip(str(error))
    assert small.info.vector_fingerprint == model.info.vector_fingerprint
    assert small.info.distances == model.info.distances
    assert sum(file.stat().st_size for file in small.folder.iterdir()) < 5e6
    write_toy(tmp_path / "toy", persons=20, seed=0, crops_per_person=2)
    crops = read_crops(tmp_path / "toy")
    cosines = (model.embed(crops).vectors * small.embed(crops).vectors).sum(axis=1)
    assert cosines.min() > 0.97
    assert cosines.mean() > 0.99


NO_NETWORK = """
import socket

def refuse(*_, **__):
    raise SystemExit("the network was touched")

socket.socket.connect = socket.getaddrinfo = refuse
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package as pip would unpack it, in a place without network."""
    place = tmp_path_factory.mktemp("installed")
    code = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, place], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    (place / "sitecustomize.py").write_text(NO_NETWORK)
    return place


def run(installed: Path, folder: Path, *arguments: object) -> str:
    command = [sys.executable, "-m", "passerby", *map(str, arguments)]
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_everything_is_in_the_wheel(installed: Path) -> None:
    ours = ROOT / "src" / "passerby"
    files = {f.relative_to(ours) for f in ours.rglob("*") if f.is_file()}
    theirs = installed / "passerby"
    missing = {f for f in files if "__pycache__" not in f.parts and not (theirs / f).is_file()}
    assert not missing


def test_no_model_named_right_after_installation(
    installed: Path, toy_data: Path, tmp_path: Path
) -> None:
    crop = min((toy_data / "test").iterdir())
    where = "import passerby; print(passerby.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(installed)
    ((_, attributes),) = json.loads(run(installed, tmp_path, "predict", crop, "--json")).items()
    assert len(attributes) == 32
    queries, gallery = toy_data / "queries", toy_data / "test"
    run(installed, tmp_path, "rank", "--queries", queries, "--gallery", gallery)
    answers = (tmp_path / "reid_test.txt").read_text()
    assert answers.count(":") == len(list(queries.iterdir()))
    run(installed, tmp_path, "explain", crop, "--attributes", "hat")
    assert (tmp_path / "explanation.png").read_bytes().startswith(b"\x89PNG")
