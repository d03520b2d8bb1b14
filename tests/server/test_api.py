import hashlib
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.gallery import Gallery

UNKNOWN = "0" * 64


def only_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_photo_finds_its_own_crop_first(client, crop_files, sent, as_png) -> None:
    answer = client.post("/api/search", files=sent(as_png(crop_files[5])), data={"top_k": 3})
    found = answer.json()["answers"]
    assert answer.status_code == 200
    assert len(found) == 3
    assert found[0]["hash"] == only_hash(crop_files[5])
    assert found[0]["distance"] < 1e-3
    assert found[0]["distance"] <= found[1]["distance"] <= found[2]["distance"]
    assert found[0]["person"] == "0001"
    assert set(found[0]["attributes"]) == set(MARKET1501_ATTRIBUTES.names)


def test_the_api_answers_as_the_gallery_does(client, gallery: Gallery, crop_files, sent) -> None:
    expected = gallery.search([crop_files[0]]).to_dict()
    answer = client.post("/api/search", files=sent(crop_files[0].read_bytes())).json()
    assert answer == {**expected, "remarks": []}
    assert "cut_off" in expected


def test_several_persons_at_once(client, gallery: Gallery, crop_files) -> None:
    photos = [crop_files[0], crop_files[7], crop_files[20]]
    sent = [("images", (f"{n}.jpg", path.read_bytes())) for n, path in enumerate(photos)]
    fields = {"top_k": 4, "where": "camera != 2", "reason": "three at once"}
    answer = client.post("/api/search-several", files=sent, data=fields)
    assert answer.status_code == 200
    for path, found in zip(photos, answer.json()["sets"], strict=True):
        alone = client.post(
            "/api/search", files={"images": path.read_bytes()}, data={**fields, "reason": ""}
        ).json()
        assert alone.pop("remarks") == answer.json()["remarks"] == []
        assert [crop["hash"] for crop in found["answers"]] == [
            crop["hash"] for crop in alone["answers"]
        ]
        assert {key: found[key] for key in ("threshold", "searched", "cut_off")} == {
            key: alone[key] for key in ("threshold", "searched", "cut_off")
        }
    reasons = [entry.reason for entry in gallery.latest_entries(6)]
    assert reasons.count("three at once") == 3
    assert client.post("/api/search-several", data=fields).status_code == 422
    wrong = client.post("/api/search-several", files=sent, data={"topk": 4})
    assert "did you mean top_k?" in wrong.text


def test_a_search_by_crops_of_the_gallery(client, crop_files) -> None:
    hashes = [only_hash(path) for path in crop_files[:2]]
    found = client.post("/api/search", data={"like": hashes, "top_k": 5}).json()["answers"]
    assert len(found) == 5
    assert not {answer["hash"] for answer in found} & set(hashes)


def test_a_search_by_description(client, gallery: Gallery) -> None:
    answer = client.post("/api/search", data={"where": "camera = 3", "top_k": 1000}).json()
    assert {found["camera"] for found in answer["answers"]} == {"3"}
    assert len(answer["answers"]) == gallery.info()["cameras"]["3"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Nothing is searched for"),
        ({"where": "hatt"}, "did you mean 'hat'?"),
        ({"where": "camera = 3", "top_k": 2, "beta": 1}, "top_k and beta exclude each other"),
        ({"where": "camera = 3", "beta": 1}, "give top_k, or a photo too"),
        ({"where": "camera ="}, "where 'camera ='"),
        ({"like": UNKNOWN}, "The gallery has no crop 000000000000"),
        ({"like": "../../etc/passwd"}, "like.0: send a crop's hash, 64 hexadecimal"),
        ({"like": UNKNOWN, "top_k": 0}, "top_k: the least is 1."),
        ({"like": UNKNOWN, "threshold": "nan"}, "threshold: "),
        ({"where": "hat", "reason": "a\nb"}, "reason: leave out line breaks"),
        ({"where": "hat", "top_k": "many"}, "top_k: write a whole number."),
        ({"where": "hat", "exact": "maybe"}, "exact: write true or false."),
        ({"images": "text"}, "images.0: send a file."),
        ({"where": "x" * 2001}, "where: write at most 2000 letters."),
    ],
)
def test_wrong_searches_are_told_in_a_sentence(client, fields: dict, sentence: str) -> None:
    answer = client.post("/api/search", data=fields)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


def test_a_crop_is_added_once(client, gallery: Gallery, stranger: bytes, sent) -> None:
    before = len(gallery)
    known = {"camera": 9, "time": "2026-11-01T08:30", "person": 77, "source": "gate"}
    first = client.post("/api/add", files=sent(stranger), data=known)
    again = client.post("/api/add", files=sent(stranger), data=known)
    value = hashlib.sha256(stranger).hexdigest()
    assert first.json() == {"added": 1, "known": 0, "hashes": [value], "remarks": []}
    assert again.json() == {"added": 0, "known": 1, "hashes": [value], "remarks": []}
    assert len(gallery) == before + 1
    crop = client.get(f"/api/crops/{value}").json()
    assert (crop["camera"], crop["person"], crop["source"]) == ("9", "77", "gate")
    assert crop["time"] == "2026-11-01T08:30:00Z"
    assert client.get("/api/info").json()["rows"] == before + 1


def test_of_several_crops_all_are_added_or_none(client, gallery, stranger: bytes) -> None:
    before = len(gallery)
    files = [("images", ("a.jpg", stranger)), ("images", ("b.jpg", b"no image"))]
    answer = client.post("/api/add", files=files)
    assert answer.status_code == 422
    assert "b.jpg is not an image" in answer.json()["detail"]
    assert len(gallery) == before


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"content": "{"}, "the request: send one JSON object, as application/json."),
        ({"json": [1]}, "the request: send one JSON object, as application/json."),
        ({}, "the request: it is missing, send it."),
        ({"json": {"persn": 1}}, "persn: this is not a field, leave it out."),
        ({"json": {"person": 1.5}}, "person: write a text."),
        ({"json": {"where": 1}}, "where: write a text."),
        ({"json": {"hashes": "x"}}, "hashes: send a list."),
        ({"json": {"hashes": [UNKNOWN] * 1001}}, "hashes: send at most 1000."),
    ],
)
def test_wrong_wishes_to_forget_are_told_in_a_sentence(client, sent: dict, sentence: str) -> None:
    answer = client.post("/api/forget", **sent)
    assert (answer.status_code, answer.json()["detail"]) == (422, sentence)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"camera": "x" * 201}, "camera"),
        ({"person": "a\nb"}, "person"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026"}, "time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "time"),
        ({"source": "a\x00b"}, "source"),
        ({"source": "x" * 201}, "source"),
    ],
)
def test_wrong_facts_are_refused(client, gallery, stranger, sent, fields: dict, field) -> None:
    before = len(gallery)
    answer = client.post("/api/add", files=sent(stranger), data=fields)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{field}: ")
    assert len(gallery) == before


def test_erasing_asks_for_the_number_first(client, gallery: Gallery) -> None:
    rows = gallery.count("person = '0003'")
    before = len(gallery)
    unconfirmed = client.post("/api/forget", json={"person": "0003"})
    assert unconfirmed.status_code == 409
    assert unconfirmed.json()["rows"] == rows > 1
    assert f"erase {rows} crops" in unconfirmed.json()["detail"]
    assert client.post("/api/forget", json={"person": "0003", "confirm": 1}).status_code == 409
    assert len(gallery) == before
    erased = client.post(
        "/api/forget", json={"person": "0003", "confirm": rows, "reason": "asked to"}
    )
    assert erased.json() == {"rows": rows, "scanned": True, "twins": []}
    assert len(gallery) == before - rows
    latest = client.get("/api/audit", params={"limit": 1}).json()
    assert [(e["operation"], e["rows"], e["reason"], e["who"]) for e in latest] == [
        ("forget", rows, "asked to", "testclient")
    ]


def test_erasing_by_hash_and_by_description(client, gallery: Gallery, crop_files) -> None:
    value = only_hash(crop_files[0])
    assert client.post("/api/forget", json={"hashes": [value], "confirm": 1}).json()["rows"] == 1
    assert client.get(f"/api/crops/{value}").status_code == 404
    assert client.get(f"/api/crops/{value}/thumbnail").status_code == 404
    rows = gallery.count("camera = '2'")
    asked = {"where": "camera = 2", "confirm": rows}
    assert client.post("/api/forget", json=asked).json()["rows"] == rows
    assert gallery.count("camera = '2'") == 0


@pytest.mark.parametrize(
    "asked", [{}, {"person": 1, "where": "hat"}, {"hashes": []}, {"hashes": ["x"]}, {"all": True}]
)
def test_erasing_needs_exactly_one_way(client, gallery: Gallery, asked: dict) -> None:
    before = len(gallery)
    assert client.post("/api/forget", json={**asked, "confirm": before}).status_code == 422
    assert len(gallery) == before


def test_a_crop_and_its_thumbnail(client, crop_files) -> None:
    value = only_hash(crop_files[7])
    crop = client.get(f"/api/crops/{value}").json()
    assert crop["hash"] == value
    assert crop["path"] == str(crop_files[7])
    assert set(crop["attributes"]) == set(MARKET1501_ATTRIBUTES.names)
    image = client.get(f"/api/crops/{value}/thumbnail")
    assert image.headers["content-type"] == "image/jpeg"
    assert image.content.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("path", ["", "/thumbnail"])
def test_unknown_crops(client, path: str) -> None:
    assert client.get(f"/api/crops/{UNKNOWN}{path}").status_code == 404
    assert client.get(f"/api/crops/{UNKNOWN[1:]}{path}").status_code == 422
    assert client.get(f"/api/crops/{UNKNOWN[1:]}G{path}").status_code == 422


def test_the_audit_log_begins_with_the_latest(client, crop_files, sent) -> None:
    client.post(
        "/api/search", files=sent(crop_files[0].read_bytes()), data={"top_k": 2, "reason": "lost"}
    )
    log = client.get("/api/audit").json()
    assert (log[0]["operation"], log[0]["rows"], log[0]["reason"]) == ("search", 2, "lost")
    assert [entry["operation"] for entry in log[1:]] == ["add", "create"]


def test_health_and_metrics(client, gallery: Gallery, stranger: bytes, sent) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    client.post("/api/add", files=sent(stranger))
    client.post("/api/search", files=sent(stranger))
    client.post("/api/forget", json={"person": "0001", "confirm": gallery.count("person = '0001'")})
    client.get("/nowhere")
    client.request("MADE-UP", "/health")
    text = client.get("/metrics").text
    assert 'passerby_requests_total{method="POST",route="/api/search",status="200"} 1.0' in text
    assert 'passerby_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'method="other"' in text
    assert "MADE-UP" not in text
    assert 'passerby_request_seconds_count{route="/api/search"} 1.0' in text
    assert f"passerby_rows {len(gallery)}.0" in text
    assert "passerby_searches_total 1.0" in text
    assert "passerby_added_rows_total 1.0" in text
    assert "passerby_erased_rows_total 6.0" in text


def test_a_gallery_that_cannot_be_read(client, gallery: Gallery, monkeypatch) -> None:
    monkeypatch.setattr(Gallery, "__len__", lambda _: 1 / 0)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert "division" not in answer.text


def test_what_went_wrong_inside_stays_inside(client, gallery, monkeypatch, caplog) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(Gallery, "latest_entries", fail)
    for path in ("/api/audit", "/stored"):
        answer = client.get(path)
        assert answer.status_code == 500
        assert "secret" not in answer.text
    assert client.get("/api/audit").json() == {
        "detail": "Passerby failed: the server's log says why."
    }
    assert "/secret/path" in caplog.text


def test_two_servers_share_nothing_but_the_gallery(make_client) -> None:
    one, two = make_client(), make_client()
    one.get("/api/info")
    assert 'route="/api/info"' in one.get("/metrics").text
    assert 'route="/api/info"' not in two.get("/metrics").text


def test_there_is_no_page_that_loads_scripts_from_elsewhere(client: TestClient) -> None:
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404
    assert client.get("/openapi.json").json()["openapi"].startswith("3.")


@pytest.mark.parametrize("path", ["/api/search", "/api/add"])
def test_misspelt_fields(client, crop_files: list[Path], path: str) -> None:
    files = {"images": (crop_files[0].name, crop_files[0].read_bytes(), "image/jpeg")}
    response = client.post(path, files=files, data={"reson": "x"})
    assert response.status_code == 422
    assert "'reson' is not a field of this request: did you mean reason?" in response.text
