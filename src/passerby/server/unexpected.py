"""Answering when Passerby fails: what happened is logged, and not told."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from passerby.server.errors import refusal

_log = logging.getLogger(__name__)


class Unexpected:
    """Turns any exception into an answer with status 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception:
            # a path may name a crop, so it is not logged
            _log.exception("A %s request failed.", scope["method"])
            if started:
                raise
            response = refusal(scope, 500, "Passerby failed: the server's log says why.")
            await response(scope, receive, send)
