from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import passerby as pb
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.inference import RuntimeModel
from passerby.inference.backends import BACKENDS, Network, OnnxRuntime, register_backend

openvino = pytest.mark.skipif(
    find_spec("openvino") is None, reason="the extra openvino is not installed"
)


def test_the_device_is_the_one_that_is_asked_for(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not whatever this machine has: a build for GPUs runs on the CPU if nothing is said."""
    asked = []

    class Session:
        def __init__(self, source: bytes, options: object, providers: list) -> None:
            asked.append(providers)

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    module = "passerby.inference.backends.onnxruntime"
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(f"{module}.get_available_providers", lambda: there)
    monkeypatch.setattr(f"{module}.InferenceSession", Session)
    path = model_file / "model.onnx"
    OnnxRuntime(Network(path, True))
    assert asked[-1] == [("CPUExecutionProvider", {})]
    with pytest.raises(InputError, match="cannot use 'cuda:1': check its driver and libraries"):
        OnnxRuntime(Network(path, True, "cuda:1"))
    assert asked[-1] == [("CUDAExecutionProvider", {"device_id": "1"}), "CPUExecutionProvider"]
    for strange in ("coreml", "cuda:x", "gpu", ""):
        with pytest.raises(
            InputError, match=f"has no device '{strange}' here: choose from cpu, cuda"
        ):
            OnnxRuntime(Network(path, True, strange))


@openvino
def test_openvino_answers_as_onnx_runtime_does(calibrated_model: Path, toy_data: Path) -> None:
    """Within the tolerance of exports, in whatever precision this machine computes."""
    crops = read_crops(toy_data)[:20]
    one = pb.load_model(calibrated_model).embed(crops)
    other = pb.load_model(calibrated_model, threads=1, backend="openvino").embed(crops)
    assert one.model == other.model
    assert ((one.vectors * other.vectors).sum(axis=1) > 0.985).all()
    np.testing.assert_allclose(one.known_attributes, other.known_attributes, atol=0.1)


@openvino
def test_openvino_has_no_such_device(calibrated_model: Path) -> None:
    with pytest.raises(InputError, match="OpenVINO has no device 'npu:7' here: choose from cpu"):
        RuntimeModel.load(calibrated_model, backend="openvino", device="npu:7")


def test_openvino_is_not_installed(calibrated_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passerby.inference.backends.find_spec", lambda name: None)
    with pytest.raises(InputError, match="install the extra `openvino`"):
        RuntimeModel.load(calibrated_model, backend="openvino")


def test_a_backend_of_ones_own(
    calibrated_model: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passerby.inference.backends.BACKENDS", dict(BACKENDS))

    class Mirrored(OnnxRuntime):
        def run(self, outputs, crops):
            return super().run(outputs, np.ascontiguousarray(crops[..., ::-1]))

    register_backend("mirrored", Mirrored)
    crops = read_crops(toy_data)[:3]
    model = pb.load_model(calibrated_model, backend="mirrored")
    plain = pb.load_model(calibrated_model)
    assert not np.allclose(model.embed(crops).vectors, plain.embed(crops).vectors, atol=1e-3)
    np.testing.assert_allclose(
        model.embed(crops, flip=True).vectors, plain.embed(crops, flip=True).vectors, atol=1e-5
    )
    with pytest.raises(InputError, match="There is a backend 'mirrored' already"):
        register_backend("mirrored", Mirrored)
    with pytest.raises(InputError, match="`backend` is 'torch': choose from onnxruntime, openvino"):
        pb.load_model(calibrated_model, backend="torch")
