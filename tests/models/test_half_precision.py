import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from passerby.datasets import read_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import RuntimeModel
from passerby.inference.leakage import SeenFiles
from passerby.inference.model_info import Provenance
from passerby.models import Architecture, PersonModel, load_person_model, save_model
from passerby.models.half_precision import save_half_precision


@pytest.fixture(scope="module", params=["test_resnet", "test_vit", "test_efficientnet"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    architecture = Architecture(backbone=request.param, size=(64, 32), pool="gem", neck="batchnorm")
    model = PersonModel(architecture, MARKET1501_ATTRIBUTES)
    torch.nn.init.normal_(model.attribute_head.weight)
    folder = tmp_path_factory.mktemp("models") / "whole"
    seen = SeenFiles(*(np.arange(count, dtype=np.uint64) for count in (3, 0, 2)))
    save_model(model, folder, name="x", training=Provenance(epochs=3), seen=seen)
    return folder


@pytest.fixture(scope="module")
def half(whole: Path) -> Path:
    folder = whole.with_name("half")
    save_half_precision(whole, folder)
    return folder


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def test_both_forms_share_weights_of_half_the_size(whole: Path, half: Path) -> None:
    weights = (whole / "model.safetensors").stat().st_size
    assert size(half) < 0.7 * weights + 200_000
    network = onnx.load(half / "model.onnx", load_external_data=False)
    inside = sum(len(tensor.raw_data) for tensor in network.graph.initializer)
    assert inside < 0.1 * weights


def test_it_answers_almost_the_same(whole: Path, half: Path, toy_data: Path) -> None:
    crops = read_crops(toy_data)[:20]
    before, after = (RuntimeModel.load(folder).embed(crops) for folder in (whole, half))
    # they may be compared
    assert before.model == after.model
    assert not np.array_equal(before.vectors, after.vectors)
    np.testing.assert_allclose(before.vectors, after.vectors, atol=0.01)
    np.testing.assert_allclose(before.attributes, after.attributes, atol=0.02)


def test_the_torch_form_holds_the_same_weights(half: Path) -> None:
    model = load_person_model(half)
    assert model.attribute_head.weight.dtype == torch.float32
    backend = RuntimeModel.load(half)._network
    crops = torch.rand(5, 3, 64, 32)
    with torch.no_grad():
        ours = model(crops)
    for mine, theirs in zip(
        ours, backend.run(["embedding", "attributes"], crops.numpy()), strict=True
    ):
        np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-4)


def test_what_the_model_knows_is_taken_over(whole: Path, half: Path) -> None:
    before, after = (json.loads((folder / "model.json").read_text()) for folder in (whole, half))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"precision", "fingerprint", "exported_from", "files"}
    assert after["exported_from"] == before["fingerprint"]
    assert after["precision"] == "fp16"
    seen = [(folder / "seen_files.npz").read_bytes() for folder in (whole, half)]
    assert seen[0] == seen[1]


def test_a_model_without_attributes(tmp_path: Path, toy_data: Path) -> None:
    torch.manual_seed(0)
    model = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), None)
    save_model(model, tmp_path / "whole", name="x")
    info = save_half_precision(tmp_path / "whole", tmp_path / "half")
    assert (info.schema_, info.precision) == (None, "fp16")
    crops = read_crops(toy_data)[:5]
    before, after = (RuntimeModel.load(tmp_path / n).embed(crops) for n in ("whole", "half"))
    assert after.attributes is None
    np.testing.assert_allclose(before.vectors, after.vectors, atol=0.01)


REFUSED = "In half precision this network answers otherwise .*: keep the model file as it is"


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """float16 ends at 65,504."""
    model = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), MARKET1501_ATTRIBUTES)
    torch.nn.init.constant_(model.attribute_head.weight, 1e5)
    save_model(model, tmp_path / "whole", name="x", training=Provenance(epochs=3))
    with pytest.raises(InputError, match=REFUSED):
        save_half_precision(tmp_path / "whole", tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_answers_that_change_are_refused(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passerby.models.half_precision.TOLERANCE", 1e-6)
    with pytest.raises(InputError, match=REFUSED):
        save_half_precision(whole, tmp_path / "half")


def test_damaged_weights_are_noticed(half: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in half.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="is damaged or not the one that model.json describes"):
        RuntimeModel.load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="model.safetensors is missing"):
        RuntimeModel.load(folder)
