"""Who may ask: clients with the token, browsers that have logged in, and no other web site."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from passerby.server.errors import is_page, refusal
from passerby.server.sessions import COOKIE, Sessions, same

_PUBLIC = ("/health", "/login", "/openapi.json")
_READING = ("GET", "HEAD", "OPTIONS")


class Access:
    """Lets through who may ask, and notes the session for the pages.

    Args:
        app: what comes after.
        token: that clients have to show; None lets everybody in.
        sessions: of the browsers.
    """

    def __init__(self, app: ASGIApp, token: str | None, sessions: Sessions) -> None:
        self.app = app
        self.token = token
        self.sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refused(scope) if scope["type"] == "http" else None
        await (refused or self.app)(scope, receive, send)

    def _refused(self, scope: Scope) -> Response | None:
        connection = HTTPConnection(scope)
        session = self.sessions.read(connection.cookies.get(COOKIE, ""))
        connection.state.session = session
        if self._shows_token(connection.headers):
            return None
        if scope["method"] not in _READING and is_cross_site(connection.headers):
            return refusal(scope, 403, "Another web site sent this request: it was not done.")
        path = scope["path"]
        if self.token is None or path in _PUBLIC or path.startswith("/static/"):
            return None
        if session is not None and session.admitted:
            return None
        return _unknown_client(scope)

    def _shows_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return (
            self.token is not None
            and scheme.lower() == "bearer"
            and same(given.strip(), self.token)
        )


def is_cross_site(headers: Headers) -> bool:
    """Tell whether a browser says that another site, or another port, sent the request."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host", "")
    except ValueError:
        return True


def _unknown_client(scope: Scope) -> Response:
    if not is_page(scope):
        return refusal(
            scope,
            401,
            "The token is missing or wrong: send it as `Authorization: Bearer TOKEN`.",
            {"WWW-Authenticate": "Bearer"},
        )
    if (b"hx-request", b"true") in scope["headers"]:
        return refusal(
            scope, 401, "Log in again.", {"HX-Redirect": "/login", "WWW-Authenticate": "Bearer"}
        )
    return RedirectResponse("/login", 303)
