"""Refusing requests that a web site sent here under its own name (DNS rebinding)."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from passerby.server.binding import is_loopback
from passerby.server.errors import refusal


class HostGuard:
    """Lets requests through whose `Host` is a name of this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_loopback(_name(Headers(scope=scope).get("host", ""))):
            response = refusal(
                scope,
                400,
                "This server answers to names of this machine only, such as localhost: "
                "use one of them, or start it with a token.",
            )
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _name(host: str) -> str:
    """Return the name of `name:port`."""
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdecimal() or not port) else host
