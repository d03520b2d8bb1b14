"""Saying no: the same sentence as JSON, as a page, or as a part of one."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from passerby.errors import InputError
from passerby.server.field_errors import in_words
from passerby.server.templating import render

_NO_PAGES = ("/api", "/health", "/metrics", "/openapi.json", "/static")
_UNREAD = (401, 403, 408, 413, 429)
"""Refused before all of the request has been read."""

_PARAMETER = re.compile(
    r"`([a-z_][a-z_0-9]*)`|--(where|beta|recall|false-match-rate|threshold|top-k|gap)\b"
)
"""How the library names a parameter, and the command line an option."""


class Refusal(BaseModel):
    """Why a request was refused."""

    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The request cannot be read, or is for another host"},
    401: {"model": Refusal, "description": "The token is missing or wrong"},
    403: {"model": Refusal, "description": "Another web site sent the request"},
    408: {"model": Refusal, "description": "The request took too long to arrive"},
    413: {"model": Refusal, "description": "The request or an image is too large"},
    422: {"model": Refusal, "description": "The input is wrong"},
    429: {"model": Refusal, "description": "Too many requests; see Retry-After"},
    500: {"model": Refusal, "description": "Passerby failed"},
}
"""What any endpoint of the API may answer."""


def refusal(
    scope: Scope, status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer in the form that the client can use.

    Args:
        scope: of the request.
        status: HTTP status.
        sentence: what is wrong and how to fix it.
        headers: to send with it.
    """
    if status in _UNREAD:
        # else a client could go on sending for ever
        headers = {**(headers or {}), "Connection": "close"}
    if not is_page(scope):
        return JSONResponse({"detail": sentence}, status, headers)
    if (b"hx-request", b"true") in scope["headers"]:
        # what the page shows already stays
        places = {"HX-Retarget": "#message", "HX-Reswap": "innerHTML"}
        page = render("message.html.j2", sentence=sentence, wrong=True)
        return HTMLResponse(page, status, {**places, **(headers or {})})
    page = render("error.html.j2", status=status, sentence=sentence)
    return HTMLResponse(page, status, headers)


def is_page(scope: Scope) -> bool:
    """Tell whether a path belongs to the pages, not to the API."""
    path = scope["path"]
    return not any(path == start or path.startswith(f"{start}/") for start in _NO_PAGES)


def in_form_words(sentence: str) -> str:
    """Name the fields of a form where a sentence names parameters, or options of a command."""
    return _PARAMETER.sub(lambda match: match[1] or match[2].replace("-", "_"), sentence)


def add_refusals(app: FastAPI) -> None:
    """Answer with sentences to what endpoints raise."""

    @app.exception_handler(InputError)
    async def wrong_input(request: Request, error: InputError) -> Response:
        return refusal(request.scope, 422, in_form_words(str(error)))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return refusal(request.scope, 422, in_words(error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return refusal(request.scope, error.status_code, str(error.detail), error.headers)
