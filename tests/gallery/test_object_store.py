"""A gallery at a URI."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from object_store import ObjectStore

from passerby.calibration import AnswerRule
from passerby.data import Crops
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.erasing import traces_of
from passerby.gallery.table_schema import EMBEDDING
from passerby.inference import RuntimeModel

pytestmark = pytest.mark.alone

KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    store = ObjectStore()
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    yield store
    store.close()


@pytest.fixture
def crops(toy_data: Path) -> Crops:
    """Six crops of each of three persons."""
    found = find_crops([toy_data / "train"])
    persons = found.persons
    return found.of_persons({name: who[:3] for name, who in persons.items()})


def test_all_that_one_does_with_it(
    objects: ObjectStore, model: RuntimeModel, crops: Crops, tmp_path: Path
) -> None:
    where = "s3://street/gallery"
    with pytest.raises(InputError, match="s3://street/gallery is not a gallery of Passerby"):
        Gallery.open(where)
    gallery = Gallery.create(where, model)
    with pytest.raises(InputError, match="s3://street/gallery exists already: choose another"):
        Gallery.create(where, model)
    assert gallery.add(crops).rows == 18
    assert gallery.add(crops).known == 18
    local = Gallery.create(tmp_path / "gallery", model)
    local.add(crops)
    photo = [crops.paths[0]]
    found = gallery.search(photo, "camera != 5", rule=None)
    assert [a.hash for a in found.answers] == [
        a.hash for a in local.search(photo, "camera != 5").answers
    ]
    assert found.answers

    gallery = Gallery.open(where, model)
    info = gallery.info()
    assert (info["rows"], info["persons"], info["bytes"]) == (18, 3, None)
    assert len(gallery.search(where="camera = 2").answers) == gallery.count("camera = '2'") > 0
    assert gallery.reindex(model, None) == 18
    assert gallery.repair() == 0
    assert gallery.export(tmp_path / "rows.csv") == 18
    assert [entry.operation for entry in gallery.audit()] == [
        *("create", "add", "search", "search", "reindex", "repair", "export"),
    ]


def test_erased_bytes_are_gone(objects: ObjectStore, model: RuntimeModel, crops: Crops) -> None:
    gallery = Gallery.create("s3://erased/gallery", model)
    gallery.add(crops)
    person = gallery.filter_of(person=str(crops.person[0]))
    columns = ["hash", "thumbnail", EMBEDDING]
    wanted = traces_of(gallery._store.crops.search().where(person).select(columns).to_arrow())
    stored = list(objects.objects.values())
    assert all(any(trace in content for content in stored) for trace in wanted)

    erased = gallery.erase(person, reason="asked for")
    # what lies elsewhere is not searched
    assert (erased.rows, erased.scanned) == (6, False)
    assert len(gallery) == 12
    assert [entry.operation for entry in gallery.latest_entries(2)] == ["forget", "add"]
    stored = list(objects.objects.values())
    assert not any(trace in content for content in stored for trace in wanted)


def test_several_add_the_same_crops_at_once(
    objects: ObjectStore, model: RuntimeModel, crops: Crops
) -> None:
    """There is no lock in an object store: who comes second has to notice."""
    where = "s3://shared/gallery"
    Gallery.create(where, model)

    def add(_: int) -> int:
        gallery = Gallery.open(where, model)
        return sum(gallery.add(crops[n : n + 3]).rows for n in range(0, 18, 3))

    with ThreadPoolExecutor(3) as pool:
        added = list(pool.map(add, range(3)))
    gallery = Gallery.open(where)
    hashes = [row["hash"] for row in gallery.rows(limit=100)]
    assert len(hashes) == len(set(hashes)) == sum(added) == 18


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        ((403, "AccessDenied"), f"access is refused: look at {KEYS}, and at what they allow."),
        ((503, "SlowDown"), "the object store fails: try again later."),
        ((404, "NoSuchBucket"), "there is no such bucket: make it, or fix its name."),
    ],
)
def test_a_store_that_refuses(
    objects: ObjectStore, refusal: tuple[int, str], sentence: str
) -> None:
    objects.refusal = refusal
    with pytest.raises(InputError) as error:
        Gallery.open(f"s3://{refusal[1].lower()}/gallery")
    assert str(error.value) == f"Cannot open s3://{refusal[1].lower()}/gallery: {sentence}"


def test_a_store_that_is_down(objects: ObjectStore) -> None:
    objects.close()
    with pytest.raises(InputError, match=r"s3://down/gallery: the object store cannot be reached"):
        Gallery.open("s3://down/gallery")


def test_a_store_that_goes_down(objects: ObjectStore, model: RuntimeModel, crops: Crops) -> None:
    gallery = Gallery.create("s3://going/gallery", model)
    gallery.add(crops[:6])
    objects.refusal = (403, "ExpiredToken")
    with pytest.raises(InputError, match=r"Cannot read s3://going/gallery: access is refused"):
        gallery.search([crops.paths[0]])
    with pytest.raises(InputError, match=r"s3://going/gallery: access is refused"):
        gallery.add(crops[6:])
    objects.refusal = None
    assert len(gallery) == 6


@pytest.mark.parametrize(
    "where",
    [
        "s3://",
        "s3:///x",
        "s3://b",
        "s3://b//x",
        "s3://[::1/x",
        "s3://b/x?q",
        "s3://b/x#f",
        "s3://b/g///",
        "gs://",
        "az://",
    ],
)
def test_places_that_are_none(objects: ObjectStore, model: RuntimeModel, where: str) -> None:
    for attempt in (lambda: Gallery.open(where), lambda: Gallery.create(where, model)):
        with pytest.raises(InputError) as error:
            attempt()
        assert "repair" not in str(error.value)


def test_places_of_another_sort(model: RuntimeModel) -> None:
    for place in ("file:///tmp/x", "file:/tmp/x", "s3+ddb://bucket/x?ddbTableName=t"):
        with pytest.raises(InputError, match="is not a place for a gallery: give a folder"):
            Gallery.create(place, model)
    with pytest.raises(InputError, match="names no place for a gallery: write it like s3://bucket"):
        Gallery.create(" s3://bucket/x", model)
    with pytest.raises(InputError, match=r"begins with s3://, gs://, az://"):
        Gallery.create("file:///tmp/x", model)
    with pytest.raises(InputError, match="is not a name for a gallery"):
        Gallery.create("s3://bucket/caf\udce9", model)
    with pytest.raises(InputError, match="is not a name for a gallery"):
        Gallery.create("caf\udce9", model)


def test_an_answer_that_nobody_expects(objects: ObjectStore) -> None:
    objects.refusal = (400, "ExpiredToken")
    with pytest.raises(InputError, match="look at the URI and at the object store, of which"):
        Gallery.open("s3://expired/gallery")


def test_no_azure_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(InputError, match="it asks for credentials: set AZURE_STORAGE_ACCOUNT_NAME"):
        Gallery.open("az://container/gallery")


def test_a_store_that_fails_now_and_then(
    objects: ObjectStore, model: RuntimeModel, crops: Crops
) -> None:
    gallery = Gallery.create("s3://shaky/gallery", model)
    objects.refusal, objects.every = (503, "SlowDown"), 7
    assert gallery.add(crops).rows == 18
    assert gallery.add(crops).known == 18
    found = gallery.search([crops.paths[0]], rule=AnswerRule("top_k", 20))
    assert len({answer.hash for answer in found.answers}) == 17
    assert gallery.erase(gallery.filter_of(where="camera = 1")).rows > 0
    assert objects.refused > 5
    objects.refusal = None
    assert Gallery.open("s3://shaky/gallery", model).count("camera = '1'") == 0
