"""What must be refused, in a sentence and without harm."""

import io
import json
import struct
import zipfile
import zlib

import pytest
from PIL import Image

from passerby.server.uploads import display_name


def bomb() -> bytes:
    """Return a small PNG that claims 100,000 × 100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1_000_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("crop.jpg", bytes(1_000_000))
    return file.getvalue()


def tiny() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    return file.getvalue()


NO_CROPS = {
    "bomb.png": bomb(),
    "archive.zip": archive(),
    "tiny.png": tiny(),
    "empty.jpg": b"",
    "text.jpg": b"<script>alert(1)</script>",
    "svg.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "postscript.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) (r) file",
    "cut.jpg": b"\xff\xd8\xff\xe0" + bytes(200),
    "cut.png": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "pickle.pt": b"\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94\x93\x94.",
}


@pytest.mark.parametrize("name", NO_CROPS)
def test_what_is_no_crop_is_refused(client, gallery, form_token, name: str) -> None:
    before = len(gallery)
    files = [("images", (name, NO_CROPS[name], "image/jpeg"))]
    for path in ("/api/add", "/api/search"):
        answer = client.post(path, files=files)
        assert answer.status_code == 422
        assert name in answer.json()["detail"]
    answer = client.post("/search", files=files, data={"form_token": form_token(client)})
    assert answer.status_code == 422
    assert "<script>alert" not in answer.text
    assert len(gallery) == before


def test_a_picture_that_is_an_archive_too_is_only_a_picture(client, stranger, sent) -> None:
    """What is kept is drawn anew, so nothing that hides in a file is ever served."""
    hidden = b"<?php system($_GET[0]); ?><script>alert(1)</script>"
    value = client.post("/api/add", files=sent(stranger + hidden + archive())).json()["hashes"][0]
    image = client.get(f"/api/crops/{value}/thumbnail")
    assert image.headers["content-type"] == "image/jpeg"
    assert image.headers["x-content-type-options"] == "nosniff"
    assert hidden not in image.content
    assert b"PK\x03\x04" not in image.content


def test_ten_thousand_parameters(client, form_token) -> None:
    many = {f"name{number}": "value" for number in range(10_000)}
    assert client.post("/api/search", data=many).status_code == 400
    assert client.post("/api/search", data=many, files={"x": b"x"}).status_code == 400
    data = {"form_token": form_token(client), **many}
    assert client.post("/search", data=data).status_code == 400
    assert (
        client.get("/api/audit", params={**dict(list(many.items())[:3000]), "limit": 1}).status_code
        == 200
    )
    assert client.post("/api/forget", json=many).status_code == 422
    deep = "[" * 100_000
    answer = client.post("/api/forget", content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\windows\\win.ini",
        "/etc/cron.d/job",
        "C:\\temp\\x.jpg",
        "a\x00b.jpg",
        "\u202egpj.exe",
        "..",
        "x" * 5000,
        "{{ 7 * 7 }}<b>.jpg",
    ],
)
def test_names_of_files_are_no_paths(client, gallery, tmp_path, stranger, name: str) -> None:
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(gallery.where)}
    answer = client.post("/api/add", files=[("images", (name, stranger))])
    if answer.status_code == 200:
        crop = client.get(f"/api/crops/{answer.json()['hashes'][0]}").json()
        shown = (crop["path"] or "").rpartition("/upload/")[2]
        assert "/" not in shown
        assert ".." not in shown
        assert shown.isprintable()
    else:
        assert answer.status_code in (400, 422)
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(gallery.where)}
    assert after == before


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (None, "image"),
        ("", "image"),
        ("..", "image"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\crop.jpg", "crop.jpg"),
        ("a\x00\r\nb.jpg", "ab.jpg"),
        (".htaccess", "htaccess"),
        ("x" * 200 + ".jpg", "x" * 76 + ".jpg"),
        ("größe 1.jpg", "größe 1.jpg"),
    ],
)
def test_display_names_by_hand(name: str | None, shown: str) -> None:
    assert display_name(name) == shown


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/htmx.min.js%00.css",
        "/static/",
        "/crops/..%2f..%2fetc%2fpasswd",
        "/api/crops/..%2f..%2fetc%2fpasswd/thumbnail",
        "/api/../static/../../etc/passwd",
        "/" + "x" * 5000,
    ],
)
def test_paths_lead_nowhere_else(client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (303, 404, 405, 422), answer.text
    assert "root:" not in answer.text
    assert "import" not in answer.text


INJECTIONS = [
    "hat; DROP TABLE crops",
    "hat) OR (1=1",
    "source = 'x' OR '1'='1'",
    'source = "x\' OR hash IS NOT NULL --"',
    "camera = 1 UNION SELECT hash FROM crops",
    "hash = 'a'",
    "thumbnail",
    "embedding < 1",
    "1 = 1",
    "hat -- ",
    "source = '\ud800'",
    "hat/**/or/**/true",
    "(" * 1000,
    "not " * 400 + "hat",
    "camera in (" + ",".join("1" for _ in range(500)) + ",",
    "time > 9999-12-31T23:59:59-14:00",
    "camera = " + "9" * 1500,
    "hat > 1e400",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_description_is_read_never_run(client, gallery, form_token, text: str) -> None:
    before = len(gallery)
    sendable = text.encode("utf-8", "replace").decode()
    answer = client.post("/api/search", data={"where": sendable, "top_k": 10_000})
    # the text may be a description in its own right: then it finds what it says
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert answer.json()["answers"] == []
    else:
        assert answer.json()["detail"]
    forget = client.post(
        "/api/forget",
        content=json.dumps({"where": text, "confirm": before}),
        headers={"Content-Type": "application/json"},
    )
    # what no crop fulfils needs no confirmation
    assert forget.status_code in (409, 422) or forget.json()["rows"] == 0
    for other in ({}, {"is-hat": "yes"}):
        data = {"form_token": form_token(client), "where": sendable, **other}
        page = client.post("/search", data=data)
        assert page.status_code in (200, 422)
    assert len(gallery) == before


def test_what_comes_in_is_escaped_on_pages(client, form_token, stranger, sent) -> None:
    evil = "<img src=x onerror=alert(1)>"
    client.post("/api/add", files=sent(stranger), data={"source": evil, "reason": evil})
    data = {"form_token": form_token(client), "where": f"source = '{evil}'"}
    for page in (client.post("/search", data=data), client.get("/stored")):
        assert page.status_code == 200
        assert evil not in page.text
        assert "&lt;img src=x" in page.text
    wrong = client.post("/search", data={**data, "where": evil}, headers={"HX-Request": "true"})
    assert wrong.status_code == 422
    assert evil not in wrong.text
    assert wrong.headers["hx-retarget"] == "#message"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"person": NaN}',
        b'{"person": 1e999}',
        b'{"where": "\\ud800"}',
        b"\xff",
    ],
)
def test_json_that_is_none(client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.post("/api/forget", content=body, headers=headers).status_code in (400, 422)
