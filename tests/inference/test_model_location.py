from pathlib import Path

import pytest

from passerby.errors import InputError
from passerby.inference.model_location import find_model


def test_a_folder_and_a_run(tmp_path: Path) -> None:
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    (model / "model.json").touch()
    assert find_model(model) == model
    assert find_model(str(tmp_path / "run")) == model


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a model file: it has no model\.json"):
        find_model(tmp_path)
    with pytest.raises(InputError, match="does not exist: give a model file's folder"):
        find_model(tmp_path / "none")
    (tmp_path / "model.onnx").touch()
    with pytest.raises(InputError, match="is a file: give the folder"):
        find_model(tmp_path / "model.onnx")


def test_an_unfinished_run(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").touch()
    with pytest.raises(InputError, match="a run that has not finished: resume it"):
        find_model(tmp_path)


@pytest.mark.parametrize("name", ["model.pt", "pytorch_model.bin", "best.pth", "last.ckpt"])
def test_pickles_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="pickled weights, which can run any code"):
        find_model(tmp_path)


def test_a_hub_model_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="the Hub does not give a model of that name"):
        find_model("passerby-nobody/none")


def test_a_hub_model_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.json").touch()
    asked = {}

    def download(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert find_model("someone/model@v2") == tmp_path
    assert (asked["name"], asked["revision"]) == ("someone/model", "v2")
    assert asked["allow_patterns"] == [
        "model.json",
        "model.onnx",
        "model.safetensors",
        "seen_files.npz",
    ]
