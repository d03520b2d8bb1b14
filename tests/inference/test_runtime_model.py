import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from passerby.data import Crops
from passerby.data.decoding import decode, resize
from passerby.datasets import read_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import RuntimeModel
from passerby.inference.model_info import Preprocessing
from passerby.inference.runtime_model import normalize_pixels, normalize_rows, sigmoid
from passerby.models import Architecture, PersonModel, load_person_model, save_model


@pytest.fixture
def broken(model_file: Path, tmp_path: Path) -> Path:
    """A model file that a test may damage."""
    return Path(shutil.copytree(model_file, tmp_path / "broken"))


def test_the_runtime_answers_as_torch_does(model_file: Path, toy_data: Path) -> None:
    crops = read_crops(toy_data, "gallery")[:9]
    embeddings = RuntimeModel.load(model_file).embed(crops, batch_size=4)
    network = load_person_model(model_file)
    for row, path in enumerate(crops.paths):
        image = Image.fromarray(decode(path)).resize((32, 64), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
        mean, std = (
            torch.tensor(v).view(3, 1, 1) for v in (network.backbone.mean, network.backbone.std)
        )
        with torch.inference_mode():
            embedding, logits = network(((pixels - mean) / std)[None])
        np.testing.assert_allclose(embeddings.vectors[row], embedding[0], atol=1e-4)
        np.testing.assert_allclose(embeddings.attributes[row], logits[0].sigmoid(), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-5)


def test_the_batch_size_changes_nothing(model_file: Path, toy_data: Path) -> None:
    model = RuntimeModel.load(model_file)
    crops = read_crops(toy_data)[:20]
    seen: list[tuple[int, int]] = []
    one = model.embed(crops, batch_size=1)
    many = model.embed(crops, batch_size=7, progress=lambda *at: seen.append(at))
    np.testing.assert_allclose(one.vectors, many.vectors, atol=1e-5)
    np.testing.assert_allclose(one.attributes, many.attributes, atol=1e-5)
    assert seen == [(7, 20), (14, 20), (20, 20)]


def test_flipping_by_hand(model_file: Path, toy_data: Path) -> None:
    model = RuntimeModel.load(model_file)
    crops = read_crops(toy_data)[:9]
    found = model.embed(crops, flip=True, batch_size=4)
    assert found.vectors.dtype == found.attributes.dtype == np.float32
    for row, path in enumerate(crops.paths):
        pixels = resize(decode(path), (64, 32))
        mirrored = np.array(ImageOps.mirror(Image.fromarray(pixels)))
        (vector, attributes), (vector2, attributes2) = (
            model.run(p[None]) for p in (pixels, mirrored)
        )
        mean = (vector[0].astype(float) + vector2[0]) / 2
        np.testing.assert_allclose(found.vectors[row], mean / np.linalg.norm(mean), atol=1e-5)
        mean = (attributes[0].astype(float) + attributes2[0]) / 2
        np.testing.assert_allclose(found.attributes[row], mean, atol=1e-5)
    assert np.abs(found.vectors - model.embed(crops).vectors).max() > 1e-4


def test_a_crop_and_its_mirror_image_are_one_when_flipping(model_file: Path, tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    for name, image in (("a.png", pixels), ("b.png", pixels[:, ::-1])):
        Image.fromarray(image).save(tmp_path / name)
    found = RuntimeModel.load(model_file).embed(read_crops(tmp_path), flip=True)
    np.testing.assert_allclose(found.vectors[0], found.vectors[1], atol=1e-5)
    np.testing.assert_allclose(found.attributes[0], found.attributes[1], atol=1e-5)


def test_vectors_that_cancel_out_are_no_nan() -> None:
    vectors = np.array([[0, 0], [3, 4], [1e-30, 0]], np.float32)
    np.testing.assert_allclose(normalize_rows(vectors), [[0, 0], [0.6, 0.8], [0, 0]], atol=1e-6)


@pytest.fixture
def damaged_crops(toy_data: Path, tmp_path: Path) -> Crops:
    """Twenty crops, of which 0, 5, 8 to 11 and 19 are broken."""
    crops = read_crops(toy_data)[:20]
    paths = [Path(shutil.copy(path, tmp_path)) for path in crops.paths]
    for row in (0, 5, 8, 9, 10, 11, 19):
        paths[row].write_bytes(b"no image")
    return crops.replace(paths=paths)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_broken_crops_are_left_out(model_file: Path, damaged_crops: Crops, batch_size) -> None:
    model = RuntimeModel.load(model_file)
    told: list[InputError] = []
    seen: list[int] = []
    found = model.embed(
        damaged_crops,
        batch_size=batch_size,
        on_broken=told.append,
        progress=lambda done, _: seen.append(done),
    )
    good = [1, 2, 3, 4, 6, 7, 12, 13, 14, 15, 16, 17, 18]
    readable = damaged_crops[np.array(good)]
    assert found.crops.paths == readable.paths
    np.testing.assert_array_equal(found.crops.person, readable.person)
    np.testing.assert_array_equal(found.crops.labels, readable.labels)
    np.testing.assert_allclose(found.vectors, model.embed(readable).vectors, atol=1e-5)
    names = [path.name for path in damaged_crops.paths]
    assert [next(n for n in names if n in str(error)) for error in told] == [
        names[row] for row in (0, 5, 8, 9, 10, 11, 19)
    ]
    assert seen == [min(n, 20) for n in range(batch_size, 20 + batch_size, batch_size)]


def test_the_first_broken_crop_stops(model_file: Path, damaged_crops: Crops) -> None:
    name = damaged_crops.paths[5].name
    with pytest.raises(InputError, match=f"{name} is not an image: replace or remove it"):
        RuntimeModel.load(model_file).embed(damaged_crops[1:])


def test_nothing_but_broken_crops(model_file: Path, damaged_crops: Crops) -> None:
    with pytest.raises(InputError, match="None of the 4 crops can be decoded: give JPEG or PNG"):
        RuntimeModel.load(model_file).embed(damaged_crops[8:12], on_broken=lambda _: None)


def test_no_crops_give_no_rows(model_file: Path) -> None:
    model = RuntimeModel.load(model_file)
    assert model.embed(Crops(())).vectors.shape == (0, 96)


def test_a_batch_of_nothing(model_file: Path, damaged_crops: Crops) -> None:
    with pytest.raises(InputError, match="batch size is 0: give 1 or more"):
        RuntimeModel.load(model_file).embed(damaged_crops, batch_size=0)


def test_an_image_in_words(model_file: Path, toy_data: Path) -> None:
    image = next((toy_data / "queries").iterdir())
    described = RuntimeModel.load(model_file).predict_attributes(image)
    assert len(described) == 32
    assert {"female", "backpack", "red top", "adult"} <= set(described)
    assert all(0 <= p <= 1 for p in described.values())


def test_normalising_by_hand() -> None:
    preprocessing = Preprocessing(height=8, width=8, mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.1))
    pixels = np.array([[[[255, 0, 51]]]], np.uint8)
    expected = [(1 - 0.5) / 0.5, (0 - 0.4) / 0.25, (0.2 - 0.3) / 0.1]
    np.testing.assert_allclose(normalize_pixels(pixels, preprocessing).ravel(), expected, atol=1e-6)


def test_the_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        values = sigmoid(np.array([-80, -1, 0, 1, 80], np.float32))
    np.testing.assert_allclose(values, [0, 0.268941, 0.5, 0.731059, 1], atol=1e-6)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"attributes": []}, "has no attributes: name one"),
        ({"attributes": [{"name": "hat"}, {"name": "hat"}]}, "'hat' is named twice"),
        ({"attributes": [{"nam": "hat"}]}, "not a schema of attributes"),
        ({"attributes": [{"name": "hat"}]}, r"attributes has the shape \[32\], but .* says \[1\]"),
        (None, "attributes"),
    ],
)
def test_a_schema_that_does_not_fit(broken: Path, schema: object, message: str) -> None:
    edit(broken, schema=schema)
    if schema is None:
        # a model that is said to answer no attributes is not asked for them
        assert RuntimeModel.load(broken).schema is None
        return
    with pytest.raises(InputError, match=message):
        RuntimeModel.load(broken)


def test_a_model_of_another_format(broken: Path) -> None:
    edit(broken, format=1)
    with pytest.raises(InputError, match=r"model\.json: format: .*save the model again"):
        RuntimeModel.load(broken)


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_damaged_description(broken: Path, content: bytes) -> None:
    (broken / "model.json").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.json: .*save the model again"):
        RuntimeModel.load(broken)


def test_a_network_cut_in_half(broken: Path) -> None:
    path = broken / "model.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"model\.onnx is damaged"):
        RuntimeModel.load(broken)


def test_a_missing_network(broken: Path) -> None:
    (broken / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"not a whole model file: model\.onnx is missing"):
        RuntimeModel.load(broken)


def test_a_network_that_was_changed(broken: Path) -> None:
    path = broken / "model.onnx"
    content = bytearray(path.read_bytes())
    content[-200:] = bytes(200)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="damaged or not the one that model.json describes"):
        RuntimeModel.load(broken)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding_size": 7}, r"embedding has the shape \[96\], but model\.json says \[7\]"),
        ({"decision": {"rule": "thresholds", "thresholds": [0.5]}}, "must be 32 numbers from 0 to"),
        ({"decision": {"rule": "thresholds", "thresholds": [5] * 32}}, "must be 32 numbers from 0"),
        ({"decision": {"rule": "thresholds"}}, r"model\.json: .*come together"),
    ],
)
def test_a_description_that_does_not_fit(broken: Path, changes: dict, message: str) -> None:
    edit(broken, **changes)
    with pytest.raises(InputError, match=message):
        RuntimeModel.load(broken)


@pytest.mark.parametrize(("key", "value"), [("height", 128), ("height", 0), ("std", [0, 0, 0])])
def test_a_preprocessing_that_does_not_fit(broken: Path, key: str, value: object) -> None:
    before = json.loads((broken / "model.json").read_text())["preprocessing"]
    edit(broken, preprocessing=before | {key: value})
    with pytest.raises(InputError, match=r"save the model again"):
        RuntimeModel.load(broken)


def test_a_model_that_answers_nan(toy_data: Path, tmp_path: Path) -> None:
    network = PersonModel(
        Architecture(backbone="test_resnet", size=(64, 32)), MARKET1501_ATTRIBUTES
    )
    save_model(network, tmp_path / "m", name="x")
    model = RuntimeModel.load(tmp_path / "m")
    model._network = type("Backend", (), {"run": lambda *_: [np.full((2, 96), np.nan)] * 2})()
    with pytest.raises(InputError, match="The model answers NaN"):
        model.embed(read_crops(toy_data)[:2])


def test_a_model_without_attributes(toy_data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), None)
    save_model(network, tmp_path / "m", name="who", tasks=("identity",))
    model = RuntimeModel.load(tmp_path / "m")
    crops = read_crops(toy_data)[:3]
    for flip in (False, True):
        found = model.embed(crops, flip=flip)
        assert found.attributes is None
        assert found.schema is None
        assert found.vectors.shape == (3, 96)
    with pytest.raises(InputError, match="was not trained on attributes"):
        model.predict_attributes(crops.paths[0])


def test_images_in_memory_answer_as_their_files_do(model_file: Path, toy_data: Path) -> None:
    model = RuntimeModel.load(model_file)
    crops = read_crops(toy_data)[:3]
    pixels = [decode(path) for path in crops.paths]
    expected = model.embed(crops).vectors
    for images, channels in (
        (list(crops.paths), "rgb"),
        ([str(path) for path in crops.paths], "rgb"),
        (pixels, "rgb"),
        ([Image.fromarray(image) for image in pixels], "rgb"),
        ([image[:, :, ::-1] for image in pixels], "bgr"),
    ):
        found = model.embed_images(images, channels=channels).vectors
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert model.predict_attributes(pixels[0][:, :, ::-1], channels="bgr") == pytest.approx(
        model.predict_attributes(crops.paths[0]), abs=1e-5
    )


@pytest.mark.parametrize(
    ("image", "channels", "message"),
    [
        (np.zeros((64, 32)), "rgb", r"dtype float64 and shape \(64, 32\) cannot be used"),
        (np.zeros((64, 32, 4), np.uint8), "rgb", r"shape \(64, 32, 4\)"),
        (np.zeros((4, 32, 3), np.uint8), "rgb", "32×4 pixels, too few"),
        (np.zeros((64, 32, 3), np.uint8), "hsv", "`channels` is 'hsv': choose 'rgb' or 'bgr'"),
        (None, "rgb", "give a path, a PIL image, or an array of uint8"),
    ],
)
def test_what_is_not_an_image(model_file: Path, image: object, channels: str, message) -> None:
    with pytest.raises(InputError, match=message):
        RuntimeModel.load(model_file).predict_attributes(image, channels=channels)


def test_two_people_of_one_frame_are_two_crops(model_file: Path, tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    Image.fromarray(frame).save(tmp_path / "frame.png")
    boxes = [(10, 20, 30, 60), (100, 30, 40, 80), (140, 100, 40, 40)]
    crops = Crops([tmp_path / "frame.png"] * 3, box=boxes)
    model = RuntimeModel.load(model_file)
    # what reaches beyond the picture is left out
    parts = [frame[20:80, 10:40], frame[30:110, 100:140], frame[100:120, 140:160]]
    expected = model.embed_images(parts).vectors
    np.testing.assert_allclose(model.embed(crops).vectors, expected, atol=1e-6)
    outside = Crops([tmp_path / "frame.png"], box=[(500, 20, 30, 60)])
    with pytest.raises(InputError, match="of the box 500 20 30 60 fewer than 8 pixels a side lie"):
        model.embed(outside)


def test_pictures_that_look_wrong_are_named(model_file: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2000, 900, 3), np.uint8)
    for name, image in (
        ("a.png", noise[:64, :32]),
        ("b.png", noise[:60, :200]),
        ("c.png", noise[:1100]),
        ("d.png", np.zeros((64, 32, 3), np.uint8)),
        ("e.png", noise[100:160, :201]),
    ):
        Image.fromarray(image).save(tmp_path / name)
    told: list[str] = []
    RuntimeModel.load(model_file).embed(read_crops(tmp_path), on_remark=told.append)
    assert [sentence[:40] for sentence in told] == [
        "2 of 5 crops, b.png first: each is wider",
        "c.png is more than 1024 pixels high, so ",
        "d.png is blank, so nothing can be recogn",
    ]


def test_a_model_that_answers_the_same_for_everything(model_file: Path, toy_data: Path) -> None:
    told: list[str] = []
    crops = Crops([read_crops(toy_data).paths[0]] * 25)
    RuntimeModel.load(model_file).embed(crops, on_remark=told.append)
    assert told == [
        "The model answers the same for all 25 crops: they are copies of one picture, or the model "
        "has learned nothing."
    ]
    told.clear()
    RuntimeModel.load(model_file).embed(read_crops(toy_data)[:25], on_remark=told.append)
    assert told == []
