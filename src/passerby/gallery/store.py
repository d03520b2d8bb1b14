"""The vector database under a gallery: opening, committing, and errors in plain words.

Of a gallery on this machine only one process commits at a time, under a lock; readers never wait.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.gallery.audit import AuditFile, AuditLog, AuditTable
from passerby.gallery.database_errors import plain_words
from passerby.gallery.settings import METADATA_KEY, Settings
from passerby.gallery.table_schema import EMBEDDING, STORAGE_OPTIONS, arrow_schema, shown_names
from passerby.gallery.uri import folder_of

CROPS = "crops"
_PATIENCE = 600.0
"""Seconds to wait for another process that commits: rewriting a large gallery takes minutes."""

_BATCH = 1 << 16
"""Rows of a batch: of the database's own small ones, a thousand rows each, many take long."""

_APPENDED = 10_000
"""Rows that are read one by one; more are read faster otherwise."""

_OFTEN = 16
"""Commits after which it is looked how scattered the table is."""

_FILES, _ROWS = 64, 200
"""Files that are not trouble; rows of a file in a large table."""


class Mark(NamedTuple):
    """Where a table ended when it was read.

    Attributes:
        version: of the table.
        gallery: see `Store.gallery`.
        rows: how many there were.
        last: row id and hash of the last one; None without rows.
    """

    version: int
    gallery: bytes
    rows: int
    last: tuple[int, str] | None


class Store:
    """A table of crops and a log of what was done with them, at one place.

    Attributes:
        where: a folder or a URI.
        folder: the folder, None for a URI.
        settings: of the gallery.
        crops: the table.
        audit: the log.
        followers: what is known of its rows and kept in step, by class; see `Follower.of`.
    """

    def __init__(self, where: str, database: Any, crops: Any) -> None:
        self.where = where
        self.folder = folder_of(where)
        self.database = database
        self.crops = crops
        schema = crops.schema
        self.settings = Settings.from_metadata(schema.metadata, where)
        self._opened_as = (schema.metadata or {}).get(METADATA_KEY, b"")
        self._known_gallery = b""
        self._known_place: tuple[int, int] | None = None
        self._is_view = False
        self.followers: dict[type, Any] = {}
        # the columns of a table never change; which of them are declared may
        self._schema = schema
        self.audit: AuditLog = (
            AuditFile(self.folder) if self.folder else AuditTable(where, database)
        )

    @classmethod
    def create(cls, where: str, settings: Settings) -> "Store":
        """Make an empty gallery.

        Raises:
            InputError: something is there already, or the place cannot be written to.
        """
        folder = folder_of(where)
        taken = InputError(f"{where} exists already: choose another place for the gallery.")
        if folder is not None and folder.exists() and (folder.is_file() or any(folder.iterdir())):
            raise taken
        with plain_words(where, "make"):
            database = _connect(where)
            try:
                crops = database.create_table(
                    CROPS, schema=arrow_schema(settings), storage_options=STORAGE_OPTIONS
                )
            except ValueError as error:
                raise (taken if "already exists" in str(error) else error) from error
        return cls(where, database, crops)

    @classmethod
    def open(cls, where: str) -> "Store":
        """Open a gallery.

        Raises:
            InputError: there is none.
        """
        folder = folder_of(where)
        if folder is not None and not (folder / f"{CROPS}.lance").is_dir():
            raise InputError(
                f"{where} is not a gallery of Passerby: make one with `passerby gallery create`."
            )
        with plain_words(where, "open"):
            database = _connect(where)
            try:
                crops = database.open_table(CROPS)
            except (FileNotFoundError, ValueError) as error:
                raise (
                    InputError(
                        f"{where} is not a gallery of Passerby: make one with `passerby gallery "
                        "create`."
                    )
                    if folder is not None or "not found" in str(error)
                    else error
                ) from error
        return cls(where, database, crops)

    def another(self) -> "Store":
        """Return the same gallery, to read versions of its own choice from.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        other = copy(self)
        other._is_view, other.followers = True, {}
        with plain_words(self.where, "read"):
            other.crops = self.database.open_table(CROPS)
        return other

    def position(self) -> tuple[int, bytes]:
        """Return the table's version, and what tells its gallery from others of the same place.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        place = self._place()
        if place is None or place != self._known_place:
            # asked after the place: if that is another one by now, it is asked again the next time
            self._known_gallery, self._known_place = self.gallery, place
        with plain_words(self.where, "read"):
            return int(self.crops.version), self._known_gallery

    def _place(self) -> tuple[int, int] | None:
        """Return what tells the table's folder from one that was made in its place; None at a URI.

        It changes now and then, with what lies in the folder, but never stays for another folder.
        """
        if self.folder is None:
            return None
        try:
            found = (self.folder / f"{CROPS}.lance").stat()
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns

    @property
    def gallery(self) -> bytes:
        """What tells the gallery from others, before and after it, at the same place."""
        return (self.schema.metadata or {}).get(METADATA_KEY, b"")

    def use_version(self, version: int) -> None:
        """Read what was in the table at a version from now on.

        Raises:
            InputError: the version was cleaned up.
        """
        with plain_words(self.where, "read"):
            self.crops.checkout_latest()
            self.crops.checkout(version)

    @contextmanager
    def committing(self, patience: float = _PATIENCE) -> Iterator[bool]:
        """Be the only one that changes the gallery, and say in plain words what goes wrong.

        Args:
            patience: seconds to wait for another process; with 0 the body runs all the same, and
                is told that it is not alone.

        Yields:
            Whether nobody else changes the gallery; of one at a URI that is not known.

        Raises:
            InputError: another process took too long, or the gallery cannot be written to.
        """
        with plain_words(self.where, "write to"):
            if self.folder is None:
                self.check_current()
                yield True
                return
            lock = FileLock(self.folder / ".lock", timeout=patience)
            try:
                lock.acquire()
            except Timeout:
                if patience:
                    raise InputError(
                        f"Another process has been changing {self.where} for {patience:.0f} "
                        "seconds: wait for it and try again."
                    ) from None
                yield False
                return
            try:
                self.check_current()
                yield True
            finally:
                lock.release()

    def check_current(self) -> None:
        """Check that the gallery was not embedded again since it was opened.

        Raises:
            InputError: it was.
        """
        if self.gallery == self._opened_as:
            return
        now = Settings.from_metadata(self.schema.metadata, self.where)
        if now.model_fingerprint != self.settings.model_fingerprint:
            raise InputError(
                f"{self.where} was embedded again, by {now.model_name}, since it was opened: start "
                "the command or the server again."
            )

    @property
    def shown(self) -> list[str]:
        """What is shown of a row besides its attributes."""
        return shown_names(self._schema)

    @property
    def schema(self) -> pa.Schema:
        """The table's columns and notes as they are now.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with plain_words(self.where, "read"):
            return self.crops.schema

    def annotation(self, key: str) -> str | None:
        """Return a note that the table carries, None if there is none."""
        metadata = self.schema.field(EMBEDDING).metadata or {}
        text = metadata.get(key.encode())
        return text.decode() if text else None

    def annotate(self, key: str, text: str | None) -> None:
        """Set a note, or remove it; to be called while `committing`."""
        if text is not None or self.annotation(key) is not None:
            self.crops.update_field_metadata({"path": EMBEDDING, "metadata": {key: text}})

    def query(self, columns: Sequence[str], where: str | None = None) -> Any:
        """Return a query for rows, to be given to `read` or `batches`.

        Args:
            columns: their names.
            where: a filter; all rows if left out.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with plain_words(self.where, "read"):
            query = self.crops.search().select(list(columns))
            return query if where is None else query.where(where)

    def nearest(
        self, vector: NDArray[np.float32], columns: Sequence[str], where: str | None, limit: int
    ) -> Any:
        """Return a query for the rows nearest to a vector, by Euclidean distance.

        Args:
            vector: shape (D,).
            columns, where: as of `query`.
            limit: how many rows at most.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with plain_words(self.where, "read"):
            query = self.crops.search(vector, vector_column_name=EMBEDDING).distance_type("l2")
            query = query.select(list(columns)).limit(limit)
            return query if where is None else query.where(where, prefilter=True)

    def take(self, ids: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Return rows in the order of their ids, with `_rowid`; those that have gone are left out.

        Args:
            ids: row ids, each once.
            columns: their names.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with plain_words(self.where, "read"):
            query = self.crops.take_row_ids(list(ids)).select([*columns, "_rowid"])
            rows = self._tried_twice(query.to_arrow)
        places = {row: place for place, row in enumerate(rows.column("_rowid").to_pylist())}
        return rows.take(pa.array([places[row] for row in ids if row in places], pa.int64()))

    def at(self, places: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Return the rows at some places, of all that there are from 0 on.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with plain_words(self.where, "read"):
            query = self.crops.take_offsets(list(places)).select(list(columns))
            return self._tried_twice(query.to_arrow)

    def mark(self, version: int) -> "Mark":
        """Return where the table ends.

        Args:
            version: of the table, which is being read.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        rows = self.count()
        last = self.at([rows - 1], ["_rowid", "hash"]).to_pylist()[0] if rows else None
        return Mark(version, self.gallery, rows, last and (last["_rowid"], last["hash"]))

    def appended(
        self, before: "Mark", version: int, columns: Sequence[str]
    ) -> "tuple[pa.Table, Mark] | None":
        """Return the rows that were added since, if nothing else was done to rows since.

        Those come last in the table, and before them lies the row that was the last one, unchanged:
        had rows been deleted, moved to where those that are written anew go, or brought back,
        another one would lie there.

        Args:
            before: where the table ended.
            version: of the table, which is being read.
            columns: names of columns.

        Returns:
            The rows and where the table ends now; None if rows were erased, moved or brought back,
            or too many were added.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        rows = self.count()
        if before.last is None or not 0 <= rows - before.rows <= _APPENDED:
            return None
        names = {*columns, "_rowid", "hash", "_row_created_at_version"}
        found = self.at(range(before.rows - 1, rows), [*names, "_row_last_updated_at_version"])
        if len(found) != rows - before.rows + 1:
            return None
        ids, hashes = (found.column(name).to_pylist() for name in ("_rowid", "hash"))
        created = found.column("_row_created_at_version").to_numpy()[1:]
        updated = found.column("_row_last_updated_at_version").to_numpy()[0]
        same = (ids[0], hashes[0]) == before.last and updated <= before.version
        if not (same and (created > before.version).all()):
            return None
        return found.slice(1), Mark(version, self.gallery, rows, (ids[-1], hashes[-1]))

    def read(self, query: Any) -> pa.Table:
        """Run a query; once more if its version was cleaned up meanwhile.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with plain_words(self.where, "read"):
            return self._tried_twice(lambda: query.to_batches(_BATCH).read_all())

    def _tried_twice(self, work: Callable[[], pa.Table]) -> pa.Table:
        try:
            return work()
        except Exception:
            if self._is_view:
                raise
            self.crops.checkout_latest()
            return work()

    def count(self, where: str | None = None) -> int:
        """Return how many rows a filter admits.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with plain_words(self.where, "read"):
            return int(self.crops.count_rows(where))

    def batches(self, query: Any, rows: int) -> Iterator[pa.RecordBatch]:
        """Run a query, some rows at a time.

        Raises:
            InputError: a file of the gallery is damaged.
        """
        with plain_words(self.where, "read"):
            reader = query.to_batches(rows)
        while True:
            with plain_words(self.where, "read"):
                batch = next(reader, None)
            if batch is None:
                return
            yield batch

    @property
    def is_scattered(self) -> bool:
        """Whether there are so many small files that searches are slow; looked for now and then.

        How many that are grows with the table: compacting writes all of it anew.
        """
        if self.crops.version % _OFTEN:
            return False
        stats = self.crops.stats()
        files: int = stats["fragment_stats"]["num_fragments"]
        return files > max(_FILES, stats["num_rows"] // _ROWS)

    def compact(self) -> None:
        """Make one file of many small ones; what others may be reading stays for ten minutes.

        To be called while `committing`.
        """
        self.crops.optimize(cleanup_older_than=timedelta(minutes=10))
        self.audit.clean_up()

    def clean_up(self) -> None:
        """Compact the table and delete all earlier versions and leftovers of crashed writers.

        To be called while `committing`. What others write to a gallery at a URI at the same time
        is not known here, so leftovers stay there.
        """
        with warnings.catch_warnings():
            # it warns of other readers; ours try again
            warnings.simplefilter("ignore")
            self.crops.optimize(
                cleanup_older_than=timedelta(0), delete_unverified=self.folder is not None
            )
            self.audit.clean_up()


def _connect(where: str) -> Any:
    # its warnings are for its makers
    for variable in ("LANCE_LOG", "LANCEDB_LOG"):
        os.environ.setdefault(variable, "error")
    import lancedb

    # said of every process that is started, such as Ray's: another program begins there at once
    warnings.filterwarnings("ignore", message="lancedb fork support")

    # every read looks whether another process has written
    folder = folder_of(where)
    # of some names it would think that they are URIs
    place = where if folder is None else str(folder.absolute())
    return lancedb.connect(place, read_consistency_interval=timedelta(0))
