"""What the endpoints of one server share."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from starlette.datastructures import UploadFile

from passerby.calibration.answer_rule import AnswerRule
from passerby.errors import InputError
from passerby.gallery import AnswerSet, Gallery
from passerby.gallery.adding import Added
from passerby.gallery.erasing import Erased
from passerby.gallery.preparing import PreparedCrop
from passerby.server.adding import AddingTogether
from passerby.server.info_cache import InfoCache
from passerby.server.limits import Limits
from passerby.server.metrics import Metrics
from passerby.server.sessions import Sessions
from passerby.server.uploads import Uploads

_LONGEST_CLIENT = 64

Result = TypeVar("Result")


class Service:
    """A gallery as it is served.

    Attributes:
        gallery: the gallery.
        limits: for each client.
        token: that clients have to show; None lets everybody in.
        sessions: of the browsers.
        metrics: what was done.
        info_cache: what is in the gallery.
        uploads: makes uploaded images ready.
    """

    def __init__(self, gallery: Gallery, limits: Limits, token: str | None) -> None:
        self.gallery = gallery
        self.limits = limits
        self.token = token
        self.sessions = Sessions()
        self.metrics = Metrics(lambda: len(gallery))
        self.info_cache = InfoCache(gallery)
        self.uploads = Uploads(gallery, limits)
        # those that wait for their turn to write must not use up the threads that read
        self._writers = CapacityLimiter(1)
        self._adding = AddingTogether(gallery, self.writing)

    async def writing(self, work: Callable[[], Result]) -> Result:
        """Run what changes the gallery: in a thread, one after the other."""
        return await to_thread.run_sync(work, limiter=self._writers)

    def search(
        self,
        images: Sequence[PreparedCrop],
        where: str | None,
        rule: AnswerRule | None,
        *,
        like: Sequence[str] = (),
        exact: bool = False,
        reason: str | None = None,
        who: str,
    ) -> AnswerSet:
        """Search; see `Gallery.search`."""
        found = self.gallery.search(
            images, where, rule, like=like, exact=exact, reason=reason, who=who
        )
        self.metrics.searches.inc()
        return found

    def search_several(
        self,
        crops: Sequence[PreparedCrop],
        where: str | None,
        rule: AnswerRule | None,
        *,
        reason: str | None = None,
        who: str,
    ) -> list[AnswerSet]:
        """Search for the person of each crop; see `Gallery.search_several`."""
        found = self.gallery.search_several(
            [[crop] for crop in crops], where, rule, reason=reason, who=who
        )
        self.metrics.searches.inc(len(found))
        return found

    async def add(
        self, uploads: Sequence[UploadFile], known: Mapping[str, Any], reason: str | None, who: str
    ) -> tuple[Added, list[str]]:
        """Add uploads, all of them or none.

        Args:
            uploads: the images.
            known: what is known about all of them, by name of the column.
            reason, who: for the audit log.

        Returns:
            What became of them, and what does not look like a crop of one pedestrian.

        Raises:
            InputError: one cannot be decoded, or the gallery has no such column.
        """
        remarks: list[str] = []

        def prepare() -> Sequence[PreparedCrop]:
            missing = sorted(known.keys() - self._columns)
            if missing:
                raise InputError(
                    f"The gallery has no column {missing[0]}, which was declared after it was "
                    f"made: make a new gallery, or leave {missing[0]} out."
                )
            prepared = self.uploads.prepare(uploads, self.limits.added_images, known)
            remarks.extend(prepared.remarks)
            return prepared.crops

        added = await self._adding.add(prepare, reason, who)
        self.metrics.added.inc(added.rows)
        self.info_cache.invalidate()
        return added, remarks

    @cached_property
    def _columns(self) -> frozenset[str]:
        """What the gallery keeps of crops; it never changes."""
        return frozenset(self.gallery.info()["columns"])

    def forget(
        self, where: str, reason: str | None, who: str, expected: int | None = None
    ) -> Erased:
        """Erase what a filter of `Gallery.filter_of` admits; see `Gallery.erase`."""
        try:
            erased = self.gallery.erase(where, expected=expected, reason=reason, who=who)
        finally:
            self.info_cache.invalidate()
        self.metrics.erased.inc(erased.rows)
        return erased

    def purged(self, rows: int) -> None:
        """Note that the retention period has ended for some crops."""
        self.metrics.erased.inc(rows)
        self.info_cache.invalidate()


def client_of(request: Request) -> str:
    """Return who asks, for the audit log: the address of the client."""
    name = request.client.host if request.client else "unknown"
    # a proxy passes on what it is told
    return "".join(letter for letter in name if letter.isprintable())[:_LONGEST_CLIENT]


def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service_of)]
"""The service, as an argument of endpoints."""
