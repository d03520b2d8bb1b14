"""Which gallery crops are right answers to a query, and which do not count."""

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import DISTRACTOR, JUNK, Crops


class Relevance:
    """The right answers to each query, as rows of the gallery.

    Distractors and junk are never right, neither as answers nor as queries.

    Attributes:
        junk: crops of the gallery that never count, bool, shape (G,).
    """

    def __init__(self, queries: Crops, gallery: Crops, leave_out_same_camera: bool) -> None:
        """Look up who is where.

        Args:
            queries, gallery: with person ids.
            leave_out_same_camera: the query's person seen by the query's camera does not count.

        Raises:
            InputError: person or camera ids are missing.
        """
        self._persons = queries.known_persons
        offered = gallery.known_persons
        self.junk = offered == JUNK
        self._order = np.argsort(offered, kind="stable")
        self._starts = np.searchsorted(offered[self._order], self._persons, side="left")
        self._ends = np.searchsorted(offered[self._order], self._persons, side="right")
        nobody = self._persons <= DISTRACTOR
        self._ends[nobody] = self._starts[nobody]
        self._cameras: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        if leave_out_same_camera:
            self._cameras = queries.known_cameras, gallery.known_cameras

    def of(self, query: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of a query's right answers, and of the crops that do not count."""
        own = self._order[self._starts[query] : self._ends[query]]
        if self._cameras is None:
            return own, own[:0]
        mine, theirs = self._cameras
        same = theirs[own] == mine[query]
        return own[~same], own[same]
