"""What is in a gallery, counted once; later only what was added since is read."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyarrow import compute

from passerby.errors import InputError
from passerby.gallery.settings import Settings
from passerby.gallery.store import Store
from passerby.gallery.table_schema import known_columns

_COUNTED = {"cameras": "camera", "sources": "source", "datasets": "dataset"}
_DISTINCT = {"persons": ("person", "dataset"), "tracks": ("track", "dataset", "source", "camera")}
"""Values of the first column; those within different others are different."""

_SPANS = {"taken": "time", "added": "added"}
_ATTEMPTS = 3


@dataclass
class _Counts:
    """What some rows hold.

    Attributes:
        version: of the table.
        created: when the gallery was.
        rows: how many.
        values: how many rows have each value of a column; "" is unknown.
        distinct: the different values.
        spans: the first and the last moment; None where all are unknown.
    """

    version: int = 0
    created: datetime | None = None
    rows: int = 0
    values: dict[str, Counter[str]] = field(default_factory=dict)
    distinct: dict[str, set[tuple[Any, ...]]] = field(default_factory=dict)
    spans: dict[str, tuple[datetime, datetime] | None] = field(default_factory=dict)

    def add(self, rows: pa.Table) -> None:
        self.rows += len(rows)
        for name, column in _COUNTED.items():
            counts = self.values.setdefault(name, Counter())
            for row in compute.value_counts(rows.column(column)).to_pylist():
                counts[str(row["values"] or "")] += row["counts"]
        for name, columns in _DISTINCT.items():
            known = rows.select(columns).filter(compute.is_valid(rows.column(columns[0])))
            different = known.group_by(list(columns)).aggregate([])
            values = (different.column(column).to_pylist() for column in columns)
            self.distinct.setdefault(name, set()).update(zip(*values, strict=True))
        for name, column in _SPANS.items():
            ends = compute.min_max(rows.column(column)).as_py()
            before = self.spans.get(name)
            if ends["min"] is not None:
                first, last = before or (ends["min"], ends["max"])
                self.spans[name] = min(first, ends["min"]), max(last, ends["max"])
            else:
                self.spans[name] = before


class Summary:
    """Counts what is in a gallery.

    Args:
        store: the gallery.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._view = store.another()
        self._lock = threading.Lock()
        self._counts: _Counts | None = None

    def now(self) -> dict[str, Any]:
        """Return how many rows, persons, cameras and so on there are.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with self._lock:
            counts = self._counted()
        return {
            "rows": counts.rows,
            "persons": len(counts.distinct["persons"]),
            **{name: _most_first(counts.values[name]) for name in _COUNTED},
            "tracks": len(counts.distinct["tracks"]),
            **{name: _as_text(counts.spans[name]) for name in _SPANS},
        }

    def _counted(self) -> _Counts:
        for left in reversed(range(_ATTEMPTS)):
            try:
                return self._at(self._store.version)
            except InputError:
                # the version may have been cleaned up meanwhile
                if not left:
                    raise
        raise AssertionError

    def _at(self, version: int) -> _Counts:
        """Count what is in one version of the table."""
        before = self._counts
        if before is not None and before.version == version:
            return before
        self._view.use_version(version)
        rows = self._view.count()
        created = Settings.from_metadata(self._view.schema.metadata, self._view.where).created
        found = None
        if before is not None and before.version < version and before.created == created:
            new = self._view.appended(before.version, before.rows, rows, self._columns)
            if new is not None:
                found, self._counts = before, None
                found.add(new.select(self._columns))
        if found is None or found.rows != rows:
            # some were erased, or the table was set back or made anew
            found = _Counts()
            found.add(self._read_all())
        found.version, found.created = version, created
        self._counts = found
        return found

    def _read_all(self) -> pa.Table:
        query = self._view.query(self._columns)
        batches = list(self._view.batches(query, 1 << 16))
        schema = pa.schema([self._view.schema.field(name) for name in self._columns])
        return pa.Table.from_batches(batches, None if batches else schema)

    @property
    def _columns(self) -> Sequence[str]:
        kept = {column.name for column in known_columns(self._view.schema)}
        wanted = {*_COUNTED.values(), *_SPANS.values()}
        wanted.update(name for columns in _DISTINCT.values() for name in columns)
        return sorted(name for name in wanted if name == "added" or name in kept)


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def _as_text(span: tuple[datetime, datetime] | None) -> list[str] | None:
    return None if span is None else [moment.isoformat() for moment in span]
