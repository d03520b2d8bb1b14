"""Adding what several clients send in one commit: it takes longer than embedding a crop."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread

from passerby.gallery import Gallery
from passerby.gallery.adding import COMMIT_ROWS, Added, AddRequest
from passerby.gallery.preparing import PreparedCrop

_DECODED = 16
"""Requests whose crops are in memory: they decode theirs, or wait for their turn to be added."""


@dataclass(eq=False)
class _Waiting:
    """A batch, and what became of it."""

    batch: AddRequest
    outcome: Added | BaseException | None = None


class AddingTogether:
    """Adds batches, each whole or not at all; those that wait for their turn become one commit.

    Args:
        gallery: they are for.
        writing: runs what changes the gallery in a thread, one after the other.
    """

    def __init__(
        self,
        gallery: Gallery,
        writing: Callable[[Callable[[], None]], Awaitable[None]],
    ) -> None:
        self._gallery = gallery
        self._writing = writing
        self._waiting: deque[_Waiting] = deque()
        self._decoded = CapacityLimiter(_DECODED)

    async def add(
        self, prepare: Callable[[], Sequence[PreparedCrop]], reason: str | None, who: str
    ) -> Added:
        """Add crops.

        Args:
            prepare: decodes them; it runs in a thread.
            reason, who: for the audit log.

        Raises:
            InputError: one cannot be decoded, or the gallery cannot be written to.
        """
        async with self._decoded:
            mine = _Waiting(AddRequest(await to_thread.run_sync(prepare), reason, who))
            self._waiting.append(mine)
            try:
                while mine.outcome is None:
                    await self._writing(self._add_those_that_wait)
            finally:
                # nobody waits for it any more
                with suppress(ValueError):
                    self._waiting.remove(mine)
        if isinstance(mine.outcome, BaseException):
            raise mine.outcome
        return mine.outcome

    def _add_those_that_wait(self) -> None:
        """Add batches, those first that have waited longest, up to a commit's size."""
        together: list[_Waiting] = []
        crops = 0
        while self._waiting and crops < COMMIT_ROWS:
            together.append(self._waiting.popleft())
            crops += len(together[-1].batch.crops)
        if not together:
            return
        try:
            outcomes: Sequence[Added | BaseException] = self._gallery.add_together(
                [one.batch for one in together]
            )
        except BaseException as error:
            # even if the database panics, nobody waits for ever
            outcomes = [error] * len(together)
        for one, outcome in zip(together, outcomes, strict=True):
            one.outcome = outcome
