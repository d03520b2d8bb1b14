"""Who a page belongs to: signed cookies, and the tokens that its forms carry."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "passerby_session"
LIFETIME = 12 * 3600
"""Seconds."""


@dataclass(frozen=True)
class Session:
    """One browser.

    Attributes:
        name: random.
        admitted: whether it has shown the server's token.
        since: seconds of the clock of its `Sessions`.
    """

    name: str
    admitted: bool
    since: int


class Sessions:
    """The sessions of one server process; none outlives it.

    Args:
        clock: seconds, never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret = secrets.token_bytes(32)
        self._clock = clock
        self._ended: dict[str, int] = {}

    def new(self, admitted: bool = False) -> Session:
        return Session(secrets.token_urlsafe(24), admitted, int(self._clock()))

    def cookie(self, session: Session) -> str:
        """Return what the browser keeps."""
        text = f"{session.name}.{session.admitted:d}.{session.since}"
        return f"{text}.{self._mac('session', text)}"

    def read(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None if it is forged, too old or ended."""
        text, _, mac = cookie.rpartition(".")
        if not same(mac, self._mac("session", text)):
            return None
        name, admitted, since = text.split(".")
        session = Session(name, admitted == "1", int(since))
        if self._clock() - session.since > LIFETIME or name in self._ended:
            return None
        return session

    def end(self, session: Session) -> None:
        """Accept a session no more; only those that were admitted are worth remembering."""
        now = int(self._clock())
        self._ended = {n: since for n, since in self._ended.items() if now - since <= LIFETIME}
        if session.admitted:
            self._ended[session.name] = session.since

    def form_token(self, session: Session) -> str:
        """Return what the forms of the session's pages carry."""
        return self._mac("form", session.name)

    def is_form_token(self, session: Session, token: str) -> bool:
        return same(token, self.form_token(session))

    def _mac(self, purpose: str, text: str) -> str:
        message = f"{purpose}:{text}".encode("utf-8", "replace")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Compare without telling by the time it takes how much is right."""
    return secrets.compare_digest(given.encode("utf-8", "replace"), expected.encode())
