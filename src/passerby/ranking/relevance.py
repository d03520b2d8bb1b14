"""Which gallery crops are right answers to a query, and which do not count."""

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import (
    JUNK_CODE,
    NOBODY_CODE,
    Crops,
    encode_cameras,
    encode_persons,
)


class Relevance:
    """The right answers to each query, as rows of the gallery.

    Distractors and junk are never right, neither as answers nor as queries.

    Attributes:
        junk: crops of the gallery that never count, bool, shape (G,).
        persons: codes of the queries' persons, int64, shape (Q,).
    """

    def __init__(self, queries: Crops, gallery: Crops, leave_out_same_camera: bool) -> None:
        """Look up who is where.

        Args:
            queries, gallery: with persons.
            leave_out_same_camera: the query's person seen by the query's camera does not count.

        Raises:
            InputError: persons or cameras are missing.
        """
        self.persons, offered = encode_persons(queries, gallery)
        self.junk = offered == JUNK_CODE
        self._order = np.argsort(offered, kind="stable")
        self._starts = np.searchsorted(offered[self._order], self.persons, side="left")
        self._ends = np.searchsorted(offered[self._order], self.persons, side="right")
        nobody = self.persons <= NOBODY_CODE
        self._ends[nobody] = self._starts[nobody]
        self._cameras: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        if leave_out_same_camera:
            mine, theirs = encode_cameras(queries, gallery)
            self._cameras = mine, theirs

    def of(self, query: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of a query's right answers, and of the crops that do not count."""
        own = self._order[self._starts[query] : self._ends[query]]
        if self._cameras is None:
            return own, own[:0]
        mine, theirs = self._cameras
        same = theirs[own] == mine[query]
        return own[~same], own[same]
