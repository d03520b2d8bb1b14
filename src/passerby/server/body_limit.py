"""Refusing a request that is too large, as soon as it is, whatever it says about its size."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from passerby.server.refusals import refusal


class BodyTooLarge(HTTPException):
    """More bytes have arrived than a request may have."""

    def __init__(self, most: int) -> None:
        super().__init__(413, _sentence(most))


class BodyLimit:
    """Counts the bytes of each request.

    Args:
        app: what comes after.
        most: bytes that a request may have.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

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

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > self.most:
                raise BodyTooLarge(self.most)
            return message

        return counted


def _sentence(most: int) -> str:
    return f"A request may have {most / 1e6:g} MB: send fewer or smaller images."
