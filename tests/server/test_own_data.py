"""Galleries of one's own cameras, persons, columns and attributes."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from passerby.data import COLUMNS, Attribute, Column, Crops, Schema, register_column
from passerby.data.columns import BOX, NUMBER, TEXT
from passerby.data.suspicions import SUSPICIONS, TALLEST
from passerby.gallery import Gallery
from passerby.inference import RuntimeModel
from passerby.server import Limits, create_app
from passerby.server.cards import facts_of
from passerby.server.errors import in_form_words
from passerby.server.filter_form import COLOURS, filter_groups

HTMX = {"HX-Request": "true"}
OWN = ("helmet", "Skirt&Dress", "Age18-60")

MakeModel = Callable[[Schema | None], Path]
Serve = Callable[..., tuple[Gallery, TestClient]]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Saves very small untrained networks."""
    import torch

    from passerby.models import Architecture, PersonModel, save_model

    def make(schema: Schema | None) -> Path:
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("models") / "own"
        model = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), schema)
        save_model(
            model, folder, name="own", tasks=("identity",) if schema is None else ("attributes",)
        )
        return folder

    return make


@pytest.fixture(scope="session")
def own_model(make_model: MakeModel) -> Path:
    """A model of three attributes that are not plain words."""
    return make_model(Schema.of(OWN))


@pytest.fixture
def serve(tmp_path: Path, unlimited: Limits) -> Iterator[Serve]:
    """Makes a gallery of crops by a model, and asks its server."""
    running: list[TestClient] = []

    def start(folder: Path, crops: Crops | None = None) -> tuple[Gallery, TestClient]:
        gallery = Gallery.create(
            tmp_path / f"gallery{len(running)}", RuntimeModel.load(folder), model_source=str(folder)
        )
        if crops is not None:
            gallery.add(crops)
        app = create_app(gallery, limits=unlimited)
        running.append(TestClient(app, base_url="http://127.0.0.1").__enter__())
        return gallery, running[-1]

    yield start
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def lane() -> Iterator[Column]:
    """A column that somebody declares outside the package."""
    column = Column("lane_side", TEXT, "the side of the road")
    register_column(column)
    yield column
    del COLUMNS[column.name]


def png(height: int, width: int, *, blank: bool = False) -> bytes:
    rng = np.random.default_rng(height * 10_000 + width)
    pixels = np.full((height, width, 3), 90, np.uint8)
    if not blank:
        pixels = rng.integers(0, 256, pixels.shape, np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def search_page(client: TestClient, form_token, data: dict, files: list | None = None) -> str:
    answer = client.post(
        "/search", data={"form_token": form_token(client), **data}, files=files, headers=HTMX
    )
    assert answer.status_code == 200, answer.text
    return answer.text


# ---- cameras and persons by name ----


@pytest.fixture
def named(serve: Serve, own_model: Path, crop_files: list[Path]) -> tuple[Gallery, TestClient]:
    """Crops of cameras "north gate", "1" and nobody knows, and of persons of two datasets."""
    crops = Crops(
        crop_files[:6],
        camera=["north gate", "north gate", "1", "01", "", "it's"],
        person=["7", "7", "7", "0007", "", "Ann"],
        dataset=["a", "a", "b", "b", "", ""],
        track=["t 1", "t 1", "", "", "", ""],
    )
    return serve(own_model, crops)


@pytest.mark.parametrize(
    ("cameras", "count"),
    [
        (["north gate"], 2),
        (["1"], 1),
        (["01"], 1),
        ([""], 1),
        (["unknown"], 0),
        (["it's"], 1),
        (["north gate", "", "1"], 4),
        (["north"], 0),
    ],
)
def test_cameras_are_exact_text(
    named, form_token, hashes_in, cameras: list[str], count: int
) -> None:
    _, client = named
    assert len(hashes_in(search_page(client, form_token, {"camera": cameras}))) == count


def test_the_form_offers_cameras_by_name(named) -> None:
    page = named[1].get("/").text
    found = re.findall(r'name="camera" value="([^"]*)"', page)
    assert found == ["01", "1", "it&#39;s", "north gate", ""]


def test_all_that_is_known_is_shown(named, crop_files: list[Path], form_token) -> None:
    _, client = named
    page = search_page(client, form_token, {"where": 'track = "t 1"'})
    assert page.count("<dt>camera</dt><dd>north gate</dd>") == 2
    assert page.count("<dt>person</dt><dd>7</dd>") == 2
    assert page.count("<dt>track</dt><dd>t 1</dd>") == 2
    first = page[: page.index("</dl>")]
    order = re.findall(r"<dt>(\w+)</dt>", first)
    assert order == ["camera", "person", "dataset", "track"]
    value = hashlib.sha256(crop_files[0].read_bytes()).hexdigest()
    assert "<dt>dataset</dt><dd>a</dd>" in client.get(f"/crops/{value}").text
    crop = client.get(f"/api/crops/{value}").json()
    told = {"dataset": "a", "person": "7", "camera": "north gate", "track": "t 1"}
    unknown = {"time": None, "source": None, "box": None}
    assert {name: crop[name] for name in (*told, *unknown)} == {**told, **unknown}
    stored = client.get("/stored").text
    assert "Camera, time, source, person, dataset, track, box and file name" in stored
    assert "<td>north gate</td>" in stored


def test_a_person_is_its_dataset_and_name(named) -> None:
    gallery, client = named
    doubtful = client.post("/api/forget", json={"person": "7"})
    assert doubtful.status_code == 422
    assert "'a', 'b' each have a person '7'" in doubtful.json()["detail"]
    assert doubtful.json()["detail"].endswith("give dataset.")
    asked = {"person": "7", "dataset": "a"}
    assert client.post("/api/forget", json=asked).json()["rows"] == 2
    erased = client.post("/api/forget", json={**asked, "confirm": 2}).json()
    assert (erased["rows"], erased["scanned"]) == (2, True)
    assert gallery.count("person = '7'") == 1
    # "0007" is somebody else
    assert client.post("/api/forget", json={"person": "0007"}).json()["rows"] == 1
    assert client.post("/api/forget", json={"person": "Ann", "dataset": ""}).json()["rows"] == 1
    alone = client.post("/api/forget", json={"dataset": "a", "where": "helmet"})
    assert alone.status_code == 422
    assert alone.json()["detail"] == "dataset says whose person is meant: give both, or neither."


# ---- what is known when a crop is added ----


def test_every_column_is_a_field(serve: Serve, own_model: Path, stranger: bytes, sent) -> None:
    _, client = serve(own_model)
    told = {
        "dataset": "mine",
        "person": "Zoë",
        "camera": "north gate",
        "track": "12",
        "time": "2026-11-01T08:30+02:00",
        "source": "gate",
        "box": "2 3 20 40",
    }
    answer = client.post("/api/add", files=sent(stranger), data=told).json()
    frame = hashlib.sha256(stranger).hexdigest()
    value = hashlib.sha256(f"{frame}:2,3,20,40".encode()).hexdigest()
    assert answer == {"added": 1, "known": 0, "hashes": [value], "remarks": []}
    crop = client.get(f"/api/crops/{value}").json()
    expected = {**told, "time": "2026-11-01T06:30:00Z", "box": [2, 3, 20, 40]}
    assert {name: crop[name] for name in told} == expected
    found = client.post("/api/search", data={"where": "camera = 'north gate'"}).json()["answers"]
    expected["time"] = "2026-11-01T06:30:00+00:00"
    assert [{name: one[name] for name in told} for one in found] == [expected]
    assert "<dt>box</dt><dd>2 3 20 40</dd>" in client.get(f"/crops/{value}").text
    # the whole picture is another crop
    assert client.post("/api/add", files=sent(stranger)).json()["hashes"] == [frame]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"box": "1 2 3"}, "box: write left, top, width and height in pixels"),
        ({"box": "1 2 0 4"}, "box: write left, top, width and height in pixels"),
        ({"box": "5000 0 50 100"}, "of the box 5000 0 50 100 fewer than 8 pixels a side"),
        ({"track": "x" * 201}, "track: write at most 200 letters."),
        ({"dataset": "a\nb"}, "dataset: leave out line breaks"),
        ({"role": "junk"}, "'role' is not a field of this request"),
    ],
)
def test_wrong_values_are_told(
    serve: Serve, own_model: Path, stranger, sent, fields: dict, sentence: str
) -> None:
    gallery, client = serve(own_model)
    answer = client.post("/api/add", files=sent(stranger), data=fields)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]
    assert len(gallery) == 0


def test_a_column_from_outside(
    lane: Column, serve: Serve, own_model: Path, stranger, sent, form_token
) -> None:
    _, client = serve(own_model)
    document = client.get("/openapi.json").json()
    shapes = document["components"]["schemas"]
    form = next(shape for name, shape in shapes.items() if name.startswith("Body_add"))
    assert "side of the road" in form["properties"][lane.name]["description"]
    assert lane.name in shapes["FoundCrop"]["properties"]
    assert lane.name in shapes["KnownCrop"]["properties"]
    added = client.post("/api/add", files=sent(stranger), data={lane.name: "far left"}).json()
    value = added["hashes"][0]
    assert client.get(f"/api/crops/{value}").json()[lane.name] == "far left"
    data = {"where": "lane_side = 'far left'"}
    found = client.post("/api/search", data=data).json()["answers"]
    assert [one[lane.name] for one in found] == ["far left"]
    fact = "<dt>lane side</dt><dd>far left</dd>"
    assert fact in search_page(client, form_token, data)
    assert fact in client.get(f"/crops/{value}").text
    assert "box, lane side and file name" in client.get("/stored").text


def test_a_gallery_that_is_older_than_a_column(gallery: Gallery, unlimited, stranger, sent) -> None:
    register_column(Column("mood", TEXT, "how they feel"))
    try:
        app = create_app(gallery, limits=unlimited)
        with TestClient(app, base_url="http://127.0.0.1") as client:
            answer = client.post("/api/add", files=sent(stranger), data={"mood": "glad"})
            assert answer.status_code == 422
            assert "The gallery has no column mood" in answer.json()["detail"]
            assert client.post("/api/add", files=sent(stranger)).json()["added"] == 1
            found = client.post("/api/search", data={"where": "camera = 1"}).json()["answers"]
            assert {one["mood"] for one in found} == {None}
    finally:
        del COLUMNS["mood"]


def test_numbers_from_outside(serve: Serve, own_model: Path, stranger, sent) -> None:
    register_column(Column("speed", NUMBER, "how fast they go"))
    try:
        _, client = serve(own_model)
        for wrong in ("fast", "nan", "inf"):
            answer = client.post("/api/add", files=sent(stranger), data={"speed": wrong})
            assert (answer.status_code, answer.json()["detail"]) == (422, "speed: write a number.")
        added = client.post("/api/add", files=sent(stranger), data={"speed": "0"}).json()
        crop = client.get(f"/api/crops/{added['hashes'][0]}").json()
        assert crop["speed"] == 0
    finally:
        del COLUMNS["speed"]


def test_facts_in_words() -> None:
    known = {"box": [1, 2, 3, 4], "person": "", "camera": "1", "dataset": None, "path": "x"}
    assert facts_of({**known, "person": None}) == [("camera", "1"), ("box", "1 2 3 4")]
    assert BOX.format(known["box"]) == "1 2 3 4"


# ---- attributes of one's own ----


def test_three_attributes_of_ones_own(
    serve: Serve, own_model: Path, crop_files, form_token, hashes_in, sent
) -> None:
    gallery, client = serve(own_model, Crops(crop_files[:30]))
    page = client.get("/").text
    assert re.findall(r"<legend>([^<]*)</legend>", page)[:3] == [
        "Helmet",
        "Skirt&amp;Dress",
        "Age18-60",
    ]
    assert 'id="more-attributes"' not in page
    data = {"form_token": form_token(client), "is-Skirt&Dress": "yes", "is-Age18-60": "no"}
    described = client.post("/describe", data=data).text
    assert "<code>&#34;Skirt&amp;Dress&#34; and not &#34;Age18-60&#34;</code>" in described
    for value, query in (("yes", '"Skirt&Dress"'), ("no", 'not "Skirt&Dress"')):
        rows = gallery.count(gallery.to_sql(gallery.parse(query)))
        shown = hashes_in(search_page(client, form_token, {"is-Skirt&Dress": value}))
        assert len(shown) == rows
    found = client.post("/api/search", data={"where": '"Age18-60" > 0', "top_k": 50}).json()
    assert {tuple(one["attributes"]) for one in found["answers"]} == {OWN}
    part = client.get(f"/crops/{found['answers'][0]['hash']}", headers=HTMX).text
    assert re.findall(r'<meter [^>]*aria-label="([^"]*)"', part) == [
        "helmet",
        "Skirt&amp;Dress",
        "Age18-60",
    ]
    assert "The model sees" in search_page(
        client, form_token, {}, sent(crop_files[0].read_bytes())
    ) or not any(p >= 0.5 for p in found["answers"][0]["attributes"].values())


def test_a_model_without_attributes(
    serve: Serve, make_model: MakeModel, crop_files, form_token, hashes_in, sent
) -> None:
    _, client = serve(make_model(None), Crops(crop_files[:8], camera=["1"] * 8))
    page = client.get("/").text
    assert 'id="attributes"' not in page
    assert 'placeholder="camera = 1 and time' in page
    shown = search_page(client, form_token, {}, sent(crop_files[0].read_bytes()))
    assert len(hashes_in(shown)) == 7
    assert "<summary>Attributes" not in shown
    value = hashes_in(shown)[0]
    assert "<meter" not in client.get(f"/crops/{value}").text
    assert client.get(f"/api/crops/{value}").json()["attributes"] == {}
    assert "<dt>Attributes</dt>" not in client.get("/stored").text
    assert len(hashes_in(search_page(client, form_token, {"camera": "1"}))) == 8
    assert (
        "<code>camera = 1</code>"
        in client.post("/describe", data={"form_token": form_token(client), "camera": "1"}).text
    )
    answer = client.post("/api/search", data={"where": "hat"})
    assert answer.status_code == 422
    assert "was not trained on attributes" in answer.json()["detail"]


def test_many_attributes_are_folded_away(
    serve: Serve, make_model: MakeModel, crop_files, form_token
) -> None:
    names = [f"attribute {number}" for number in range(105)]
    _, client = serve(make_model(Schema.of(names)), Crops(crop_files[:3]))
    page = client.get("/").text
    above, _, folded = page.partition('id="more-attributes"')
    assert above.count("<fieldset") == 16
    assert "<summary>89 more</summary>" in folded
    assert folded[: folded.index("</details>")].count("<fieldset") == 89
    # a browser sends "any" for each of them
    everything = {f"is-{name}": "" for name in names} | {"is-attribute 104": "no"}
    data = {"form_token": form_token(client), **everything}
    described = client.post("/describe", data=data)
    assert "<code>not &#34;attribute 104&#34;</code>" in described.text


def test_labels_by_hand() -> None:
    schema = Schema(
        (
            Attribute("c1", "light blue coat", "coat colour"),
            Attribute("c2", "Red coat", "coat colour"),
            Attribute("a1", "tall", "height"),
            Attribute("a2", "small", "height"),
            Attribute("kind_of bag", "rucksack"),
            Attribute("sleeve", "long sleeve", absent="short sleeve"),
            Attribute("camera"),
        )
    )
    groups = filter_groups(schema)
    assert [group.legend for group in groups] == [
        "Coat colour",
        "Height",
        "Kind of bag",
        "Sleeve",
        "Camera",
    ]
    assert [[tick.label for tick in group.ticks] for group in groups] == [
        ["light blue", "Red"],
        ["tall", "small"],
        ["rucksack", "not rucksack"],
        ["long", "short"],
        ["yes", "no"],
    ]
    assert [tick.colour for tick in groups[0].ticks] == ["", "red"]
    assert groups[0].condition(["c1", "c2"]) == '"coat colour" in ("light blue coat", Red)'
    assert groups[2].condition(["no"]) == 'not "kind_of bag"'
    assert groups[3].condition(["no"]) == "sleeve = short"
    # a column of the same name does not get in the way
    assert groups[4].condition(["yes"]) == '"camera"'


def test_values_that_would_be_mistaken_are_written_by_name() -> None:
    # "red" is what the first one's phrase begins with: the second one stands for itself
    schema = Schema((Attribute("x", "red tie", "tie"), Attribute("red", "blue", "tie")))
    (group,) = filter_groups(schema)
    assert group.condition(["red"]) in ("tie = blue", "red")
    assert group.condition(["x", "red"]) in ('tie in ("red tie", blue)', "(x or red)")


def test_the_style_sheet_knows_the_colours() -> None:
    import passerby.server

    sheet = Path(passerby.server.__file__).with_name("static") / "passerby.css"
    assert set(re.findall(r"\.swatch\.(\w+)", sheet.read_text())) == set(COLOURS)


# ---- pictures that do not look like a crop ----


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("wide", png(64, 65)),
        ("large", png(TALLEST + 1, 40)),
        ("blank", png(64, 32, blank=True)),
    ],
)
def test_what_looks_wrong_is_said(
    serve: Serve, own_model: Path, sent, form_token, kind: str, content: bytes
) -> None:
    _, client = serve(own_model)
    remark = f"crop.jpg is {SUSPICIONS[kind]}."
    assert client.post("/api/add", files=sent(content)).json()["remarks"] == [remark]
    answer = client.post("/api/search", files=sent(content), data={"top_k": 1})
    assert answer.json()["remarks"] == [remark]
    page = search_page(client, form_token, {}, sent(content))
    assert f'<p class="message remark">{remark}</p>' in page


def test_what_is_cut_out_is_looked_at(serve: Serve, own_model: Path, sent) -> None:
    _, client = serve(own_model)
    street = png(100, 300)
    added = client.post("/api/add", files=sent(street), data={"box": "10 10 30 60"}).json()
    assert added["remarks"] == []


def test_of_many_the_first_is_named(serve: Serve, own_model: Path) -> None:
    _, client = serve(own_model)
    files = [("images", (f"{width}.png", png(64, width))) for width in (32, 70, 80)]
    remarks = client.post("/api/add", files=files).json()["remarks"]
    assert remarks == [f"2 of 3 crops, 70.png first: each is {SUSPICIONS['wide']}."]


# ---- words ----


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("Give `top_k`, not `threshold`.", "Give top_k, not threshold."),
        ("`where` 'a b': wrong.", "where 'a b': wrong."),
        ("give --top-k or --false-match-rate", "give top_k or false_match_rate"),
        ("run `passerby gallery create` with --host", "run `passerby gallery create` with --host"),
    ],
)
def test_messages_name_fields(sentence: str, shown: str) -> None:
    assert in_form_words(sentence) == shown
