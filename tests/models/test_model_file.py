import json
import math
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from passerby.data import Attribute, Schema
from passerby.data.decoding import resize
from passerby.datasets import read_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Decision, RuntimeModel
from passerby.inference.leakage import SeenFiles, hash_files
from passerby.inference.model_info import (
    Provenance,
    describe_files,
    read_model_info,
    write_model_info,
)
from passerby.inference.runtime_model import normalize_pixels
from passerby.models import (
    Architecture,
    Attention,
    PersonModel,
    export,
    load_person_model,
    save_model,
)
from passerby.models.export import ExportMismatchError
from passerby.toy import toy_images


def tiny(**parts: object) -> PersonModel:
    torch.manual_seed(0)
    return PersonModel(
        Architecture(backbone="test_resnet", size=(64, 32), **parts), MARKET1501_ATTRIBUTES
    )


def test_saved_and_loaded_answers_the_same(tmp_path: Path) -> None:
    parts = {
        "last_stride": 1,
        "pool": "gem",
        "neck": "batchnorm",
        "attention": Attention(kind="both", place="stages", residual=True),
    }
    model = tiny(**parts).eval()
    decision = Decision("thresholds", (0.3,) * 32)
    training = Provenance(epochs=3, persons={"toy": ("0004", "5")})
    info = save_model(model, tmp_path / "m", name="x", decision=decision, training=training)
    loaded = load_person_model(tmp_path / "m")
    crops = torch.randn(3, 3, 64, 32)
    with torch.no_grad():
        for ours, theirs in zip(model(crops), loaded(crops), strict=True):
            torch.testing.assert_close(ours, theirs)
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "model.json",
        "model.onnx",
        "model.safetensors",
        "seen_files.npz",
    ]
    written = json.loads((tmp_path / "m" / "model.json").read_text())
    assert written["preprocessing"]["height"] == 64
    assert written["decision"] == {"rule": "thresholds", "thresholds": [0.3] * 32}
    assert written["training"]["epochs"] == 3
    assert written["training"]["persons"] == {"toy": ["0004", "5"]}
    assert info.training == training
    assert written["fingerprint"] == info.fingerprint
    assert len(info.fingerprint) == 64


def test_a_model_without_attributes(tmp_path: Path, toy_data: Path) -> None:
    torch.manual_seed(0)
    model = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), None)
    info = save_model(model, tmp_path / "m", name="x")
    assert info.tasks == ("identity",)
    assert json.loads((tmp_path / "m" / "model.json").read_text())["schema"] is None
    network = onnx.load(tmp_path / "m" / "model.onnx")
    assert [output.name for output in network.graph.output] == ["embedding"]
    loaded = load_person_model(tmp_path / "m")
    assert loaded.schema is None
    runtime = RuntimeModel.load(tmp_path / "m")
    found = runtime.embed(read_crops(toy_data)[:3])
    assert found.attributes is None
    assert found.vectors.shape == (3, model.embedding_size)
    pixels = np.stack([resize(image, (64, 32)) for image in toy_images(3)])
    vectors, attributes = runtime.run(pixels)
    assert attributes is None
    crops = torch.from_numpy(normalize_pixels(pixels, model.preprocessing))
    with torch.inference_mode():
        np.testing.assert_allclose(loaded(crops).embedding, vectors, atol=1e-4)


def test_any_schema_is_read_back(tmp_path: Path) -> None:
    schema = Schema(
        (Attribute("Skirt&Dress", "skirt or dress"), Attribute("Age18-60", absent="other age"))
    )
    model = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), schema)
    save_model(model, tmp_path / "m", name="x")
    loaded = load_person_model(tmp_path / "m").schema
    assert loaded == schema
    assert loaded.attributes[0].phrase == "skirt or dress"


def test_a_model_knows_the_files_that_it_has_seen(toy_data: Path, tmp_path: Path) -> None:
    crops = read_crops(toy_data)
    seen = SeenFiles.of(training=crops[:5], calibration=crops[5:7])
    info = save_model(tiny(), tmp_path / "m", name="x", seen=seen)
    found = SeenFiles.read(tmp_path / "m")
    assert found.training.tolist() == sorted(hash_files(crops[:5]).tolist())
    assert found.calibration.tolist() == sorted(hash_files(crops[5:7]).tolist())
    assert len(found.unlabelled) == 0
    assert set(info.files) == {"model.onnx", "model.safetensors", "seen_files.npz"}


def test_weights_that_are_missing(model_file: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_file, tmp_path / "m"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"not a whole model file: model\.safetensors is missing"):
        load_person_model(folder)


def test_the_fingerprint_is_of_weights_and_preprocessing(tmp_path: Path) -> None:
    """Whatever the model is called and decides by."""
    model = tiny()
    one = save_model(model, tmp_path / "one", name="x")
    two = save_model(model, tmp_path / "two", name="y", decision=Decision("fixed"))
    model.attribute_head.bias.data[3] += 1
    three = save_model(model, tmp_path / "three", name="x")
    assert one.fingerprint == two.fingerprint != three.fingerprint


@pytest.mark.parametrize("backbone", ["test_vit", "test_efficientnet"])
def test_other_backbones_are_exported(tmp_path: Path, backbone: str) -> None:
    torch.manual_seed(0)
    model = PersonModel(Architecture(backbone=backbone, size=(64, 32)), MARKET1501_ATTRIBUTES)
    save_model(model, tmp_path / "m", name="x")
    path = tmp_path / "m" / "model.onnx"
    onnx.checker.check_model(onnx.load(path))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 5, 130):
        crops = np.random.default_rng(count).normal(size=(count, 3, 64, 32)).astype(np.float32)
        vectors, logits = session.run(None, {"crops": crops})
        assert vectors.shape == (count, model.embedding_size)
        with torch.inference_mode():
            expected = model.eval()(torch.from_numpy(crops))
        np.testing.assert_allclose(logits, expected.attributes, atol=1e-4)
        np.testing.assert_allclose(vectors, expected.embedding, atol=1e-4)


def test_a_faithless_export_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = export.outputs_of

    def skewed(model: PersonModel, crops: torch.Tensor) -> object:
        outputs = honest(model, crops)
        off = 3e-3 if len(crops) == 64 else 0
        return outputs._replace(attributes=outputs.attributes + off)

    monkeypatch.setattr(export, "outputs_of", skewed)
    with pytest.raises(
        ExportMismatchError, match=r"differ by 3\.0e-03 in 'attributes' at batch size 64"
    ):
        save_model(tiny(), tmp_path / "m", name="x")
    assert list(tmp_path.iterdir()) == []


def test_weights_cut_in_half(model_file: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_file, tmp_path / "m"))
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"model\.safetensors is damaged or not the one"):
        load_person_model(folder)


def test_weights_of_the_same_shapes(model_file: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_file, tmp_path / "m"))
    path = folder / "model.safetensors"
    save_file({name: value * 2 for name, value in load_file(path).items()}, path)
    with pytest.raises(InputError, match=r"model\.safetensors is damaged or not the one"):
        load_person_model(folder)


def test_weights_that_are_no_numbers(model_file: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_file, tmp_path / "m"))
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["attribute_head.bias"][3] = math.nan
    save_file(weights, path)
    info = read_model_info(folder)
    described = describe_files(folder, info.preprocessing)
    write_model_info(folder, info.model_copy(update=described))
    with pytest.raises(InputError, match=r"head\.bias holds values that are not numbers"):
        load_person_model(folder)


def test_weights_of_another_network(model_file: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_file, tmp_path / "m"))
    info = json.loads((folder / "model.json").read_text())
    info["architecture"]["neck"] = "batchnorm"
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match=r"does not fit model\.json"):
        load_person_model(folder)


def test_an_architecture_of_another_version(model_file: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_file, tmp_path / "m"))
    info = json.loads((folder / "model.json").read_text())
    info["architecture"]["eyes"] = 2
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="not one that this version builds"):
        load_person_model(folder)


def test_no_path_of_this_machine_is_exported(tmp_path: Path) -> None:
    save_model(tiny(), tmp_path / "m", name="x")
    for place in (Path(torch.__file__).parents[1], Path.home(), Path(__file__).parents[2]):
        assert str(place).encode() not in (tmp_path / "m" / "model.onnx").read_bytes()
