import anyio
import httpx
import pytest

from passerby.gallery import Gallery
from passerby.server import Limits, create_app
from passerby.server.rate_limit import _MOST_ADDRESSES, Buckets


@pytest.fixture
def small(make_client):
    """Asks a server that takes little."""
    limits = Limits(
        body_bytes=100_000,
        image_bytes=20_000,
        search_images=2,
        added_images=3,
        form_fields=20,
        field_bytes=1000,
        requests_per_second=1e6,
        burst=1_000_000,
    )
    return make_client(limits=limits)


def test_a_request_that_says_it_is_too_large(small) -> None:
    for path in ("/api/add", "/search", "/nowhere"):
        answer = small.post(path, content=b"x" * 100_001)
        assert answer.status_code == 413
        assert "A request may have 0.1 MB" in answer.text


def test_a_request_that_is_too_large_without_saying_so(small, form_token) -> None:
    sent = []

    def chunks():
        for _ in range(1000):
            sent.append(1)
            yield b"x" * 10_000

    kind = "multipart/form-data; boundary=b"
    for path in ("/api/add", "/api/search", "/search"):
        answer = small.post(path, content=chunks(), headers={"Content-Type": kind})
        assert answer.status_code in (400, 413), path
    body = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'

    def upload():
        yield body
        yield from chunks()

    answer = small.post("/api/search", content=upload(), headers={"Content-Type": kind})
    assert answer.status_code == 413
    answer = small.post(
        "/api/forget", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("claimed", ["9" * 400, "-1", "x"])
def test_made_up_lengths(small, claimed: str) -> None:
    answer = small.post("/api/search", headers={"Content-Length": claimed})
    assert answer.status_code in (400, 413, 422)


def test_images_that_are_too_large_or_too_many(small, stranger: bytes, sent) -> None:
    large = stranger + bytes(20_001)
    for path in ("/api/search", "/api/add"):
        answer = small.post(path, files=sent(large))
        assert answer.status_code == 413
        assert answer.json()["detail"].startswith("crop.jpg is larger than 0.02 MB")
    answer = small.post("/api/search", files=sent(stranger) * 3)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "3 images are sent, 2 are allowed: send fewer."
    assert small.post("/api/add", files=sent(stranger) * 4).status_code == 400


def test_too_many_fields_or_too_long_ones(small, form_token) -> None:
    many = {f"field{n}": "x" for n in range(21)}
    long = {"where": "x" * 1001}
    for data in (many, long):
        answer = small.post("/api/search", data=data, files={"other": b""})
        assert answer.status_code == 400
        data = {"form_token": form_token(small), **data}
        assert small.post("/search", data=data).status_code == 400
        assert small.post("/search", data=data, files={"x": b"x"}).status_code == 400


def test_clients_that_ask_too_often(make_client) -> None:
    client = make_client(limits=Limits(requests_per_second=0.5, burst=5))
    answers = [client.get("/api/info") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
    assert answers[-1].json()["detail"].startswith("Too many requests: wait")
    page = client.get("/")
    assert page.status_code == 429
    assert "text/html" in page.headers["content-type"]
    assert client.get("/static/passerby.css").status_code == 200


def test_a_page_of_thumbnails_is_no_flood(make_client, crop_files) -> None:
    client = make_client(limits=Limits(requests_per_second=0.001, burst=11))
    path = f"/api/crops/{'0' * 64}/thumbnail"
    assert {client.get(path).status_code for _ in range(100)} == {404}


def test_buckets_by_hand() -> None:
    now = [0.0]
    buckets = Buckets(2, 3, lambda: now[0])
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait("b", 2.5) == 0
    assert buckets.wait("b", 2.5) == 1
    now[0] = 0.5
    assert buckets.wait("a") == 0
    assert buckets.wait("a") == 0.5
    now[0] = 100
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_few_addresses_are_remembered() -> None:
    now = [0.0]
    buckets = Buckets(1, 2, lambda: now[0])
    for number in range(3 * _MOST_ADDRESSES):
        now[0] += 1e-6
        buckets.wait(str(number))
    assert len(buckets._buckets) <= _MOST_ADDRESSES


@pytest.mark.alone
@pytest.mark.parametrize("path", ["/api/add", "/api/search", "/search"])
def test_a_request_that_trickles_in(gallery: Gallery, path: str) -> None:
    async def asked(pause: float) -> httpx.Response:
        async def slowly():
            yield b'--b\r\nContent-Disposition: form-data; name="where"\r\n\r\n'
            for _ in range(8):
                await anyio.sleep(pause)
                yield b"x"
            yield b"\r\n--b--\r\n"

        app = create_app(gallery, limits=Limits(body_seconds=1))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            kind = {"Content-Type": "multipart/form-data; boundary=b"}
            return await client.post(path, content=slowly(), headers=kind)

    answer = anyio.run(asked, 0.2)
    assert answer.status_code == 408
    assert "The request did not arrive within 1 s: send it again." in answer.text
    assert answer.headers["connection"] == "close", "or it could trickle in for ever"
    assert anyio.run(asked, 0.0).status_code != 408
