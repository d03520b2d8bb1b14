from pathlib import Path

import numpy as np
import pytest
from linear_network import HEIGHT, SIZE, WEIGHTS, WIDTH, network
from onnx import TensorProto, helper

from passerby.data import Crops
from passerby.data.decoding import resize
from passerby.errors import InputError
from passerby.inference import ModelInfo, RuntimeModel
from passerby.inference.model_info import Preprocessing
from passerby.inference.runtime_model import normalize_pixels
from passerby.models.onnx_import import import_onnx
from passerby.toy import toy_images

PREPROCESSING = Preprocessing(height=HEIGHT, width=WIDTH, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def imported(file: Path, target: Path, **options: object) -> RuntimeModel:
    info = import_onnx(file, target, PREPROCESSING, **options)
    assert isinstance(info, ModelInfo)
    return RuntimeModel.load(target)


def inputs() -> tuple[Crops, np.ndarray]:
    images = list(toy_images(5))
    pixels = np.stack([resize(image, (HEIGHT, WIDTH)) for image in images])
    return Crops([f"{n}" for n in range(5)], images=images), normalize_pixels(pixels, PREPROCESSING)


def scaled(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_vectors_are_the_networks_at_length_one(tmp_path: Path, channels: str) -> None:
    model = imported(network(tmp_path / "n.onnx"), tmp_path / "m", channels=channels)
    crops, values = inputs()
    if channels == "bgr":
        values = values[:, ::-1]
    expected = scaled(values.reshape(5, -1) @ WEIGHTS)
    found = model.embed(crops)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    assert found.attributes is None
    assert (model.info.name, model.schema, model.info.tasks) == ("n", None, ("identity",))
    assert len(model.info.fingerprint) == 64


def test_colours_may_come_last(tmp_path: Path) -> None:
    shape = ("batch", HEIGHT, WIDTH, 3)
    model = imported(network(tmp_path / "n.onnx", shape=shape), tmp_path / "m")
    crops, values = inputs()
    expected = scaled(values.transpose(0, 2, 3, 1).reshape(5, -1) @ WEIGHTS)
    np.testing.assert_allclose(model.embed(crops).vectors, expected, atol=1e-5)


def test_half_precision_and_a_batch_of_one(tmp_path: Path) -> None:
    """Flatten takes any batch, whatever the file says."""
    file = network(tmp_path / "n.onnx", kind=TensorProto.FLOAT16, shape=(1, 3, HEIGHT, WIDTH))
    crops, values = inputs()
    found = imported(file, tmp_path / "m").embed(crops).vectors
    np.testing.assert_allclose(found, scaled(values.reshape(5, -1) @ WEIGHTS), atol=1e-2)


def test_one_of_several_outputs(tmp_path: Path) -> None:
    file = network(tmp_path / "n.onnx", outputs=("embedding", "crops_out"))
    with pytest.raises(InputError, match="has the outputs embedding, crops_out: say with `output`"):
        import_onnx(file, tmp_path / "m", PREPROCESSING)
    assert imported(file, tmp_path / "m", output="crops_out").info.embedding_size == SIZE


MEAN = [
    helper.make_node("Flatten", ["crops"], ["flat"], axis=1),
    helper.make_node("MatMul", ["flat", "weights"], ["vectors"]),
]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"shape": ("batch", 3, 32, WIDTH)},
            "takes inputs of any × 3 × 32 × 8, not crops of",
        ),
        ({"shape": ("batch", 384)}, "takes inputs of any × 384, not crops"),
        ({"weights": np.zeros_like(WEIGHTS)}, "answers NaN|answers the same for all"),
        (
            {
                "nodes": [
                    *MEAN,
                    helper.make_node("ReduceMean", ["vectors"], ["mean"], keepdims=1),
                    helper.make_node("Sub", ["vectors", "mean"], ["crops_out"]),
                ]
            },
            "answers a crop otherwise in a batch than alone",
        ),
        (
            {
                "nodes": [
                    *MEAN,
                    helper.make_node("ReduceSum", ["vectors"], ["crops_out"], keepdims=0),
                ]
            },
            "cannot load .*Flatten.*: export it again",
        ),
        (
            {"nodes": [helper.make_node("Relu", ["crops"], ["crops_out"])]},
            r"makes no vector of each crop \(answers of shape \[7, 3, 16, 8\] for 7 crops\)",
        ),
        (
            {
                "nodes": [
                    *MEAN,
                    helper.make_node("Cast", ["vectors"], ["crops_out"], to=TensorProto.BOOL),
                ],
                "answered": TensorProto.BOOL,
            },
            "its output crops_out does not hold floating-point numbers",
        ),
        (
            {"nodes": [*MEAN, helper.make_node("Identity", ["vectors"], ["crops_out"])], "axes": 1},
            "its output crops_out has 1 axes, not two",
        ),
        (
            {
                "shape": (4, 3, HEIGHT, WIDTH),
                "nodes": [
                    helper.make_node("Split", ["crops"], list("abcd"), axis=0, num_outputs=4),
                    helper.make_node("Concat", list("abcd"), ["joined"], axis=0),
                    helper.make_node("Flatten", ["joined"], ["flat"], axis=1),
                    helper.make_node("MatMul", ["flat", "weights"], ["crops_out"]),
                ],
            },
            "takes 4 crops at a time, no more and no fewer",
        ),
    ],
)
def test_networks_that_are_no_use(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        import_onnx(network(tmp_path / "n.onnx", **options), tmp_path / "m", PREPROCESSING)
    assert not (tmp_path / "m").exists()


def test_the_runtime_says_why_it_loads_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("[NOT_IMPLEMENTED] Could not find an implementation for Oddity(1).\n at")

    monkeypatch.setattr("onnxruntime.InferenceSession", fail)
    with pytest.raises(InputError, match=r"cannot load .*n.onnx \(.*for Oddity\(1\)\): export it"):
        import_onnx(network(tmp_path / "n.onnx"), tmp_path / "m", PREPROCESSING)


@pytest.mark.parametrize("content", [b"", b"\x80\x04K.", b"no network"])
def test_what_is_not_a_network(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "n.onnx").write_bytes(content)
    with pytest.raises(InputError, match="is not an ONNX network|has the outputs"):
        import_onnx(tmp_path / "n.onnx", tmp_path / "m", PREPROCESSING)
    with pytest.raises(InputError, match="does not exist: give an ONNX file"):
        import_onnx(tmp_path / "none.onnx", tmp_path / "m", PREPROCESSING)
    with pytest.raises(InputError, match="is a folder: give an ONNX file"):
        import_onnx(tmp_path, tmp_path / "m", PREPROCESSING)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = network(tmp_path / "n.onnx")
    with pytest.raises(InputError, match="is there already"):
        import_onnx(file, tmp_path, PREPROCESSING)
    with pytest.raises(InputError, match="`channels` is 'gbr': choose rgb or bgr"):
        import_onnx(file, tmp_path / "m", PREPROCESSING, channels="gbr")
