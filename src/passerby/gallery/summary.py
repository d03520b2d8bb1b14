"""What is in a gallery, counted once; later only what was added since is read."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyarrow import compute

from passerby.gallery.following import Follower
from passerby.gallery.store import Mark, Store

_COUNTED = {"cameras": "camera", "sources": "source", "datasets": "dataset"}
_DISTINCT = {"persons": ("person", "dataset"), "tracks": ("track", "dataset", "source", "camera")}
"""Values of the first column; those within different others are different."""

_SPANS = {"taken": "time", "added": "added"}


@dataclass
class _Counts:
    """What some rows hold.

    Attributes:
        rows: how many.
        values: how many rows have each value of a column; "" is unknown.
        distinct: the different values, as 8 bytes each: names of erased persons must not stay.
        spans: the first and the last moment; None where all are unknown.
    """

    rows: int = 0
    values: dict[str, Counter[str]] = field(default_factory=dict)
    distinct: dict[str, set[bytes]] = field(default_factory=dict)
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
            self.distinct.setdefault(name, set()).update(
                hashlib.blake2b(repr(value).encode(), digest_size=8).digest()
                for value in zip(*values, strict=True)
            )
        for name, column in _SPANS.items():
            ends = compute.min_max(rows.column(column)).as_py()
            before = self.spans.get(name)
            if ends["min"] is not None:
                first, last = before or (ends["min"], ends["max"])
                self.spans[name] = min(first, ends["min"]), max(last, ends["max"])
            else:
                self.spans[name] = before


class Summary(Follower):
    """Counts what is in a gallery.

    Args:
        store: the gallery.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._counts = _Counts()

    def now(self) -> dict[str, Any]:
        """Return how many rows, persons, cameras and so on there are.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with self._in_step():
            counts = self._counts
            return {
                "rows": counts.rows,
                "persons": len(counts.distinct["persons"]),
                **{name: _most_first(counts.values[name]) for name in _COUNTED},
                "tracks": len(counts.distinct["tracks"]),
                **{name: _as_text(counts.spans[name]) for name in _SPANS},
            }

    @property
    def _columns(self) -> Sequence[str]:
        wanted = {*_COUNTED.values(), *_SPANS.values()}
        wanted.update(name for columns in _DISTINCT.values() for name in columns)
        return sorted(wanted)

    def _add(self, rows: pa.Table) -> None:
        self._counts.add(rows)

    def _anew(self, before: Mark | None) -> None:
        self._forget()
        self._add(self._view.read(self._view.query(self._columns)))

    def _forget(self) -> None:
        self._counts = _Counts()


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def _as_text(span: tuple[datetime, datetime] | None) -> list[str] | None:
    return None if span is None else [moment.isoformat() for moment in span]
