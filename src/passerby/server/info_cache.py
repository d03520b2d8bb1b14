"""What is in the gallery, remembered for some seconds: counting it reads all rows."""

import threading
import time
from collections.abc import Callable
from typing import Any

from passerby.gallery import Gallery

_SECONDS = 10.0


class InfoCache:
    """Remembers what `Gallery.info` said.

    Args:
        gallery: the gallery.
        clock: seconds, never set back.
    """

    def __init__(self, gallery: Gallery, clock: Callable[[], float] = time.monotonic) -> None:
        self._gallery = gallery
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[float, dict[str, Any]] | None = None

    def now(self) -> dict[str, Any]:
        """Return it, at most ten seconds old."""
        with self._lock:
            if self._known is None or self._clock() - self._known[0] > _SECONDS:
                self._known = self._clock(), self._gallery.info()
            return self._known[1]

    def invalidate(self) -> None:
        """Ask again the next time: the gallery was changed here."""
        with self._lock:
            self._known = None
