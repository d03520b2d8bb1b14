import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from linear_network import HEIGHT, WIDTH, network

from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.inference import Preprocessing, RuntimeModel, write_model_info
from passerby.inference.model_info import read_model_info
from passerby.models import int8, load_person_model
from passerby.models.half_precision import save_half_precision
from passerby.models.int8 import Agreement, _agreement, save_int8
from passerby.models.onnx_import import import_onnx


@pytest.fixture(scope="module")
def whole(calibrated_model: Path) -> Path:
    return calibrated_model


@pytest.fixture(scope="module")
def exported(
    whole: Path, toy_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Agreement, list[str]]:
    folder = tmp_path_factory.mktemp("models") / "int8"
    said: list[str] = []
    _, agreement = save_int8(whole, folder, read_crops(toy_data), say=said.append)
    return folder, agreement, said


def test_layers_compute_in_8_bits(exported: tuple[Path, Agreement, list[str]]) -> None:
    folder, agreement, said = exported
    assert sorted(file.name for file in folder.iterdir()) == [
        "model.json",
        "model.onnx",
        "seen_files.npz",
    ]
    operators = [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]
    assert operators.count("QuantizeLinear") >= agreement.steps > 0
    assert len(said) >= 1
    assert f"{agreement.steps} of " in said[-1]
    assert str(agreement) in said[-1]


def test_it_answers_almost_the_same(
    whole: Path, exported: tuple[Path, Agreement, list[str]], toy_data: Path
) -> None:
    folder, agreement, _ = exported
    crops = read_crops(toy_data)
    before, after = (RuntimeModel.load(place).embed(crops) for place in (whole, folder))
    cosines = (before.vectors * after.vectors).sum(axis=1)
    assert 0.98 < cosines.min() < 1
    assert agreement.is_enough
    assert before.model == after.model
    np.testing.assert_allclose(before.known_attributes, after.known_attributes, atol=0.2)


def test_what_the_model_knows_is_taken_over(
    whole: Path, exported: tuple[Path, Agreement, list[str]]
) -> None:
    before, after = (
        json.loads((folder / "model.json").read_text()) for folder in (whole, exported[0])
    )
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"precision", "fingerprint", "exported_from", "drawn_answer", "files"}
    assert (after["precision"], after["exported_from"]) == ("int8", before["fingerprint"])


def test_a_machine_that_computes_otherwise_in_8_bits(
    exported: tuple[Path, Agreement, list[str]], tmp_path: Path
) -> None:
    """As if its answers had turned: those of the export are told in `model.json`."""
    folder = tmp_path / "int8"
    shutil.copytree(exported[0], folder)
    info = read_model_info(folder)
    answer = info.drawn_answer
    assert np.linalg.norm(answer) == pytest.approx(1, abs=1e-3)
    turned = info.model_copy(update={"drawn_answer": (*answer[1:], answer[0])})
    write_model_info(folder, turned)
    with pytest.raises(InputError, match=r"answers otherwise here than where it was exported \(a"):
        RuntimeModel.load(folder)


def test_galleries_of_the_original_take_it(
    filled_gallery: Path, exported: tuple[Path, Agreement, list[str]], toy_data: Path
) -> None:
    gallery = Gallery.open(filled_gallery, RuntimeModel.load(exported[0]))
    assert gallery.model.info.precision == "int8"


def test_of_half_precision(whole: Path, toy_data: Path, tmp_path: Path) -> None:
    save_half_precision(whole, tmp_path / "half")
    info, _ = save_int8(tmp_path / "half", tmp_path / "int8", read_crops(toy_data))
    original = RuntimeModel.load(whole).info
    assert info.vector_fingerprint == original.fingerprint


def test_answers_that_are_too_far(
    whole: Path, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "LEAST_COSINE", 1.1)
    monkeypatch.setattr(int8, "_ENDS", int8._ENDS[:2])
    with pytest.raises(
        InputError, match=r"answers otherwise, at best with cosines of 0\.\d+ at least, .* mAP"
    ):
        save_int8(whole, tmp_path / "int8", read_crops(toy_data))
    assert not (tmp_path / "int8").exists()


def test_what_cannot_be_exported(
    whole: Path, exported: tuple[Path, Agreement, list[str]], toy_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="computes in 8 bits already"):
        save_int8(exported[0], tmp_path / "again")
    with pytest.raises(InputError, match="has no torch form"):
        load_person_model(exported[0])
    with pytest.raises(InputError, match="Of 3 crops 3 are different and look like"):
        save_int8(whole, tmp_path / "few", read_crops(toy_data)[:3])
    preprocessing = Preprocessing(height=HEIGHT, width=WIDTH, mean=(0, 0, 0), std=(1, 1, 1))
    import_onnx(network(tmp_path / "n.onnx"), tmp_path / "linear", preprocessing)
    with pytest.raises(InputError, match="has no layers that could be computed in 8 bits"):
        save_int8(tmp_path / "linear", tmp_path / "none", read_crops(toy_data))


def test_agreement_by_hand() -> None:
    """Of four crops of two persons the last one moves, so that its person is found last."""
    crops = Crops(list("abcd"), person=list("1122"))
    before = np.array([[1, 0], [0.8, 0.6], [0, 1], [-0.6, 0.8]], np.float32)
    after = before.copy()
    after[3] = [0.6, 0.8]
    told = np.array([[0.1, 0.9]] * 4)
    told_after = told.copy()
    told_after[2, 0] = 0.26
    found = _agreement(crops, (before, told), (after, told_after), (1, 2), 7)
    assert (found.crops, found.left_out, found.steps) == (4, (1, 2), 7)
    assert found.cosine == pytest.approx(-0.36 + 0.64)
    assert found.mean_cosine == pytest.approx((3 + 0.28) / 4)
    assert found.map_before == 1
    assert found.change == pytest.approx(0.16)
    assert found.mean_change == pytest.approx(0.16 / 8)
    assert not found.is_enough
    same = _agreement(crops, (before, told), (before, told_after), (0, 0), 7)
    assert same.is_enough
    assert not replace(same, map_after=0.99).is_enough
    assert replace(same, map_after=0.996).is_enough
    assert not replace(same, change=0.3).is_enough
    assert not replace(same, mean_change=0.03).is_enough
    nan = _agreement(crops, (before, told), (before, np.full_like(told, np.nan)), (0, 0), 7)
    assert not nan.is_enough
    nobody = _agreement(Crops(list("abcd")), (before, None), (before, None), (0, 0), 7)
    assert (nobody.map_before, nobody.change, nobody.is_enough) == (None, None, True)
    assert str(nobody) == (
        "cosines of 1.0000 at least, 1.0000 on average; mAP unknown: nobody is in two crops"
    )


def test_it_is_tried_on_other_crops_than_those_that_tell_ranges() -> None:
    generator = np.random.default_rng(0)
    images = list(generator.integers(0, 256, (300, 30, 12, 3), np.uint8))
    # copies and blank pictures tell nothing
    images[100:150] = [images[0]] * 50
    images[150:160] = [np.full((30, 12, 3), 90, np.uint8)] * 10
    crops = Crops([f"{number}.jpg" for number in range(300)], images=images)
    calibrating, checking = int8._divided(crops)
    assert (len(calibrating), len(checking)) == (120, 120)
    assert not set(calibrating.paths) & set(checking.paths)
    calibrating, checking = int8._divided(crops[:41])
    assert (len(calibrating), len(checking)) == (20, 21)
    with pytest.raises(InputError, match=r"Of 90 crops 31 are different .* 32 at least"):
        int8._divided(crops[70:160])
