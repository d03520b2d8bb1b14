import re

import pytest

from passerby.errors import InputError
from passerby.server.binding import check_binding, is_loopback
from passerby.server.sessions import COOKIE, LIFETIME, Sessions

PRIVATE = ["/api/info", "/api/audit", f"/api/crops/{'0' * 64}", "/metrics"]
PAGES = ["/", "/stored", f"/crops/{'0' * 64}"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "::1"])
def test_this_machine_needs_no_token(host: str) -> None:
    check_binding(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", "localhost.evil"])
def test_other_addresses_need_a_token(host: str, token: str) -> None:
    with pytest.raises(InputError, match=f"{host} can be reached from other machines"):
        check_binding(host, None)
    check_binding(host, token)


@pytest.mark.parametrize(
    "weak", ["", "short", "ünïcödé-token-that-is-long", "with space in it 1234"]
)
def test_weak_tokens_are_refused(weak: str) -> None:
    with pytest.raises(InputError, match="16 or more letters"):
        check_binding("0.0.0.0", weak)
    assert not is_loopback("")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::2]:80"]
)
def test_without_a_token_other_names_are_refused(client, host: str) -> None:
    for path in ("/", "/api/info", "/health", "/static/passerby.js"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 400
        assert "names of this machine only" in answer.text


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:80", "[::1]"]
)
def test_names_of_this_machine_are_accepted(client, host: str) -> None:
    assert client.get("/api/info", headers={"Host": host}).status_code == 200


def test_with_a_token_any_name_is_accepted(make_client, token: str) -> None:
    client = make_client("gallery.example", token=token)
    assert client.get("/api/info", headers=bearer(token)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic correct-horse-battery-staple"},
        {"Authorization": "correct-horse-battery-staple"},
        {"Authorization": "Bearer \xff\xfe"},
        {"Cookie": f"{COOKIE}=x.1.99999999.{'0' * 64}"},
        {"Cookie": f"{COOKIE}=..."},
    ],
)
def test_strangers_get_nothing(make_client, token: str, headers: dict, stranger, sent) -> None:
    client = make_client(token=token)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    for path in PRIVATE:
        answer = client.get(path, headers=raw)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["detail"].startswith("The token is missing or wrong")
    for path in PAGES:
        answer = client.get(path, headers=raw)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert client.post("/api/add", files=sent(stranger), headers=raw).status_code == 401
    asked = {"person": "0001", "confirm": 6}
    assert client.post("/api/forget", json=asked, headers=raw).status_code == 401
    assert client.get("/health", headers=raw).status_code == 200


def test_the_token_opens_the_api(make_client, token: str, stranger, sent) -> None:
    client = make_client(token=token)
    for path in ("/api/info", "/api/audit", "/metrics"):
        assert client.get(path, headers=bearer(token)).status_code == 200
    answer = client.post(
        "/api/search",
        files=sent(stranger),
        # a program needs no form token, wherever it runs
        headers={**bearer(token), "Origin": "https://elsewhere.example"},
    )
    assert answer.status_code == 200


def log_in(client, form_token, token: str):
    carried = form_token(client, "/login")
    return client.post("/login", data={"form_token": carried, "token": token})


def test_logging_in_and_out(make_client, token: str, form_token) -> None:
    client = make_client(token=token)
    answer = log_in(client, form_token, token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("/").status_code == 200
    assert client.get("/api/info").status_code == 200
    assert client.get("/login").headers["location"] == "/"
    stolen = client.cookies[COOKIE]
    client.post("/logout", data={"form_token": form_token(client)})
    assert client.get("/").headers["location"] == "/login"
    client.cookies.clear()
    headers = {"Cookie": f"{COOKIE}={stolen}"}
    assert client.get("/api/info", headers=headers).status_code == 401


def test_a_wrong_token_does_not_log_in(make_client, token: str, form_token) -> None:
    client = make_client(token=token)
    for wrong in ("", token[:-1], "é" * 20):
        answer = log_in(client, form_token, wrong)
        assert answer.status_code == 401
        assert "not the token" in answer.text
    assert client.get("/").status_code == 303


def test_trying_tokens_is_slow(make_client, token: str, form_token) -> None:
    from passerby.server import Limits

    client = make_client(token=token, limits=Limits())
    answers = [log_in(client, form_token, f"wrong {n}").status_code for n in range(8)]
    assert answers[0] == 401
    assert answers[-1] == 429


def test_a_page_that_has_lost_its_session_sends_the_browser_to_log_in(make_client, token) -> None:
    client = make_client(token=token)
    answer = client.post("/search", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/login"


FORMS = ["/search", "/describe", "/erase/confirm", "/erase", "/logout", "/login"]


@pytest.mark.parametrize("path", FORMS)
def test_forms_without_their_token_are_refused(client, form_token, path: str) -> None:
    carried = form_token(client)
    for data in ({}, {"form_token": ""}, {"form_token": "é"}, {"form_token": carried[:-1] + "x"}):
        answer = client.post(path, data={**data, "where": "hat", "hash": "0" * 64})
        assert answer.status_code == 403
        assert "load it again" in answer.text
    client.cookies.clear()
    assert client.post(path, data={"form_token": carried}).status_code == 403
    # another browser's token
    client.get("/")
    assert client.post(path, data={"form_token": carried}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1"},
    ],
)
def test_other_web_sites_can_do_nothing(client, form_token, gallery, headers: dict) -> None:
    before = len(gallery)
    asked = {"person": "0001", "confirm": 6}
    assert client.post("/api/forget", json=asked, headers=headers).status_code == 403
    data = {"form_token": form_token(client), "where": "hat"}
    assert client.post("/search", data=data, headers=headers).status_code == 403
    assert len(gallery) == before


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://127.0.0.1"}, {"Sec-Fetch-Site": "same-origin"}, {}]
)
def test_our_own_pages_and_programs_may(client, headers: dict) -> None:
    assert client.post("/api/search", data={"where": "hat"}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/stored", "/login", "/api/info", "/health", "/nowhere", "/api/nowhere"]
)
def test_every_answer_says_what_a_browser_must_not_do(client, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(
        part.partition(" ")[::2] for part in headers["content-security-policy"].split("; ")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/", "/stored", "/login"])
def test_pages_obey_the_policy(client, path: str) -> None:
    page = client.get(path).text
    assert not re.search(r"<script(?! src=\"/static/)", page)
    assert not re.search(r"\s(style|on\w+)=", page)
    assert not re.search(r"(src|href|action)=\"(?!/|#)", page)


def test_sessions_end() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    session = sessions.new(admitted=True)
    cookie = sessions.cookie(session)
    assert sessions.read(cookie) == session
    assert sessions.read(cookie.replace(".1.", ".0.")) is None
    assert Sessions(lambda: now[0]).read(cookie) is None
    now[0] = LIFETIME + 1
    assert sessions.read(cookie) is None
    now[0] = 0
    sessions.end(session)
    assert sessions.read(cookie) is None
