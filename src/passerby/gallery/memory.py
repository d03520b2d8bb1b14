"""The vectors of a gallery in memory, in step with its table.

Memory follows the table (see `passerby.gallery.following`). Where rows were erased, or written anew
to other files, it reads those of a later version than its own and compares row ids and hashes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.gallery.following import Follower
from passerby.gallery.free_memory import free_bytes
from passerby.gallery.store import Mark, Store
from passerby.gallery.table_schema import EMBEDDING, attribute_columns, attributes_of, vectors_of
from passerby.gallery.vector_blocks import (
    KINDS,
    Found,
    Rows,
    VectorBlock,
    Vectors,
    check_precision,
    merge,
    usual_precision,
)

_SHARE = 0.8
"""Of the memory that is free, the vectors may take so much."""

_SECONDS_A_NUMBER = 1e-8
"""100,000 vectors of 512 numbers are read in half a second."""

_ATTEMPTS = 5
_RANKED = 20_000
"""Rows whose exact vectors are held at once, to rank them."""

_BATCH = 4096
_LEAST_CAPACITY = 1024
_GROWTH = 32
"""Room is made for one row in so many at a time."""

_SHOWN = 4096
"""Rows of which it is remembered what is shown."""

_MASKS = 4
"""Filters whose rows are remembered while nothing changes."""

_HASH = 32
_PLACE = 40
"""Bits of the number of a row in its part; the number of the part lies above."""


_Result = TypeVar("_Result")


class DoesNotFitError(Exception):
    """The vectors take more memory than there is."""


class _GoneError(Exception):
    """What is read of a version was perhaps cleaned up."""

    def __init__(self, reason: InputError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextmanager
def _while_it_is_there() -> Iterator[None]:
    """Tell what cannot be read any more from what is wrong with a search."""
    try:
        yield
    except InputError as error:
        raise _GoneError(error) from error


@dataclass(frozen=True)
class Neighbours:
    """Rows near a query, the nearest first; of equally near ones that with the smaller hash.

    Attributes:
        ids: row ids of the table, int64, shape (N,).
        hashes: of the crops.
        distances: √(2 − 2 cos) in double precision, shape (N,).
        attributes: probabilities, float32, shape (N, attributes).
        searched: rows that they were chosen from.
    """

    ids: NDArray[np.int64]
    hashes: tuple[str, ...]
    distances: NDArray[np.float64]
    attributes: NDArray[np.float32]
    searched: int

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, count: int) -> "Neighbours":
        """Return the nearest `count`."""
        return self if len(self) <= count else self.of(np.arange(count))

    def of(self, rows: NDArray[np.int64]) -> "Neighbours":
        """Return some of them, by their places."""
        hashes = tuple(self.hashes[row] for row in rows.tolist())
        return Neighbours(
            self.ids[rows], hashes, self.distances[rows], self.attributes[rows], self.searched
        )


class VectorMemory(Follower):
    """All vectors of a gallery, for searches by one process, of any number of threads.

    Args:
        store: the gallery.
        precision: "single", searched by NumPy; or "half", by faiss; the faster one if left out.
            What is found is the same.
        limit: bytes that it may take; most of the memory that is free if left out.

    Raises:
        DoesNotFitError: the gallery takes more.
        InputError: the precision is unknown, or a file of the gallery is damaged.
    """

    def __init__(
        self, store: Store, precision: str | None = None, limit: int | None = None
    ) -> None:
        if precision is None:
            precision = usual_precision(store.count() * store.settings.embedding_size)
        check_precision(precision)
        super().__init__(store)
        self._block = KINDS[precision]
        self._limit = limit
        self._parts: list[_Part] = []
        self._masks: dict[str, list[NDArray[np.bool_]]] = {}
        self._rows: dict[int, dict[str, Any]] = {}
        self._closed = False
        self.refresh()

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def close(self) -> None:
        """Give the memory back, for good."""
        with self._looking, self._lock:
            self._closed = True
            self.forget()

    def top(self, queries: Vectors, count: int, where: str | None = None) -> list[Neighbours]:
        """Return the `count` rows nearest to each query.

        Args:
            queries: of length 1, shape (Q, D).
            count: how many at most.
            where: a filter for the store.

        Raises:
            DoesNotFitError: what was added does not fit into memory.
            InputError: a file of the gallery is damaged, or it was embedded again.
        """

        def search(among: list[Rows] | None) -> list[Neighbours]:
            return self._nearest(
                queries, count, among, lambda block, rows: block.top(queries, count, rows)
            )

        return self._searched(search, where)

    def within(
        self,
        queries: Vectors,
        distance: Callable[[int], float | None],
        most: int,
        where: str | None = None,
    ) -> tuple[list[Neighbours], float | None]:
        """Return the rows at most a distance away from each query, and the distance.

        Args:
            queries: of length 1, shape (Q, D).
            distance: returns √(2 − 2 cos) for the number of rows that are searched, if any are.
            most: the nearest so many at most.
            where: a filter for the store.

        Raises:
            DoesNotFitError, InputError: see `top`.
        """

        def search(among: list[Rows] | None) -> tuple[list[Neighbours], float | None]:
            searched = sum(map(len, self._parts if among is None else among))
            limit = distance(searched) if searched else None
            if limit is None:
                nobody = [np.empty(0, np.int64)] * len(queries)
                return self._ranked(queries, nobody, among), None
            score = 1 - max(0.0, limit) ** 2 / 2
            near = self._nearest(
                queries, most, among, lambda block, rows: block.above(queries, score, most, rows)
            )
            inside = [one.of(np.flatnonzero(one.distances <= limit)) for one in near]
            return inside, limit

        return self._searched(search, where)

    def _nearest(
        self,
        queries: Vectors,
        count: int,
        among: list[Rows] | None,
        look: Callable[[VectorBlock, Rows | None], list[Found]],
    ) -> list[Neighbours]:
        """Return the nearest `count` of what is found for each query by looking at each block."""
        found: list[list[Found]] = [[] for _ in queries]
        for number, part in enumerate(self._parts):
            theirs = look(part.block, None if among is None else among[number])
            for mine, (rows, scores) in zip(found, theirs, strict=True):
                mine.append((rows + (number << _PLACE), scores))
        places = [merge(mine, count, self._tolerance)[0] for mine in found]
        # exact vectors of a few queries at a time: those of all may be more than the gallery's
        at_once = max(1, _RANKED // max(1, count))
        return [
            one.first(count)
            for start in range(0, len(places), at_once)
            for one in self._ranked(
                queries[start : start + at_once], places[start : start + at_once], among
            )
        ]

    def _searched(
        self, search: "Callable[[list[Rows] | None], _Result]", where: str | None
    ) -> "_Result":
        """Search the rows that a filter admits, in step with the table."""
        for left in reversed(range(_ATTEMPTS)):
            with self._in_step():
                try:
                    return search(self._among(where))
                except _GoneError as error:
                    if not left:
                        raise error.reason from None
        raise AssertionError

    def shown(self, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return what is shown of rows, by row id; without those that have gone.

        What was shown of late is remembered: rows never change, and none that was erased is kept.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with self._lock:
            found = {row: self._rows[row] for row in ids if row in self._rows}
            mark = self._mark
        missing = [row for row in ids if row not in found]
        if missing:
            read = self._store.take(missing, self._store.shown).to_pylist()
            rows = {row["_rowid"]: row for row in read}
            found |= rows
            with self._lock:
                # else some of them may have been erased meanwhile
                if mark is self._mark:
                    self._rows |= rows
                while len(self._rows) > _SHOWN:
                    del self._rows[next(iter(self._rows))]
        return found

    def attributes_of(self, ids: Sequence[int]) -> NDArray[np.float32] | None:
        """Return probabilities of rows, shape (N, attributes); None if one of them is not there.

        Args:
            ids: row ids of the table.
        """
        with self._lock:
            wanted = np.array(ids, np.int64)
            found = np.empty((len(wanted), self._attribute_count), np.float32)
            left = np.ones(len(wanted), np.bool_)
            for part in self._parts:
                _, rows, mine = np.intersect1d(
                    part.ids_in_use, wanted, assume_unique=True, return_indices=True
                )
                found[mine] = part.attributes[rows]
                left[mine] = False
        return None if left.any() else found

    @property
    def _tolerance(self) -> float:
        return max((part.block.tolerance for part in self._parts), default=0.0)

    # What is in memory

    def _ranked(
        self, queries: Vectors, places: list[Rows], among: list[Rows] | None
    ) -> list[Neighbours]:
        """Return rows in their order for each query, by distances in double precision."""
        searched = sum(map(len, self._parts if among is None else among))
        union = places[0] if len(places) == 1 else np.unique(np.concatenate(places))
        held, vectors = self._held_at(union)
        names = _hash_texts(held.hashes)
        found = []
        for query, mine in zip(queries, places, strict=True):
            rows = np.arange(len(union)) if mine is union else np.searchsorted(union, mine)
            away = vectors[rows] - query
            distances = np.sqrt(np.einsum("nd,nd->n", away, away))
            order = np.lexsort((names[rows], distances))
            rows = rows[order]
            found.append(
                Neighbours(
                    held.ids[rows],
                    tuple(names[rows].tolist()),
                    distances[order],
                    held.attributes[rows],
                    searched,
                )
            )
        return found

    def _held_at(self, places: Rows) -> tuple["_Values", NDArray[np.float64]]:
        """Return what memory holds of rows, and their exact vectors."""
        numbers, rows = places >> _PLACE, places & ((1 << _PLACE) - 1)
        size = self._view.settings.embedding_size
        held = _Values.empty(len(places), size, self._attribute_count)
        vectors = np.empty((len(places), size), np.float64)
        for number in np.unique(numbers).tolist():
            mine = np.flatnonzero(numbers == number)
            part = self._parts[number]
            held.ids[mine] = part.ids[rows[mine]]
            held.hashes[mine] = part.hashes[rows[mine]]
            held.attributes[mine] = part.attributes[rows[mine]]
            exact = part.block.exact(rows[mine])
            if exact is None:
                # of the version that memory is of, in which none of them has gone
                with _while_it_is_there():
                    table = self._view.take(held.ids[mine].tolist(), [EMBEDDING])
                vectors[mine] = vectors_of(table)
            else:
                vectors[mine] = exact
        return held, vectors

    def _among(self, where: str | None) -> list[Rows] | None:
        """Return the rows of each part that a filter admits; None without a filter."""
        if where is None:
            return None
        if where not in self._masks:
            with _while_it_is_there():
                batches = self._view.batches(self._view.query(["_rowid"], where), 1 << 16)
                ids = np.concatenate([np.empty(0, np.int64), *map(_ids_of, batches)])
            while len(self._masks) >= _MASKS:
                del self._masks[next(iter(self._masks))]
            self._masks[where] = [np.isin(part.ids_in_use, ids) for part in self._parts]
        return list(map(np.flatnonzero, self._masks[where]))

    # Keeping in step

    def _catch_up(self, asked: float) -> None:
        with self._looking:
            if self._closed:
                raise DoesNotFitError
            super()._catch_up(asked)

    def _forget(self) -> None:
        self._parts = []
        self._masks.clear()
        self._rows.clear()

    def _add(self, rows: pa.Table) -> None:
        self._masks.clear()
        self._append(self._values(rows))

    def _anew(self, before: Mark | None) -> None:
        rows = self._view.count()
        if before is None:
            self._forget()
            if rows:
                self._make_room(rows)
            self._put(None)
            return
        self._masks.clear()
        self._rows.clear()
        self._put(f"_row_last_updated_at_version > {before.version}")
        self._compare()

    def _compare(self) -> None:
        """Forget the rows that the table does not have; read those that memory does not have."""
        query = self._view.query(["_rowid", "hash"])
        batches = list(self._view.batches(query, 1 << 16))
        there = np.concatenate([np.empty(0, np.int64), *map(_ids_of, batches)])
        hashes = np.concatenate(
            [np.empty((0, _HASH), np.uint8), *(_hash_bytes(b.column("hash")) for b in batches)]
        )
        order = np.argsort(there)
        there, hashes = there[order], hashes[order]
        for part in self._parts:
            places = np.minimum(np.searchsorted(there, part.ids_in_use), max(0, len(there) - 1))
            # a row that was brought back may have another one's id
            same = np.zeros(len(part), np.bool_)
            if len(there):
                same = there[places] == part.ids_in_use
                same &= (hashes[places] == part.hashes[: len(part)]).all(axis=1)
            part.remove(np.flatnonzero(~same))
        self._parts = [part for part in self._parts if len(part)]
        if len(self) == len(there):
            return
        known = np.concatenate([np.empty(0, np.int64), *(part.ids_in_use for part in self._parts)])
        missing = there[~np.isin(there, known)]
        for start in range(0, len(missing), _BATCH):
            chosen = missing[start : start + _BATCH].tolist()
            self._append(self._values(self._view.take(chosen, self._columns)))

    def _put(self, where: str | None) -> None:
        """Read rows, which may replace others."""
        query = self._view.query([*self._columns, "_rowid"], where)
        for batch in self._view.batches(query, _BATCH):
            values = self._values(pa.Table.from_batches([batch]))
            latest = max(
                (int(part.ids_in_use.max()) for part in self._parts if len(part)), default=-1
            )
            new = np.ones(len(values), np.bool_)
            if len(values) and values.ids.min() <= latest:
                for part in self._parts:
                    _, old, mine = np.intersect1d(
                        part.ids_in_use, values.ids, assume_unique=True, return_indices=True
                    )
                    part.replace(old, values.of(mine))
                    new[mine] = False
            self._append(values.of(np.flatnonzero(new)))

    def _values(self, rows: pa.Table) -> "_Values":
        return _Values(
            rows.column("_rowid").to_numpy().astype(np.int64),
            _hash_bytes(rows.column("hash")),
            attributes_of(rows, list(attribute_columns(self._view.settings).values())),
            vectors_of(rows),
        )

    def _append(self, values: "_Values") -> None:
        start = 0
        while start < len(values):
            if not self._parts or self._parts[-1].is_full:
                self._make_room(max(_LEAST_CAPACITY, len(self) // _GROWTH, len(values) - start))
            part = self._parts[-1]
            stop = min(len(values), start + part.block.capacity - len(part))
            part.append(values.of(np.arange(start, stop)))
            start = stop

    def _make_room(self, rows: int) -> None:
        size = self._view.settings.embedding_size
        held = sum(known.bytes for known in self._parts)
        limit = int(_SHARE * free_bytes()) + held if self._limit is None else self._limit
        # before any of it is taken
        if held + rows * _row_bytes(self._block, size, self._attribute_count) > limit:
            raise DoesNotFitError
        self._parts.append(_Part.empty(self._block, rows, size, self._attribute_count))

    @property
    def _columns(self) -> list[str]:
        return ["hash", *attribute_columns(self._view.settings).values(), EMBEDDING]

    @property
    def _attribute_count(self) -> int:
        return len(attribute_columns(self._view.settings))


@dataclass(frozen=True)
class _Values:
    """What memory holds of rows: row ids, hashes, attributes and vectors."""

    ids: NDArray[np.int64]
    hashes: NDArray[np.uint8]
    attributes: NDArray[np.float32]
    vectors: Vectors

    @classmethod
    def empty(cls, rows: int, size: int, attributes: int) -> "_Values":
        return cls(
            np.zeros(rows, np.int64),
            np.zeros((rows, _HASH), np.uint8),
            np.zeros((rows, attributes), np.float32),
            np.zeros((rows, size), np.float32),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, rows: NDArray[np.int64]) -> "_Values":
        return _Values(self.ids[rows], self.hashes[rows], self.attributes[rows], self.vectors[rows])


@dataclass(frozen=True)
class _Part:
    """Rows, one after the other, and room for some more."""

    block: VectorBlock
    ids: NDArray[np.int64]
    hashes: NDArray[np.uint8]
    attributes: NDArray[np.float32]
    bytes: int

    @classmethod
    def empty(cls, kind: Any, rows: int, size: int, attributes: int) -> "_Part":
        return cls(
            kind(rows, size),
            np.zeros(rows, np.int64),
            np.zeros((rows, _HASH), np.uint8),
            np.zeros((rows, attributes), np.float32),
            rows * _row_bytes(kind, size, attributes),
        )

    def __len__(self) -> int:
        return len(self.block)

    @property
    def is_full(self) -> bool:
        return len(self.block) >= self.block.capacity

    @property
    def ids_in_use(self) -> NDArray[np.int64]:
        return self.ids[: len(self.block)]

    def append(self, values: _Values) -> None:
        rows = slice(len(self), len(self) + len(values))
        self.ids[rows], self.hashes[rows] = values.ids, values.hashes
        self.attributes[rows] = values.attributes
        self.block.append(values.vectors)

    def replace(self, rows: Rows, values: _Values) -> None:
        if len(rows):
            self.hashes[rows], self.attributes[rows] = values.hashes, values.attributes
            self.block.replace(rows, values.vectors)

    def remove(self, rows: Rows) -> None:
        """Let the last rows take the places of others, of which nothing stays in memory.

        Args:
            rows: to be removed, ascending.
        """
        if not len(rows):
            return
        count = len(self) - len(rows)
        holes = rows[rows < count]
        movers = np.setdiff1d(np.arange(count, len(self)), rows)
        for values in (self.ids, self.hashes, self.attributes):
            values[holes] = values[movers]
            values[count : len(self)] = 0
        self.block.move(holes, movers, count)


def _row_bytes(kind: Any, size: int, attributes: int) -> int:
    """Return what a row takes in memory: vector, row id, hash and probabilities."""
    return int(size * kind.bytes_per_number + 8 + _HASH + 4 * attributes)


def _ids_of(batch: pa.RecordBatch) -> NDArray[np.int64]:
    ids: NDArray[np.int64] = batch.column("_rowid").to_numpy().astype(np.int64)
    return ids


def _hash_bytes(column: pa.ChunkedArray | pa.Array) -> NDArray[np.uint8]:
    """Return hashes, written in hexadecimal, as their bytes, shape (N, 32)."""
    found = bytes.fromhex("".join(column.to_pylist()))
    return np.frombuffer(found, np.uint8).reshape(-1, _HASH)


def _hash_texts(hashes: NDArray[np.uint8]) -> NDArray[np.str_]:
    """Return hashes in hexadecimal, shape (N,)."""
    text = hashes.tobytes().hex()
    width = 2 * _HASH
    names = [text[start : start + width] for start in range(0, len(text), width)]
    return np.array(names, f"U{width}")


def loading_seconds(store: Store) -> float:
    """Return about how long it takes to read all vectors of a gallery."""
    return store.count() * store.settings.embedding_size * _SECONDS_A_NUMBER
