"""Refusing clients that ask too often: a bucket of requests for each address, slowly refilled."""

import math
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from passerby.server.errors import refusal

_MOST_ADDRESSES = 10_000
"""Remembered at a time."""

_THUMBNAIL = 0.1
_LOGIN = 10.0
"""What a thumbnail, of which a page shows many, and a try to log in count as."""


class Buckets:
    """One bucket for each address.

    Args:
        per_second: what a bucket gains.
        burst: what it holds.
        clock: seconds, never set back.
    """

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self.burst = burst
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, address: str, cost: float = 1.0) -> float:
        """Take from a bucket.

        Args:
            address: whose.
            cost: how much.

        Returns:
            0, or the seconds to wait if there is too little in it; then nothing is taken.
        """
        now = self._clock()
        left, since = self._buckets.get(address, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.per_second)
        enough = left >= cost
        self._buckets[address] = (left - cost if enough else left, now)
        if len(self._buckets) > _MOST_ADDRESSES:
            self._forget_full_ones(now)
        return 0.0 if enough else (cost - left) / self.per_second

    def _forget_full_ones(self, now: float) -> None:
        """Keep the buckets that differ from new ones, of many addresses the latest half."""
        kept = {
            address: (left, since)
            for address, (left, since) in self._buckets.items()
            if left + (now - since) * self.per_second < self.burst
        }
        latest = sorted(kept.items(), key=lambda item: -item[1][1])
        self._buckets = dict(latest[: _MOST_ADDRESSES // 2])


class RateLimit:
    """Asks the bucket of each request's address."""

    def __init__(self, app: ASGIApp, buckets: Buckets) -> None:
        self.app = app
        self.buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cost = _cost(scope) if scope["type"] == "http" else 0
        wait = self.buckets.wait(_neighbourhood(scope), cost) if cost else 0
        if wait:
            seconds = str(math.ceil(wait))
            response = refusal(
                scope,
                429,
                f"Too many requests: wait {seconds} s and try again.",
                {"Retry-After": seconds},
            )
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _cost(scope: Scope) -> float:
    path = scope["path"]
    if path.startswith("/static/"):
        return 0
    if path == "/login" and scope["method"] == "POST":
        return _LOGIN
    return _THUMBNAIL if path.endswith("/thumbnail") else 1


def _neighbourhood(scope: Scope) -> str:
    """Return the client's address; of IPv6 the network, all of which one client may own."""
    address = scope["client"][0] if scope.get("client") else ""
    try:
        # a zone is this machine's own affair
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and not parsed.is_loopback:
        # a socket for both kinds of addresses writes those of IPv4 into IPv6's
        return str(parsed.ipv4_mapped or parsed.exploded[:19])
    return address
