"""Refusing a request that is too large, as soon as it is, or that takes too long to arrive."""

import math

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from passerby.server.errors import refusal


class BodyTooLarge(HTTPException):
    """More bytes have arrived than a request may have."""

    def __init__(self, most: int) -> None:
        super().__init__(413, _sentence(most))


class BodyTooSlow(HTTPException):
    """The rest of a request did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(408, f"The request did not arrive within {seconds:g} s: send it again.")


class BodyLimit:
    """Counts the bytes of each request, and the seconds until it is there.

    Args:
        app: what comes after.
        most: bytes that a request may have.
        seconds: that it may take to arrive.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self.app = app
        self.most = most
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        claimed = Headers(scope=scope).get("content-length", "")
        if claimed.isdecimal() and (len(claimed) > 15 or int(claimed) > self.most):
            await refusal(scope, 413, _sentence(self.most))(scope, receive, send)
            return
        await self.app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        arrived = 0
        deadline = anyio.current_time() + self.seconds

        async def counted() -> Message:
            nonlocal arrived, deadline
            message: Message | None = None
            with anyio.move_on_at(deadline):
                message = await receive()
            if message is None:
                raise BodyTooSlow(self.seconds)
            arrived += len(message.get("body", b""))
            if arrived > self.most:
                raise BodyTooLarge(self.most)
            if not message.get("more_body", False):
                # from now on only the client's leaving is waited for
                deadline = math.inf
            return message

        return counted


def _sentence(most: int) -> str:
    return f"A request may have {most / 1e6:g} MB: send fewer or smaller images."
