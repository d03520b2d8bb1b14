"""Vectors in memory, and which of them are nearest: exactly, or a little too many.

A block holds up to a fixed number of vectors of length 1, one after the other. What it finds is
found by its own arithmetic, single or half precision, and widened by what that may be wrong by: no
vector is missed that would be found by exact arithmetic, some are found in vain.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from passerby.errors import InputError

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Found = tuple[Rows, NDArray[np.float32]]
"""Rows of a block, and their scores: cosines with the query."""

_STRIDE = 64
"""Scores of which the highest one says how high the highest of all are at least."""

_TILE = 16_384
"""Rows that several queries are multiplied with at once: scores of all do not fit into caches."""

_MANY = 8
"""As many queries are multiplied with all rows faster than faiss looks through half precision."""

_LARGE = 12_000_000
"""Numbers that NumPy multiplies in the time in which exact vectors are read for half precision."""

_SPARSE = 0.3
"""Fewer of the rows than this are copied before they are multiplied."""

_LENGTHS = 2e-4
"""What scores say too much or too little of distances, since lengths are only about 1."""


class VectorBlock(Protocol):
    """Vectors of one length.

    Attributes:
        capacity: how many at most.
        tolerance: what scores may be wrong by.
    """

    capacity: int
    tolerance: float

    def __len__(self) -> int: ...

    def append(self, vectors: Vectors) -> None:
        """Put vectors, shape (N, D), behind the others."""

    def replace(self, rows: Rows, vectors: Vectors) -> None:
        """Put vectors, shape (N, D), in the places of others."""

    def move(self, holes: Rows, movers: Rows, count: int) -> None:
        """Put some rows in the places of others, and wipe all rows from `count` on."""

    def top(self, queries: Vectors, count: int, among: Rows | None = None) -> list[Found]:
        """Return for each query rows that hold the nearest `count`, and some more.

        Args:
            queries: of length 1, shape (Q, D).
            count: how many are wanted.
            among: the only rows that are looked at, ascending; all if left out.
        """

    def above(
        self, queries: Vectors, score: float, most: int, among: Rows | None = None
    ) -> list[Found]:
        """Return for each query rows that hold those with at least this score, and some more.

        Args:
            queries: of length 1, shape (Q, D).
            score: the cosine.
            most: of more rows than this only the nearest are wanted.
            among: as of `top`.
        """

    def exact(self, rows: Rows) -> NDArray[np.float64] | None:
        """Return vectors as they were put in, shape (N, D); None if they are kept rounded."""


class SingleBlock:
    """Vectors in single precision, searched by NumPy.

    Args:
        capacity: most vectors.
        size: their length D.
    """

    bytes_per_number = 4

    def __init__(self, capacity: int, size: int) -> None:
        self.capacity = capacity
        self._vectors = np.zeros((capacity, size), np.float32)
        self._count = 0
        # of a sum of D products, each of them rounded
        self.tolerance = size * 2.0**-24 + _LENGTHS

    def __len__(self) -> int:
        return self._count

    def append(self, vectors: Vectors) -> None:
        self._vectors[self._count : self._count + len(vectors)] = vectors
        self._count += len(vectors)

    def replace(self, rows: Rows, vectors: Vectors) -> None:
        self._vectors[rows] = vectors

    def move(self, holes: Rows, movers: Rows, count: int) -> None:
        self._vectors[holes] = self._vectors[movers]
        self._vectors[count : self._count] = 0
        self._count = count

    def top(self, queries: Vectors, count: int, among: Rows | None = None) -> list[Found]:
        if len(queries) == 1:
            rows, scores = self._scores(queries[0], among)
            return [_highest(rows, scores, count, self.tolerance)]
        tiles = _tiles(self._vectors.__getitem__, self._count, among)
        return _multiplied(tiles, queries, count, self.tolerance)

    def above(
        self, queries: Vectors, score: float, most: int, among: Rows | None = None
    ) -> list[Found]:
        score -= self.tolerance
        if len(queries) == 1:
            rows, scores = self._scores(queries[0], among)
            chosen = np.flatnonzero(scores >= score)
            return [(rows[chosen], scores[chosen])]
        tiles = _tiles(self._vectors.__getitem__, self._count, among)
        return _multiplied(tiles, queries, most, self.tolerance, score)

    def exact(self, rows: Rows) -> NDArray[np.float64] | None:
        return self._vectors[rows].astype(np.float64)

    def _scores(self, query: Vectors, among: Rows | None) -> Found:
        if among is None:
            return np.arange(self._count), self._vectors[: self._count] @ query
        if len(among) < _SPARSE * self._count:
            # a few at a time: they are copied
            parts = [
                self._vectors[among[start : start + _TILE]] @ query
                for start in range(0, len(among), _TILE)
            ]
            return among, np.concatenate([np.empty(0, np.float32), *parts])
        return among, (self._vectors[: self._count] @ query)[among]


class HalfBlock:
    """Vectors in half precision, searched by faiss: half the memory, and half the time.

    Args:
        capacity: most vectors.
        size: their length D.
    """

    bytes_per_number = 2

    def __init__(self, capacity: int, size: int) -> None:
        # typed as anything: its wrappers take arrays where its declarations say otherwise
        faiss: Any = import_module("faiss")
        self.capacity = capacity
        self._faiss = faiss
        self._size = size
        self._index = faiss.IndexScalarQuantizer(
            size, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        # half precision knows its range, but wants to be trained
        self._index.train(np.zeros((1, size), np.float32))
        # so that adding never copies what is there
        self._index.codes.resize(capacity * self._index.code_size)
        self._index.codes.resize(0)
        # 11 bits of each number are kept, and D products are rounded
        self.tolerance = 2.0**-11 + size * 2.0**-24 + _LENGTHS

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def append(self, vectors: Vectors) -> None:
        self._index.add(np.ascontiguousarray(vectors))

    def replace(self, rows: Rows, vectors: Vectors) -> None:
        self._held()[rows] = vectors.astype(np.float16)

    def move(self, holes: Rows, movers: Rows, count: int) -> None:
        held = self._held()
        held[holes] = held[movers]
        held[count:] = 0
        self._index.codes.resize(count * self._index.code_size)
        self._index.ntotal = count

    def top(self, queries: Vectors, count: int, among: Rows | None = None) -> list[Found]:
        if len(queries) >= _MANY:
            tiles = _tiles(self._single, len(self), among)
            return _multiplied(tiles, queries, count, self.tolerance)
        total = len(self) if among is None else len(among)
        wanted = min(total, count + _STRIDE)
        open_queries = np.arange(len(queries))
        found: list[Found] = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
        while wanted and len(open_queries):
            asked = np.ascontiguousarray(queries[open_queries])
            with self._one_thread():
                scores, rows = self._search(asked, wanted, params=self._only(among))
            left = []
            for number, some, theirs in zip(open_queries.tolist(), scores, rows, strict=True):
                floor = some[min(count, wanted) - 1] - 2 * self.tolerance
                if some[-1] >= floor and wanted < total:
                    left.append(number)  # more of them may be as near
                chosen = some >= floor
                found[number] = theirs[chosen].astype(np.int64), some[chosen]
            open_queries, wanted = np.array(left, np.int64), min(total, 4 * wanted)
        return found

    def above(
        self, queries: Vectors, score: float, most: int, among: Rows | None = None
    ) -> list[Found]:
        score -= self.tolerance
        if len(queries) >= _MANY:
            tiles = _tiles(self._single, len(self), among)
            return _multiplied(tiles, queries, most, self.tolerance, score)
        with self._one_thread():
            bounds, scores, rows = self._range_search(queries, score, params=self._only(among))
        return [
            (rows[start:stop].astype(np.int64), scores[start:stop])
            for start, stop in pairwise(bounds.tolist())
        ]

    def exact(self, rows: Rows) -> NDArray[np.float64] | None:
        return None

    @property
    def _search(self) -> Callable[..., Any]:
        # a library beside torch may have changed faiss so that it takes tensors, but no parameters;
        # its own methods are still there
        found: Callable[..., Any] = getattr(self._index, "search_numpy", self._index.search)
        return found

    @property
    def _range_search(self) -> Callable[..., Any]:
        index = self._index
        found: Callable[..., Any] = getattr(index, "range_search_numpy", index.range_search)
        return found

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        """Search in this thread alone: servers have enough of them, and starting more is slow."""
        before = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(1)
        try:
            yield
        finally:
            self._faiss.omp_set_num_threads(before)

    def _only(self, among: Rows | None) -> object:
        if among is None:
            return None
        bits = np.zeros(len(self), np.bool_)
        bits[among] = True
        selector = self._faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
        return self._faiss.SearchParameters(sel=selector)

    def _single(self, rows: slice | Rows) -> Vectors:
        """Return vectors in single precision."""
        if isinstance(rows, slice):
            found = np.empty((rows.stop - rows.start, self._size), np.float32)
            self._index.reconstruct_n(rows.start, len(found), found)
            return found
        return self._held()[rows].astype(np.float32)

    def _held(self) -> NDArray[np.float16]:
        """Return the codes themselves, not a copy; a test tells if faiss keeps them otherwise."""
        codes = self._index.codes
        held = self._faiss.rev_swig_ptr(codes.data(), codes.size())
        view: NDArray[np.float16] = held.view(np.float16).reshape(-1, self._size)
        return view


def _tiles(
    vectors: Callable[[slice | Rows], Vectors], total: int, among: Rows | None
) -> Iterator[tuple[Rows, Vectors]]:
    """Yield some rows at a time, and their vectors.

    Args:
        vectors: returns those of some rows.
        total: how many rows there are.
        among: the only rows that are looked at, ascending; all if left out.
    """
    for start in range(0, total, _TILE):
        stop = min(start + _TILE, total)
        if among is None:
            yield np.arange(start, stop), vectors(slice(start, stop))
        else:
            first, last = np.searchsorted(among, (start, stop))
            yield among[first:last], vectors(among[first:last])


def _multiplied(
    tiles: Iterable[tuple[Rows, Vectors]],
    queries: Vectors,
    count: int,
    tolerance: float,
    least: float | None = None,
) -> list[Found]:
    """Return what a block's `top` and `above` do, by products of all queries with a tile.

    Args:
        tiles: rows and their vectors.
        queries: of length 1, shape (Q, D).
        count: of more rows than this only the nearest are wanted.
        tolerance: what scores may be wrong by.
        least: score that they reach; any if left out.
    """
    found: list[list[Found]] = [[] for _ in queries]
    merged = [0] * len(queries)
    for rows, tile in tiles:
        for number, (mine, scores) in enumerate(zip(found, queries @ tile.T, strict=True)):
            reached = rows, scores
            if least is not None:
                chosen = np.flatnonzero(scores >= least)
                reached = rows[chosen], scores[chosen]
            mine.append(_highest(*reached, count, tolerance))
            # what a hundred queries find of a million rows need not be held
            if sum(len(held) for held, _ in mine) > 2 * merged[number] + 4 * count + _TILE:
                mine[:] = [merge(mine, count, tolerance)]
                merged[number] = len(mine[0][0])
    return [merge(mine, count, tolerance) for mine in found]


KINDS: dict[str, Callable[[int, int], VectorBlock]] = {"single": SingleBlock, "half": HalfBlock}
"""Precision to the block that holds vectors so."""


def merge(parts: list[Found], count: int, tolerance: float = 0.0) -> Found:
    """Return of what several blocks found what may be among the highest `count`."""
    rows = np.concatenate([np.empty(0, np.int64), *(part[0] for part in parts)])
    scores = np.concatenate([np.empty(0, np.float32), *(part[1] for part in parts)])
    return _highest(rows, scores, count, tolerance)


def check_precision(precision: str) -> None:
    """Check that vectors can be held in a precision.

    Raises:
        InputError: the precision is unknown, or needs what is not installed.
    """
    if precision not in KINDS:
        raise InputError(f"`precision` is {precision!r}: choose from {', '.join(KINDS)}.")
    if precision == "half" and find_spec("faiss") is None:
        raise InputError(
            "Half precision needs faiss: install the extra `memory`, or choose single precision."
        )


def usual_precision(numbers: int) -> str:
    """Return the faster precision: half where faiss is installed, if there is much to look through.

    Args:
        numbers: of all vectors together.
    """
    return "half" if numbers >= _LARGE and find_spec("faiss") is not None else "single"


def _highest(rows: Rows, scores: NDArray[np.float32], count: int, tolerance: float) -> Found:
    """Return the rows whose scores may be, but for rounding, among the highest `count`."""
    if len(scores) <= count:
        return rows, scores
    chosen = np.flatnonzero(scores >= _floor(scores, count) - 2 * tolerance)
    return rows[chosen], scores[chosen]


def _floor(scores: NDArray[np.float32], count: int) -> float:
    """Return a number that at least `count` of the scores reach, near the highest such one.

    The highest scores of short stretches are themselves scores: the lowest of the `count` highest
    of them is found in a fraction of the time that sorting all takes.
    """
    whole = len(scores) - len(scores) % _STRIDE
    peaks = scores
    if whole // _STRIDE >= 4 * count:
        peaks = scores[:whole].reshape(-1, _STRIDE).max(axis=1)
    return float(np.partition(peaks, -count)[-count])
