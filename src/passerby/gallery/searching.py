"""Searching a gallery by photo, by description, or by both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from passerby.calibration.answer_rule import AnswerRule
from passerby.data.conditions import Condition
from passerby.errors import InputError
from passerby.gallery.answers import Answer, AnswerSet, AttributeDifferences, compare_attributes
from passerby.gallery.indexing import Index, index_of
from passerby.gallery.memory import Neighbours, VectorMemory
from passerby.gallery.preparing import PreparedCrop, embed_prepared
from passerby.gallery.store import Store
from passerby.gallery.table_schema import (
    EMBEDDING,
    attribute_columns,
    attributes_of,
    hash_filter,
    known_of,
    vectors_of,
)
from passerby.inference.runtime_model import RuntimeModel, normalize_rows

MOST = 10_000
"""Answers of one search at most."""

_TOP = 20
"""Answers to a description alone, where no threshold is known."""

_SLACK = 16
"""Rows fetched beyond those wanted, since the store computes distances in single precision."""

_ROUNDING = 1e-4
"""Of the store's squared distances between vectors of length 1."""

_ATTEMPTS = 5
"""Searches in memory, while others erase what is found."""


@dataclass(frozen=True)
class Query:
    """Whom to look for.

    Attributes:
        vector: embedding, length 1, shape (D,).
        attributes: probabilities, shape (attributes,); None without attributes.
        hashes: crops that are the query itself, and no answer.
    """

    vector: NDArray[np.float32]
    attributes: NDArray[np.float32] | None
    hashes: tuple[str, ...] = ()

    @classmethod
    def of_persons(
        cls, store: Store, model: RuntimeModel, persons: Sequence[Sequence[PreparedCrop]]
    ) -> list[Self]:
        """Return what one or several crops of each person ask for: the mean of them.

        Raises:
            InputError: the gallery holds another model's vectors.
        """
        store.settings.check_model(model.info, store.where)
        crops = [crop for person in persons for crop in person]
        vectors, attributes = embed_prepared(model, crops)
        queries, start = [], 0
        for person in persons:
            rows = slice(start, start := start + len(person))
            theirs = None if attributes is None else attributes[rows]
            queries.append(cls._mean(vectors[rows], theirs, [crop.hash for crop in person]))
        return queries

    @classmethod
    def of_rows(cls, store: Store, hashes: Sequence[str]) -> Self:
        """Return what crops of the gallery ask for.

        Raises:
            InputError: one of them is not there.
        """
        names = list(attribute_columns(store.settings).values())
        columns = ["hash", EMBEDDING, *names]
        query = store.query(columns, hash_filter(hashes))
        rows = store.read(query)
        missing = set(hashes) - set(rows.column("hash").to_pylist())
        if missing:
            raise InputError(
                f"The gallery has no crop {min(missing)[:12]}…: it was erased, or never added."
            )
        attributes = attributes_of(rows, names) if names else None
        return cls._mean(vectors_of(rows), attributes, hashes)

    @classmethod
    def _mean(
        cls,
        vectors: NDArray[np.float32],
        attributes: NDArray[np.float32] | None,
        hashes: Sequence[str],
    ) -> Self:
        mean = normalize_rows(vectors.mean(axis=0, keepdims=True))[0]
        told = None if attributes is None else attributes.mean(axis=0)
        return cls(mean, told, tuple(hashes))


def search(
    store: Store,
    query: Query | None = None,
    condition: Condition | None = None,
    rule: AnswerRule | None = None,
    *,
    exact: bool = False,
    memory: VectorMemory | None = None,
) -> AnswerSet:
    """Search.

    By photo: the crops at most as far away as the rule says, nearest first, of equally near ones
    that with the smaller hash first. By description: those that fulfil it, the most probable
    first, of equally probable ones the latest, `top_k` of them or 20. By both: the nearest of those
    that fulfil it.

    Args:
        store: the gallery.
        query: whom to look for.
        condition: what has to hold of each crop.
        rule: where the answer set is cut; the best expected F2 if left out.
        exact: look at every row even if there is an index.
        memory: the gallery's vectors, searched instead of the table; always exact.

    Raises:
        InputError: nothing is asked for, or the rule needs a calibration that is not there.
        DoesNotFitError: the gallery has outgrown the memory.
    """
    if query is None and condition is None:
        raise InputError("Nothing is searched for: give a photo, a description, or both.")
    if query is None:
        assert condition is not None
        return _by_description(store, condition, rule, memory)
    where = None if condition is None else condition.sql(attribute_columns(store.settings))
    rule = rule or AnswerRule()
    calibration = store.settings.calibration
    _check_rule(rule, store)
    if memory is not None:
        return _in_memory(store, memory, [query], condition, where, rule)[0]
    store.check_current()
    searched = store.count(where)
    if not searched:
        return AnswerSet((), None, 0, True, False)
    threshold = rule.threshold(calibration, searched)
    index = None if exact else index_of(store)
    finder = _Nearest(store, query, where, index)
    if threshold is None:
        rows, distances = finder.top(min(int(rule.value), MOST))
        more = len(rows) == MOST < rule.value
    else:
        rows, distances, more = finder.within(threshold)
    attributes = attributes_of(rows, list(attribute_columns(store.settings).values()))
    shown = rows.select(store.shown).to_pylist()
    answers = _answers(store, shown, attributes, distances, query, condition, searched)
    return AnswerSet(answers, threshold, searched, index is None, more)


def search_several(
    store: Store,
    queries: Sequence[Query],
    condition: Condition | None = None,
    rule: AnswerRule | None = None,
    *,
    memory: VectorMemory | None = None,
) -> list[AnswerSet]:
    """Search for several persons at once, each as `search` does; in memory, in one product.

    Together they get `MOST` answers at most, each as many as the others.

    Args:
        store: the gallery.
        queries: whom to look for.
        condition, rule, memory: see `search`.

    Raises:
        InputError, DoesNotFitError: see `search`.
    """
    rule = rule or AnswerRule()
    most = max(1, MOST // max(1, len(queries)))
    if memory is None:
        return [search(store, query, condition, rule).first(most) for query in queries]
    _check_rule(rule, store)
    where = None if condition is None else condition.sql(attribute_columns(store.settings))
    return _in_memory(store, memory, queries, condition, where, rule, most)


def _check_rule(rule: AnswerRule, store: Store) -> None:
    if rule.rule == "gap":
        raise InputError("Galleries are not cut at a gap: give a threshold or a number.")
    if store.settings.calibration is None and rule.rule not in ("top_k", "threshold"):
        raise InputError(
            f"The model {store.settings.model_name} is not calibrated, so no threshold is known: "
            "ask for the nearest `top_k`, give a `threshold`, or calibrate it."
        )


def _in_memory(
    store: Store,
    memory: VectorMemory,
    queries: Sequence[Query],
    condition: Condition | None,
    where: str | None,
    rule: AnswerRule,
    most: int = MOST,
) -> list[AnswerSet]:
    """Search in memory; what is shown of the rows found is read from the table."""
    # what is wrong with the rule is told before anything is searched
    rule.threshold(store.settings.calibration, 1)
    for _ in range(_ATTEMPTS):
        found = _nearest_in_memory(store, memory, queries, where, rule, most)
        ids = {row for one in found for row in one.neighbours.ids.tolist()}
        rows = memory.shown(sorted(ids))
        # others may have erased some meanwhile
        if len(rows) == len(ids):
            break
    sets = []
    for query, one in zip(queries, found, strict=True):
        near = one.neighbours
        there = [
            place
            for place, (row, value) in enumerate(zip(near.ids.tolist(), near.hashes, strict=True))
            # ids begin anew where a gallery is made anew
            if row in rows and rows[row]["hash"] == value
        ]
        near = near.of(np.array(there, np.int64))
        shown = [rows[row] for row in near.ids.tolist()]
        answers = _answers(
            store, shown, near.attributes, near.distances, query, condition, near.searched
        )
        sets.append(AnswerSet(answers, one.threshold, near.searched, True, one.more))
    return sets


class _Near(NamedTuple):
    """What memory found for a query; `more` tells whether that is not all."""

    neighbours: Neighbours
    threshold: float | None
    more: bool


def _nearest_in_memory(
    store: Store,
    memory: VectorMemory,
    queries: Sequence[Query],
    where: str | None,
    rule: AnswerRule,
    most: int,
) -> list[_Near]:
    own = max(len(query.hashes) for query in queries)
    vectors = np.stack([query.vector for query in queries])
    if rule.rule == "top_k":
        count = min(int(rule.value), most)
        nearest = memory.top(vectors, count + own, where)
        found = [_without(near, q).first(count) for near, q in zip(nearest, queries, strict=True)]
        return [_Near(near, None, len(near) == most < rule.value) for near in found]
    nearest, threshold = memory.within(
        vectors,
        lambda rows: rule.threshold(store.settings.calibration, rows),
        most + own + 1,
        where,
    )
    found = [_without(near, query) for near, query in zip(nearest, queries, strict=True)]
    return [_Near(near.first(most), threshold, len(near) > most) for near in found]


def _without(near: Neighbours, query: Query) -> Neighbours:
    """Leave out the crops that are the query itself."""
    return near.of(np.flatnonzero([value not in query.hashes for value in near.hashes]))


@dataclass(frozen=True)
class _Nearest:
    """The rows nearest to a query; distances computed again in double precision."""

    store: Store
    query: Query
    where: str | None
    index: Index | None

    def within(self, threshold: float) -> tuple[pa.Table, NDArray[np.float64], bool]:
        """Return the rows at most `threshold` away, and whether there are more than `MOST`."""
        bound = max(0.0, threshold) ** 2 + _ROUNDING
        rows, distances = self._fetched(MOST + len(self.query.hashes) + 1, bound)
        inside = np.flatnonzero(distances <= threshold)
        more = len(inside) > MOST
        return rows.take(inside[:MOST]), distances[inside[:MOST]], more

    def top(self, count: int) -> tuple[pa.Table, NDArray[np.float64]]:
        """Return the nearest `count` rows."""
        limit = count + len(self.query.hashes) + _SLACK
        while True:
            rows, distances = self._fetched(limit, None)
            # rows beyond those fetched are at least about as far as the last of them
            settled = len(rows) + len(self.query.hashes) < limit or (
                len(distances) > count
                and distances[-1] ** 2 > distances[count - 1] ** 2 + _ROUNDING
            )
            if settled or limit > self.store.count():
                return rows.slice(0, count), distances[:count]
            limit *= 4

    def _fetched(self, limit: int, bound: float | None) -> tuple[pa.Table, NDArray[np.float64]]:
        """Return at most `limit` rows in their final order, without the query's own."""
        search = self.store.nearest(self.query.vector, self._columns, self.where, limit)
        if bound is not None:
            search = search.distance_range(upper_bound=bound)
        search = search.bypass_vector_index() if self.index is None else self.index.used(search)
        rows = self.store.read(search)
        hashes = np.array(rows.column("hash").to_pylist(), dtype="U64")
        away = vectors_of(rows).astype(np.float64) - self.query.vector
        distances = np.sqrt(np.einsum("nd,nd->n", away, away))
        order = np.lexsort((hashes, distances))
        order = order[~np.isin(hashes[order], self.query.hashes)]
        return rows.take(order), distances[order]

    @property
    def _columns(self) -> list[str]:
        attributes = attribute_columns(self.store.settings).values()
        return [*self.store.shown, *attributes, EMBEDDING, "_distance"]


def _by_description(
    store: Store, condition: Condition, rule: AnswerRule | None, memory: VectorMemory | None
) -> AnswerSet:
    if rule is not None and rule.rule != "top_k":
        raise InputError(
            "A description alone has no distances to cut at: give `top_k`, or a photo too."
        )
    count = _TOP if rule is None else min(int(rule.value), MOST)
    columns_of = attribute_columns(store.settings)
    names = sorted(condition.attributes())
    columns = ["_rowid", "hash", "time", "added", *(columns_of[name] for name in names)]
    light = store.read(store.query(columns, condition.sql(columns_of)))
    matching = len(light)
    scores = np.ones(matching)
    if names:
        scores = np.asarray(
            condition.score({n: light.column(columns_of[n]).to_numpy() for n in names})
        )
    hashes = np.array(light.column("hash").to_pylist(), dtype="U64")
    taken = compute.coalesce(light.column("time"), light.column("added"))
    latest = -taken.to_numpy().astype(np.int64)
    order = np.lexsort((hashes, latest, -scores))[:count]
    if not len(order):
        return AnswerSet((), None, 0, True, False)
    chosen = light.column("_rowid").to_numpy()[order].tolist()
    rows, attributes = _shown(store, memory, chosen)
    answers = _answers(store, rows, attributes, None, None, condition, matching)
    return AnswerSet(answers, None, matching, True, matching > len(answers))


def _shown(
    store: Store, memory: VectorMemory | None, ids: Sequence[int]
) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    """Return what is shown of rows, and their probabilities, without those that have gone."""
    names = list(attribute_columns(store.settings).values())
    known = None if memory is None else memory.attributes_of(ids)
    if memory is not None and known is not None:
        rows = memory.shown(ids)
        there = [place for place, row in enumerate(ids) if row in rows]
        return [rows[ids[place]] for place in there], known[there]
    table = store.take(ids, [*store.shown, *names])
    return table.select(store.shown).to_pylist(), attributes_of(table, names)


def _answers(
    store: Store,
    rows: Sequence[Mapping[str, Any]],
    attributes: NDArray[np.float32],
    distances: NDArray[np.float64] | None,
    query: Query | None,
    condition: Condition | None,
    searched: int,
) -> tuple[Answer, ...]:
    settings = store.settings
    schema = settings.schema_
    names = attribute_columns(settings)
    labels = None if schema is None else settings.decision.labels(attributes, schema)
    asked = _asked(query, store)
    named = frozenset() if condition is None else condition.attributes()
    scores = None
    if condition is not None and named and schema is not None:
        columns = {name: attributes[:, schema.index(name)] for name in named}
        scores = np.broadcast_to(np.asarray(condition.score(columns)), len(rows))
    probabilities = None
    if len(rows) and distances is not None and settings.calibration is not None:
        probabilities = settings.calibration.probability(distances, searched)
    differences = [AttributeDifferences()] * len(rows)
    if asked is not None and labels is not None and schema is not None:
        differences = compare_attributes(asked, labels, schema)
    found = []
    for number, (row, compared) in enumerate(zip(rows, differences, strict=True)):
        found.append(
            Answer(
                hash=row["hash"],
                path=row["path"],
                known=known_of(row),
                added=row["added"],
                distance=None if distances is None else float(distances[number]),
                probability=None if probabilities is None else float(probabilities[number]),
                score=None if scores is None else float(scores[number]),
                attributes=dict(zip(names, attributes[number].tolist(), strict=True)),
                **compared._asdict(),
            )
        )
    return tuple(found)


def _asked(query: Query | None, store: Store) -> NDArray[np.bool_] | None:
    """Return the attributes that the query shows, if it shows any."""
    settings = store.settings
    if query is None or query.attributes is None or settings.schema_ is None:
        return None
    return settings.decision.labels(query.attributes[None], settings.schema_)[0]
