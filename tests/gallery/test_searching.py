import shutil
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from passerby.calibration import AnswerRule
from passerby.data import Crops
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery, searching
from passerby.gallery.adding import commit
from passerby.gallery.memory import VectorMemory
from passerby.gallery.searching import Query, search
from passerby.gallery.store import Store
from passerby.gallery.table_schema import attribute_columns, attributes_of, vectors_of
from passerby.inference import RuntimeModel

HALF = pytest.param(
    "half", marks=pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")
)


@pytest.fixture(scope="module", params=["table", "single", HALF])
def searched(
    request: pytest.FixtureRequest,
    filled: Path,
    model: RuntimeModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Gallery:
    # every search enters the log
    copy = shutil.copytree(filled, tmp_path_factory.mktemp("searched") / "gallery")
    gallery = Gallery.open(copy, model)
    if request.param != "table":
        assert gallery.load(request.param)
    return gallery


@pytest.fixture(scope="module")
def table(searched: Gallery) -> pa.Table:
    return searched._store.crops.to_arrow()


@pytest.fixture(scope="module")
def first(toy_data: Path) -> Path:
    return find_crops([toy_data / "train"]).paths[0]


def by_hand(
    table: pa.Table, vector: np.ndarray, without: set[str], among: list[int] | None = None
) -> list[tuple[str, float]]:
    """All rows in order, by NumPy."""
    hashes = table.column("hash").to_pylist()
    away = np.sqrt(((vectors_of(table).astype(np.float64) - vector) ** 2).sum(axis=1))
    rows = range(len(hashes)) if among is None else among
    found = [(float(away[row]), hashes[row]) for row in rows if hashes[row] not in without]
    return [(value, distance) for distance, value in sorted(found)]


def found(answers: searching.AnswerSet) -> list[tuple[str, float]]:
    return [(answer.hash, answer.distance) for answer in answers.answers]


def same(ours: list[tuple[str, float]], theirs: list[tuple[str, float]]) -> None:
    assert [value for value, _ in ours] == [value for value, _ in theirs]
    np.testing.assert_allclose([d for _, d in ours], [d for _, d in theirs], atol=1e-12)


def test_by_photo_as_numpy_does(searched: Gallery, table: pa.Table, first: Path) -> None:
    crop = searched.prepare(first.read_bytes(), first)
    vector = searched.model.run(crop.pixels[None])[0][0]
    expected = by_hand(table, vector, {crop.hash})
    answers = searched.search([first], rule=AnswerRule("top_k", 25))
    same(found(answers), expected[:25])
    assert answers.searched == 144
    threshold = (expected[30][1] + expected[31][1]) / 2
    same(found(searched.search([first], rule=AnswerRule("threshold", threshold))), expected[:31])
    everything = searched.search([first], rule=AnswerRule("top_k", 1000))
    same(found(everything), expected)


def test_photos_may_be_pictures_and_arrays(searched: Gallery, first: Path) -> None:
    rule = AnswerRule("top_k", 5)
    expected = found(searched.search([first], rule=rule))
    with Image.open(first) as picture:
        rgb = np.asarray(picture.convert("RGB"))
        # the photo itself is left out by its file's hash, a picture has none
        for images, channels in (
            ([str(first)], "rgb"),
            ([picture], "rgb"),
            ([rgb], "rgb"),
            ([rgb[:, :, ::-1]], "bgr"),
        ):
            answers = found(searched.search(images, rule=rule, channels=channels))
            assert expected[0] in answers[:2]


def test_by_photo_and_description_as_numpy_does(
    searched: Gallery, table: pa.Table, first: Path
) -> None:
    crop = searched.prepare(first.read_bytes(), first)
    vector = searched.model.run(crop.pixels[None])[0][0]
    cameras = table.column("camera").to_pylist()
    among = [row for row, camera in enumerate(cameras) if camera in ("1", "3")]
    answers = searched.search([first], "camera in (1, 3)", AnswerRule("top_k", 7))
    same(found(answers), by_hand(table, vector, {crop.hash}, among)[:7])
    assert answers.searched == len(among)


def test_the_calibrated_threshold_and_probabilities(searched: Gallery, first: Path) -> None:
    calibration = searched.settings.calibration
    assert calibration is not None
    answers = searched.search([first])
    assert answers.threshold == calibration.threshold_for_f_beta(2, 144)
    distances = np.array([answer.distance for answer in answers.answers])
    assert len(distances)
    assert (distances <= answers.threshold).all()
    np.testing.assert_allclose(
        [answer.probability for answer in answers.answers],
        calibration.probability(distances, 144),
    )


def test_several_photos_are_one_query(searched: Gallery, table: pa.Table, toy_data: Path) -> None:
    paths = list(find_crops([toy_data / "train"])[:3].paths)
    crops = [searched.prepare(path.read_bytes(), path) for path in paths]
    vectors = searched.model.run(np.stack([crop.pixels for crop in crops]))[0]
    mean = vectors.mean(axis=0)
    mean /= np.linalg.norm(mean)
    expected = by_hand(table, mean, {crop.hash for crop in crops})
    same(found(searched.search(paths, rule=AnswerRule("top_k", 9))), expected[:9])
    like = searched.search(like=[crop.hash for crop in crops], rule=AnswerRule("top_k", 9))
    assert [value for value, _ in found(like)] == [value for value, _ in expected[:9]]


def test_several_persons_at_once(
    searched: Gallery, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = list(find_crops([toy_data / "train"])[:6].paths)
    persons = [paths[:1], paths[1:4], paths[4:]]
    for rule in (AnswerRule("top_k", 9), AnswerRule("recall", 0.9)):
        together = searched.search_several(persons, "camera != 2", rule)
        for images, answers in zip(persons, together, strict=True):
            alone = searched.search(images, "camera != 2", rule)
            same(found(answers), found(alone))
            assert (answers.threshold, answers.searched) == (alone.threshold, alone.searched)
    monkeypatch.setattr(searching, "MOST", 12)
    for rule in (AnswerRule("top_k", 9), AnswerRule("threshold", 2.0)):
        for answers in searched.search_several(persons, rule=rule):
            assert (len(answers.answers), answers.cut_off) == (4, True)
    with pytest.raises(InputError, match="Give a list of a photo, or several, of each person"):
        searched.search_several([paths[:1], []])


def test_what_agrees_and_what_does_not(searched: Gallery, first: Path) -> None:
    schema = searched.settings.schema_
    crop = searched.prepare(first.read_bytes(), first)
    decide = searched.settings.decision.labels
    asked = decide(searched.model.run(crop.pixels[None])[1], schema)[0]
    for answer in searched.search([first], rule=AnswerRule("top_k", 30)).answers:
        values = np.array([[answer.attributes[name] for name in schema.names]])
        labels = decide(values, schema)[0]
        for name, wanted, has in zip(schema.names, asked, labels, strict=True):
            assert (name in answer.agree) == (wanted and has)
            assert (name in answer.only_query) == (wanted and not has)
            assert (name in answer.only_crop) == (has and not wanted)
        assert set(answer.disagree) == {*answer.only_query, *answer.only_crop}


def test_by_description_alone(searched: Gallery, table: pa.Table) -> None:
    names = ("upred", "backpack")
    columns = attribute_columns(searched.settings)
    red, backpack = attributes_of(table, [columns[name] for name in names]).astype(np.float64).T
    cameras = np.array(table.column("camera").to_pylist())
    hashes = table.column("hash").to_pylist()
    score = red * (1 - backpack)
    rows = [row for row in range(len(table)) if cameras[row] != "2" and red[row] >= 0.001]
    rows.sort(key=lambda row: (-score[row], hashes[row]))
    answers = searched.search(
        where="upred >= 0.001 and backpack <= 1 and camera != 2", rule=AnswerRule("top_k", 12)
    )
    assert [answer.hash for answer in answers.answers] == [hashes[row] for row in rows[:12]]
    np.testing.assert_allclose([a.score for a in answers.answers], score[rows[:12]], atol=1e-6)
    assert (answers.searched, answers.cut_off) == (len(rows), True)
    assert all(answer.distance is None for answer in answers.answers)


def test_of_equally_probable_crops_the_latest_come_first(
    model: RuntimeModel, toy_data: Path, tmp_path: Path
) -> None:
    gallery = Gallery.create(tmp_path / "gallery", model)
    paths = list(find_crops([toy_data / "train"])[:4].paths)
    days = [3, 1, 4, 2]
    gallery.add(
        Crops(
            paths,
            camera=["1"] * 4,
            time=[datetime(2026, 11, day, tzinfo=UTC) for day in days],
        )
    )
    found = gallery.search(where="camera = 1", rule=AnswerRule("top_k", 3)).answers
    assert [answer.known["time"].day for answer in found] == [4, 3, 2]


def test_nobody_fits(searched: Gallery, first: Path) -> None:
    assert searched.search(where="camera = 77").answers == ()
    assert searched.search([first], "camera = 77").answers == ()
    nearer = AnswerRule("threshold", -1.0)
    assert searched.search([first], rule=nearer).answers == ()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "Nothing is searched for"),
        ({"where": "upred", "rule": AnswerRule("recall", 0.9)}, "no distances to cut at"),
        ({"like": ["0" * 64]}, "has no crop 000000000000"),
        ({"like": ["x' OR true"]}, "is not a hash of a crop"),
        ({"images": [Path("nothing.jpg")]}, "Cannot read nothing.jpg"),
        ({"images": [Path("a")], "like": ["0" * 64]}, "not with both"),
        ({"where": "upredd"}, "did you mean 'upred'"),
    ],
)
def test_searches_with_mistakes(searched: Gallery, query: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        searched.search(**query)


def test_a_model_without_calibration(
    model_file: Path, toy_data: Path, tmp_path: Path, first: Path
) -> None:
    gallery = Gallery.create(tmp_path / "gallery", RuntimeModel.load(model_file))
    gallery.add(find_crops([toy_data / "train"])[:5])
    with pytest.raises(InputError, match="is not calibrated"):
        gallery.search([first])
    answers = gallery.search([first], rule=AnswerRule("top_k", 2)).answers
    assert [answer.probability for answer in answers] == [None, None]


def add_synthetic(store: Store, vectors: np.ndarray, cameras: list[int]) -> list[str]:
    count = len(vectors)
    hashes = [f"{number:064x}" for number in range(count)]
    from datetime import UTC, datetime

    known = {
        "hash": hashes,
        "path": [None] * count,
        "person": [None] * count,
        "camera": [None if camera is None else str(camera) for camera in cameras],
        "time": [None] * count,
        "source": [None] * count,
        "added": [datetime.now(UTC)] * count,
        "thumbnail": [None] * count,
    }
    size = len(store.settings.schema_)
    commit(store, known, np.full((count, size), 0.5, np.float32), vectors)
    return hashes


@given(
    groups=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    top_k=st.integers(1, 60),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=15)
def test_ties_by_hash_however_many(
    groups: list[int],
    top_k: int,
    seed: int,
    model: RuntimeModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Groups of rows that are equally far, larger than the rows fetched at first."""
    gallery = Gallery.create(tmp_path_factory.mktemp("ties") / "gallery", model)
    size = gallery.settings.embedding_size
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((len(groups), size)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = np.repeat(centres, groups, axis=0)
    vectors = vectors[generator.permutation(len(vectors))]
    add_synthetic(gallery._store, vectors, [0] * len(vectors))
    query = Query(centres[0], np.full(len(gallery.settings.schema_), 0.5, np.float32))
    answers = search(gallery._store, query, rule=AnswerRule("top_k", top_k))
    table = gallery._store.crops.to_arrow()
    same(found(answers), by_hand(table, centres[0], set())[:top_k])
    memory = VectorMemory(gallery._store)
    again = search(gallery._store, query, rule=AnswerRule("top_k", top_k), memory=memory)
    same(found(again), by_hand(table, centres[0], set())[:top_k])
