"""Keeping what a process knows of a gallery in step with its table, whoever changes that.

A look compares the table's version, and whose it is, with those of the last look. What was added
since is read from the table's end; if more was done than that, the follower reads what it needs.
All is read of one version, so that what others do meanwhile is either seen whole or the next time.
"""

import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

import pyarrow as pa

from passerby.errors import InputError
from passerby.gallery.store import Mark, Store

IDLE_SECONDS: Final = 60.0
"""After which what other processes erased is forgotten, even if nobody asks."""

_ATTEMPTS = 5
_NEVER = float("-inf")


class Follower(ABC):
    """Knows something of a gallery's rows; safe to be used by several threads.

    Args:
        store: the gallery.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._view, self._ahead = store.another(), store.another()
        # of what is known; the table is asked without it, so that others may use what is known
        self._lock = threading.RLock()
        self._looking = threading.RLock()
        self._mark: Mark | None = None
        self._looked = _NEVER
        self._made = time.monotonic()
        _watch(self)

    @classmethod
    def of(cls, store: Store) -> Self:
        """Return the one of a gallery that is opened once and asked often."""
        follower: Self | None = store.followers.get(cls)
        if follower is None:
            # of two threads both may make one
            follower = store.followers.setdefault(cls, cls(store))
        return follower

    @property
    @abstractmethod
    def _columns(self) -> Sequence[str]:
        """What is read of rows."""

    @abstractmethod
    def _add(self, rows: pa.Table) -> None:
        """Learn of rows that were added, with their `_rowid`."""

    @abstractmethod
    def _anew(self, before: Mark | None) -> None:
        """Learn of a version of which more is new than rows at its end, by `_view`.

        Args:
            before: what is known is of then; None if nothing is known, or that was of another
                gallery or of a later version.
        """

    @abstractmethod
    def _forget(self) -> None:
        """Forget everything."""

    def refresh(self) -> None:
        """Learn what was added and erased since the last look.

        Raises:
            InputError: a file of the gallery is damaged, or it was embedded again.
        """
        self._catch_up(time.monotonic())

    def forget(self) -> None:
        """Forget everything, until the next look."""
        with self._looking, self._lock:
            self._mark, self._looked = None, _NEVER
            self._forget()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last look at the table."""
        return time.monotonic() - max(self._looked, self._made)

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        """Hold the lock of what is known, which is no older than the call."""
        while True:
            self._catch_up(time.monotonic())
            with self._lock:
                # else it was forgotten meanwhile
                if self._mark is not None:
                    yield
                    return

    def _catch_up(self, asked: float) -> None:
        """Look at the table, unless that was done since.

        Args:
            asked: since when, by `time.monotonic`: threads that wait for each other share a look.
        """
        with self._looking:
            if self._looked >= asked:
                return
            for left in reversed(range(_ATTEMPTS)):
                looked = time.monotonic()
                try:
                    self._step()
                except InputError:
                    # the version that was read may have been cleaned up meanwhile
                    self._store.check_current()
                    if not left:
                        self.forget()
                        raise
                else:
                    self._looked = looked
                    return

    def _step(self) -> None:
        version, gallery = self._store.position()
        before = self._mark
        if before is not None and (before.version, before.gallery) == (version, gallery):
            return
        if before is None or before.gallery != gallery:
            self._store.check_current()
        ahead = self._ahead
        ahead.use_version(version)
        if before is not None and (before.gallery != gallery or before.version > version):
            before = None
        found = None
        if before is not None:
            found = ahead.appended(before, version, [*self._columns, "_rowid"])
        mark = ahead.mark(version) if found is None else found[1]
        if mark.gallery != gallery:
            raise InputError(f"{self._store.where} was made anew meanwhile: try again.")
        with self._lock:
            self._view, self._ahead = ahead, self._view
            try:
                if found is None:
                    self._anew(before)
                else:
                    self._add(found[0])
            except BaseException:
                # half of it may be new
                self.forget()
                raise
            self._mark = mark


_watched: "weakref.WeakSet[Follower]" = weakref.WeakSet()
_watching = threading.Lock()


def _watch(follower: Follower) -> None:
    """Let a follower look now and then while nobody asks it."""
    with _watching:
        if not _watched:
            threading.Thread(target=_keep_looking, daemon=True).start()
        _watched.add(follower)


def _keep_looking() -> None:
    while True:
        time.sleep(IDLE_SECONDS / 3)
        with _watching:
            followers = list(_watched)
            if not followers:
                return
        for follower in followers:
            look_if_idle(follower)
        # the loop's variables would keep them
        del followers, follower


def look_if_idle(follower: Follower) -> None:
    """Let a follower look that has not of late; what cannot be looked at is forgotten."""
    if follower.idle_seconds < IDLE_SECONDS / 3:
        return
    try:
        follower.refresh()
    except Exception:
        # whoever asks next is told
        follower.forget()
