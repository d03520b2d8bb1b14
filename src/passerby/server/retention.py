"""Erasing what is older than the gallery keeps it: at the start, and every hour from then on."""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from passerby.gallery import Gallery

_log = logging.getLogger(__name__)

INTERVAL = 3600.0
"""Seconds between two purges."""

_TOLERANCE = 60.0
"""Seconds that the clocks may disagree by between two purges: a network corrects more gently."""


class ClockGuard:
    """Notices that the wall clock was set, by comparing it with one that nobody sets.

    Args:
        wall: seconds of the clock that ages are told by.
        steady: seconds of a clock that only time moves.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._clocks = (wall, steady)
        self._last = self._now()

    def jump(self) -> float:
        """Return by how many seconds the wall clock has jumped since the last call; 0 if not."""
        now = self._now()
        wall, steady = (b - a for a, b in zip(self._last, now, strict=True))
        self._last = now
        return wall - steady if abs(wall - steady) > _TOLERANCE else 0.0

    def _now(self) -> tuple[float, float]:
        wall, steady = self._clocks
        return wall(), steady()


class Retention:
    """Purges a gallery.

    Args:
        gallery: whose settings say how long crops are kept.
        erased: called with the number of crops after each purge that erased some.
        guard: against a clock that jumps.
    """

    def __init__(
        self, gallery: Gallery, erased: Callable[[int], None], guard: ClockGuard | None = None
    ) -> None:
        self._gallery = gallery
        self._erased = erased
        self._guard = guard or ClockGuard()

    def purge(self) -> int:
        """Erase what is too old, unless the clock cannot be trusted; return how many crops."""
        days = self._gallery.settings.retention_days
        jump = self._guard.jump()
        if days is None:
            return 0
        if jump:
            _log.warning(
                "The clock has jumped by %+.0f s: nothing is purged until it has kept time for "
                "a whole interval.",
                jump,
            )
            return 0
        erased = self._gallery.erase(
            self._gallery.filter_of(older=timedelta(days=days)),
            operation="purge",
            reason=f"older than {days} days",
            who="passerby serve",
        )
        if erased.rows:
            _log.info("Purged %d crops older than %d days.", erased.rows, days)
            self._erased(erased.rows)
        return erased.rows

    async def keep_purging(
        self,
        writing: Callable[[Callable[[], int]], Awaitable[int]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Purge now and every hour.

        Args:
            writing: runs what changes the gallery.
            sleep: waits some seconds.
        """
        while True:
            try:
                await writing(self.purge)
            except Exception:
                # the next time it may work: a full disk, another process at work
                _log.exception("The purge failed; it is tried again in %.0f s.", INTERVAL)
            await sleep(INTERVAL)
