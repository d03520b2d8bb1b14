import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.gallery import Answer, Gallery
from passerby.inference import Decision, RuntimeModel
from passerby.server import create_app
from passerby.server.cards import CardMaker, percent
from passerby.server.results import BEYOND, PAGE

HTMX = {"HX-Request": "true"}


@pytest.fixture
def search(client, form_token):
    """Sends the search form of the page."""

    def send(data: dict, files: list | None = None, part: bool = True):
        data = {"form_token": form_token(client), **data}
        return client.post("/search", data=data, files=files, headers=HTMX if part else {})

    return send


def states(page: str) -> list[str]:
    return re.findall(r'<li class="card (\w+)"', page)


def test_the_form_offers_what_the_gallery_holds(client, gallery: Gallery) -> None:
    page = client.get("/").text
    for camera, count in gallery.info()["cameras"].items():
        assert f'name="camera" value="{camera}"><span>{camera} <small>{count}</small>' in page
    for name in (
        "is-gender",
        "is-hat",
        "is-upper colour",
        "is-lower colour",
        "where",
        "reason",
        "images",
    ):
        assert f'name="{name}"' in page
    assert f"The gallery holds {len(gallery)} crops" in page


def test_answers_come_in_order_and_are_cut_at_the_threshold(
    search, gallery: Gallery, crop_files, as_png, sent, hashes_in
) -> None:
    picture = as_png(crop_files[8])
    page = search({}, sent(picture)).text
    crop = gallery.prepare(picture, Path("a.png"))
    expected = gallery.search([crop])
    within = len(expected.answers)
    shown = hashes_in(page)
    assert shown[0] == hashlib.sha256(crop_files[8].read_bytes()).hexdigest()
    assert shown[: min(within, PAGE)] == [answer.hash for answer in expected.answers[:PAGE]]
    distances = [float(value) for value in re.findall(r'data-distance="([\d.]+)"', page)]
    assert distances == sorted(distances)
    assert len(distances) == min(PAGE, len(gallery))
    assert f"<strong>{within if within < PAGE else f'{PAGE}+'}</strong>" in page
    assert f'value="{expected.threshold:.6f}"' in page
    counted = states(page)
    assert counted.count("within") == min(within, PAGE)
    assert counted.count("beyond") == min(BEYOND, len(counted) - counted.count("within"))
    assert counted == sorted(counted, key=["within", "beyond", "hidden"].index)
    # the line stands behind the last answer
    before = page[: page.index('id="cut"')]
    assert len(hashes_in(before)) == counted.count("within")
    assert "data:image/jpeg;base64," in page


def test_a_description_alone_has_no_threshold(search, gallery: Gallery, hashes_in) -> None:
    page = search({"camera": ["2"]}).text
    assert len(hashes_in(page)) == min(PAGE, gallery.info()["cameras"]["2"])
    assert 'id="threshold"' not in page
    assert 'id="cut"' not in page
    assert set(states(page)) == {"within"}


def test_ticks_photos_and_words_together(
    search, gallery: Gallery, crop_files, sent, hashes_in
) -> None:
    ticked = {"is-backpack": "yes", "camera": ["1", "4"], "where": 'not person = "0003"'}
    page = search(ticked, sent(crop_files[0].read_bytes())).text
    where = gallery.to_sql(gallery.parse('backpack and camera in (1, 4) and (not person = "0003")'))
    assert 1 < gallery.count(where) < gallery.count("camera IN ('1', '4')")
    own = gallery.count(f"{where} AND hash = '{crop_files_hash(crop_files[0])}'")
    assert len(hashes_in(page)) == gallery.count(where) - own


def crop_files_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_more_like_this(search, crop_files, hashes_in, sent) -> None:
    value = crop_files_hash(crop_files[3])
    # the photo that is still in the form does not count
    page = search({"more_like": value, "like": "0" * 64}, sent(crop_files[0].read_bytes())).text
    assert value not in hashes_in(page)
    assert f'data-like="{value}"' in page
    again = search({"like": value, "camera": "1"})
    assert again.status_code == 200
    assert value not in hashes_in(again.text)


def test_show_more(search, crop_files, sent, gallery, hashes_in) -> None:
    files = sent(crop_files[0].read_bytes())
    page = search({}, files).text
    assert f'name="most" value="{2 * PAGE}"' in page
    more = search({"most": str(2 * PAGE)}, files).text
    assert len(hashes_in(more)) == len(gallery) - 1
    assert 'name="most"' not in more
    for wrong in ("0", "-1", "x", "9" * 5000, "1e9", "٣"):
        assert search({"most": wrong}, files).status_code == 200


def test_without_scripts_the_whole_page_comes(search, crop_files, sent, hashes_in) -> None:
    page = search({}, sent(crop_files[0].read_bytes()), part=False).text
    assert "<!doctype html>" in page
    assert len(hashes_in(page)) == PAGE
    assert 'id="search-form"' in page


def test_an_empty_form_and_a_search_that_finds_nobody(search) -> None:
    nothing = search({})
    assert nothing.status_code == 422
    assert "Nothing is searched for" in nothing.text
    assert nothing.headers["hx-retarget"] == "#message"
    nobody = search({"where": "camera = 99"})
    assert nobody.status_code == 200
    assert "No crop fits the description" in nobody.text


def test_ticks_in_words(client, form_token) -> None:
    data = {"form_token": form_token(client), "is-hat": "no", "where": "bag"}
    assert "<code>not hat and (bag)</code>" in client.post("/describe", data=data).text
    data["where"] = "bag) or (hat"
    assert client.post("/describe", data=data).status_code == 422
    assert "anybody" in client.post("/describe", data={"form_token": data["form_token"]}).text


def test_the_attributes_of_a_crop(client, crop_files) -> None:
    value = crop_files_hash(crop_files[0])
    part = client.get(f"/crops/{value}", headers=HTMX).text
    assert part.count("<meter") == len(MARKET1501_ATTRIBUTES.names)
    assert "red top" in part
    assert "<html" not in part
    assert "<html" in client.get(f"/crops/{value}").text
    assert client.get(f"/crops/{'0' * 64}").status_code == 404
    assert client.get("/crops/x").status_code == 422


def test_erasing_takes_two_steps(client, gallery: Gallery, crop_files, form_token) -> None:
    before = len(gallery)
    chosen = [crop_files_hash(path) for path in crop_files[:2]]
    token = form_token(client)
    asked = client.post("/erase/confirm", data={"form_token": token, "hash": chosen}, headers=HTMX)
    assert asked.status_code == 200
    assert "Erase 2 crops?" in asked.text
    assert all(f"/api/crops/{value}/thumbnail" in asked.text for value in chosen)
    assert len(gallery) == before
    data = {"form_token": token, "hash": chosen, "confirm": "1"}
    assert client.post("/erase", data=data, headers=HTMX).status_code == 422
    assert len(gallery) == before
    done = client.post("/erase", data={**data, "confirm": "2", "reason": "asked to"}, headers=HTMX)
    assert done.status_code == 200
    assert "2 crops erased for good." in done.text
    assert "nothing of them is left" in done.text
    assert len(gallery) == before - 2
    assert gallery.audit()[-1].reason == "asked to"
    assert client.post("/erase/confirm", data={**data}).status_code == 422
    assert client.post("/erase/confirm", data={"form_token": token}).status_code == 422


def test_without_scripts_erasing_works_too(client, gallery, crop_files, form_token) -> None:
    before = len(gallery)
    data = {"form_token": form_token(client), "hash": crop_files_hash(crop_files[0])}
    page = client.post("/erase/confirm", data=data).text
    assert "<html" in page
    assert "Erase 1 crop?" in page
    done = client.post("/erase", data={**data, "confirm": "1"})
    assert "<html" in done.text
    assert "1 crop erased for good." in done.text
    assert len(gallery) == before - 1


def test_what_is_stored(client, gallery: Gallery) -> None:
    page = client.get("/stored").text
    assert f"<b>{len(gallery)}</b> crops" in page
    assert "kept until erased" in page
    assert "No period is set" in page
    assert "256 × 128 pixels" in page
    assert "<td>create</td>" in page


@pytest.fixture
def paths_client(tmp_path: Path, model, calibrated_model, crop_files, unlimited):
    """Asks the server of a gallery that keeps no pictures."""
    from starlette.testclient import TestClient

    gallery = Gallery.create(
        tmp_path / "paths", model, model_source=str(calibrated_model), images="paths"
    )
    gallery.add(Crops(crop_files[:5]))
    app = create_app(gallery, limits=unlimited)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_a_gallery_without_pictures(paths_client, crop_files, sent, form_token, hashes_in) -> None:
    data = {"form_token": form_token(paths_client)}
    page = paths_client.post(
        "/search", data=data, files=sent(crop_files[0].read_bytes()), headers=HTMX
    ).text
    assert len(hashes_in(page)) == 4
    assert page.count("no picture kept") == 4
    assert "/thumbnail" not in page
    assert "camera unknown" in page
    value = hashes_in(page)[0]
    assert paths_client.get(f"/api/crops/{value}/thumbnail").status_code == 404
    assert "only where the image file lies" in paths_client.get("/stored").text


def test_an_empty_gallery(tmp_path, model, calibrated_model, form_token, stranger, sent) -> None:
    from starlette.testclient import TestClient

    gallery = Gallery.create(tmp_path / "empty", model, model_source=str(calibrated_model))
    with TestClient(create_app(gallery), base_url="http://127.0.0.1") as client:
        assert "The gallery is empty" in client.get("/").text
        assert client.get("/stored").status_code == 200
        data = {"form_token": form_token(client)}
        for files, fields in ((sent(stranger), {}), (None, {"where": "hat"})):
            answer = client.post("/search", data={**data, **fields}, files=files, headers=HTMX)
            assert answer.status_code == 200
            assert "Nobody" in answer.text
        answer = client.post("/api/search", files=sent(stranger))
        assert answer.json()["answers"] == []


def test_a_model_without_calibration(
    tmp_path, model_file, crop_files, form_token, sent, hashes_in
) -> None:
    from starlette.testclient import TestClient

    folder = Path(shutil.copytree(model_file, tmp_path / "model"))
    gallery = Gallery.create(tmp_path / "g", RuntimeModel.load(folder), model_source=str(folder))
    gallery.add(Crops(crop_files[:20]))
    with TestClient(create_app(gallery), base_url="http://127.0.0.1") as client:
        page = client.post(
            "/search",
            data={"form_token": form_token(client)},
            files=sent(crop_files[0].read_bytes()),
            headers=HTMX,
        ).text
    assert states(page) == ["within"] * BEYOND + ["beyond"] * (19 - BEYOND)
    assert "not calibrated" in page
    assert 'class="percent"' not in page


def test_percentages_never_claim_certainty() -> None:
    assert [percent(p) for p in (0, 0.001, 0.014, 0.5, 0.987, 0.9999, 1)] == [
        "< 1 %",
        "< 1 %",
        "1 %",
        "50 %",
        "99 %",
        "> 99 %",
        "> 99 %",
    ]


def maker(frequencies=()) -> CardMaker:
    return CardMaker(MARKET1501_ATTRIBUTES, Decision("fixed"), frequencies)


def attributes(**values: float) -> dict[str, float]:
    return dict.fromkeys(MARKET1501_ATTRIBUTES.names, 0.1) | values


def test_the_rarest_attributes_tell_the_most() -> None:
    frequencies = np.full(len(MARKET1501_ATTRIBUTES.names), 0.5)
    for name, rate in (("hat", 0.02), ("clothes", 0.95), ("upred", 0.1), ("adult", 0.8)):
        frequencies[MARKET1501_ATTRIBUTES.index(name)] = rate
    seen = attributes(hat=0.9, clothes=0.9, upred=0.8, upblue=0.6, adult=0.9, gender=0.1)
    # bits by hand: hat 5.1, red 2.7, male and others 0.9, adult 0.3, pants 0.1
    telling = maker(frequencies.tolist()).telling(seen, 20)
    assert telling[:2] == ("hat", "red top")
    assert "blue top" not in telling
    assert "no backpack" not in telling
    assert telling[-2:] == ("adult", "pants")
    assert "male" in telling


def test_chips_by_hand() -> None:
    from datetime import UTC, datetime

    answer = Answer(
        hash="0" * 64,
        path=None,
        known={
            "person": None,
            "camera": "3",
            "time": datetime(2026, 11, 1, 8, 30, tzinfo=UTC),
            "source": None,
        },
        added=datetime(2026, 11, 2, tzinfo=UTC),
        distance=0.5,
        probability=0.25,
        score=None,
        attributes=attributes(hat=0.9, upred=0.95),
        agree=("hat",),
        only_query=("bag", "backpack"),
        only_crop=("upred",),
    )
    card = maker().card(answer, 4, "within")
    assert [(chip.text, chip.kind) for chip in card.chips] == [
        ("hat", "both"),
        ("red top", "crop"),
        ("bag", "query"),
        ("backpack", "query"),
    ]
    assert card.percent == "25 %"
    assert card.facts == (("camera", "3"), ("time", "2026-11-01 08:30 UTC"))
    assert card.alt.startswith("crop, camera 3: ")
    assert "red top" in card.alt
