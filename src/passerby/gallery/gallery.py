"""A searchable gallery of crops: what the commands, the server and notebooks use."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from passerby.calibration.answer_rule import AnswerRule
from passerby.data.conditions import Condition, quote
from passerby.data.crops import Crops
from passerby.data.decoding import check_pixels, read_file
from passerby.data.query_language import parse_query
from passerby.errors import InputError
from passerby.gallery.adding import Added, AddRequest, add, add_together, check_columns
from passerby.gallery.answers import AnswerSet
from passerby.gallery.audit import Entry
from passerby.gallery.erasing import Erased, erase, finish_interrupted
from passerby.gallery.exporting import export
from passerby.gallery.filters import asked_columns, decide_presence
from passerby.gallery.indexing import Index, build_index, has_drifted, index_of
from passerby.gallery.memory import DoesNotFitError, VectorMemory, loading_seconds
from passerby.gallery.preparing import PreparedCrop, prepare_crop
from passerby.gallery.reindexing import reindex
from passerby.gallery.repairing import repair
from passerby.gallery.retention import older_than
from passerby.gallery.searching import Query, search, search_several
from passerby.gallery.settings import Images, Settings
from passerby.gallery.store import Store
from passerby.gallery.summary import Summary
from passerby.gallery.table_schema import (
    attribute_columns,
    hash_filter,
    known_columns,
)
from passerby.gallery.vector_blocks import check_precision
from passerby.inference.cluster import Cluster
from passerby.inference.embeddings import Embeddings
from passerby.inference.model_location import find_model
from passerby.inference.runtime_model import Image, OnBroken, Progress, RuntimeModel

_Found = TypeVar("_Found")


class Gallery:
    """Crops of pedestrians with what a model says about them, in a vector database.

    Attributes:
        where: its folder or URI.
        settings: what it was created with.
        finished_interrupted: whether opening it finished what an interrupted command had begun.
    """

    def __init__(self, store: Store, model: RuntimeModel | None = None) -> None:
        self._store = store
        self._model = model
        self._backend, self._device = "onnxruntime", "cpu"
        self._memory: VectorMemory | None = None
        self._memory_kind: tuple[str | None, int | None] = (None, None)
        self._loading = threading.Lock()
        self._loading_model = threading.Lock()
        self._table_seconds = 0.0
        self.finished_interrupted = False

    @classmethod
    def create(
        cls,
        where: Path | str,
        model: RuntimeModel,
        *,
        model_source: str | None = None,
        images: Images = "thumbnails",
        retention_days: int | None = None,
        reason: str | None = None,
    ) -> "Gallery":
        """Make an empty gallery.

        Args:
            where: a new folder, or a URI that lancedb takes, such as s3://bucket/gallery.
            model: whose vectors it is to hold.
            model_source: where the model was found, to find it again; None for the one that
                ships with Passerby.
            images: "thumbnails" keeps small copies of the crops, "paths" only where they lie.
            retention_days: after which `passerby serve` purges crops; never if left out.
            reason: for the audit log.

        Raises:
            InputError: something is there already, or it cannot be written to.
        """
        settings = Settings.of_model(
            model.info, model_source, images=images, retention_days=retention_days
        )
        store = Store.create(str(where), settings)
        store.audit.append(Entry.now("create", 0, reason))
        return cls(store, model)

    @classmethod
    def open(
        cls,
        where: Path | str,
        model: RuntimeModel | Path | str | None = None,
        *,
        backend: str = "onnxruntime",
        device: str = "cpu",
    ) -> "Gallery":
        """Open a gallery, and finish what an interrupted command had begun.

        Args:
            where: its folder or URI.
            model: to add and to search by photo with, or where it is; loaded from where it was when
                the gallery was created, when it is needed, if left out.
            backend, device: what runs one that is loaded here; see `RuntimeModel.load`.

        Raises:
            InputError: there is no gallery, or it holds another model's vectors.
        """
        store = Store.open(str(where))
        if isinstance(model, Path | str):
            model = RuntimeModel.load(model, backend=backend, device=device)
        gallery = cls(store, model)
        gallery._backend, gallery._device = backend, device
        # what hinders it is said by whoever erases next
        with suppress(InputError):
            gallery.finished_interrupted = finish_interrupted(store)
        if model is not None:
            gallery._take(model)
        return gallery

    @property
    def where(self) -> str:
        return self._store.where

    @property
    def settings(self) -> Settings:
        return self._store.settings

    @property
    def model(self) -> RuntimeModel:
        """The model whose vectors the gallery holds.

        Raises:
            InputError: it is not where it was, or another one is there.
        """
        with self._loading_model:
            if self._model is None:
                try:
                    folder = find_model(self.settings.model_source)
                except InputError as error:
                    raise InputError(
                        f"The model of {self.where} is not where it was: give `model`. ({error})"
                    ) from None
                model = RuntimeModel.load(folder, backend=self._backend, device=self._device)
                self._take(model)
                self._model = model
            return self._model

    def _take(self, model: RuntimeModel) -> None:
        """Use a model, with what has been measured of it since the gallery was created.

        Raises:
            InputError: the gallery holds another model's vectors.
        """
        self.settings.check_model(model.info, self.where)
        self._store.settings = self.settings.with_model(model.info, self.settings.model_source)

    def __len__(self) -> int:
        return self._store.count()

    def parse(self, text: str) -> Condition:
        """Read a description; see `passerby.data.query_language`.

        Raises:
            InputError: it is not in the language, or names attributes that the model does not
                know.
        """
        settings = self.settings
        try:
            condition = parse_query(
                text, settings.schema_, decide_presence(settings.schema_, settings.decision)
            )
        except InputError as error:
            if settings.schema_ is None:
                raise InputError(
                    f"{error} The model {settings.model_name} was not trained on attributes."
                ) from None
            raise
        check_columns(self._store, asked_columns(condition))
        return condition

    def to_sql(self, condition: Condition) -> str:
        """Return a condition as a filter for the store."""
        return condition.sql(attribute_columns(self.settings))

    def add(
        self,
        crops: Crops | Embeddings,
        *,
        on_broken: OnBroken | None = None,
        progress: Progress | None = None,
        reason: str | None = None,
        cluster: Cluster | None = None,
    ) -> Added:
        """Add crops; see `passerby.gallery.adding.add`."""
        return add(
            self._store,
            None if isinstance(crops, Embeddings) else self.model,
            crops,
            on_broken=on_broken,
            progress=progress,
            reason=reason,
            cluster=cluster,
        )

    def prepare(
        self,
        content: bytes,
        path: Path,
        known: Mapping[str, Any] | None = None,
        *,
        keeps_path: bool = True,
    ) -> PreparedCrop:
        """Decode a crop; see `passerby.gallery.preparing.prepare_crop`.

        Raises:
            InputError: it is not an image.
        """
        return prepare_crop(content, path, known or {}, self.settings, keeps_path=keeps_path)

    def add_together(self, batches: Sequence[AddRequest]) -> list[Added]:
        """Add what several clients sent; see `passerby.gallery.adding.add_together`."""
        return add_together(self._store, self.model, batches)

    def search(
        self,
        images: Sequence[Image | PreparedCrop] = (),
        where: str | None = None,
        rule: AnswerRule | None = None,
        *,
        channels: str = "rgb",
        like: Sequence[str] = (),
        exact: bool = False,
        reason: str | None = None,
        who: str | None = None,
    ) -> AnswerSet:
        """Search by photos of one person, by a description, or by both; it enters the audit log.

        Args:
            images: crops of one person: paths, PIL images or arrays.
            channels: "rgb", or "bgr" of arrays as OpenCV has them.
            where: a description; see `parse`.
            rule: where the answer set is cut; see `passerby.gallery.searching.search`.
            like: hashes of crops of the gallery to search with instead of images.
            exact: look at every row even if there is an index.
            reason, who: for the audit log.

        Raises:
            InputError: nothing is asked for, an image cannot be decoded, a hash is not there, or
                the description is not in the language.
        """
        condition = None if where is None else self.parse(where)
        query = self._query(images, like, channels)
        if query is None:
            # vectors are not loaded for it, but help if they are there
            found = self._trying(
                self._memory,
                lambda memory: search(self._store, None, condition, rule, memory=memory),
            )
        else:
            found = self._with_memory(
                lambda memory: search(
                    self._store, query, condition, rule, exact=exact, memory=memory
                )
            )
        self._store.audit.append(Entry.now("search", len(found.answers), reason, who))
        return found

    def search_several(
        self,
        persons: Sequence[Sequence[Image | PreparedCrop]],
        where: str | None = None,
        rule: AnswerRule | None = None,
        *,
        channels: str = "rgb",
        reason: str | None = None,
        who: str | None = None,
    ) -> list[AnswerSet]:
        """Search for several persons at once, in less time than one after the other.

        Together they get 10,000 answers at most, each as many as the others; `cut_off` tells where
        there are more.

        Args:
            persons: of each the photos, as `search` takes them.
            where, rule, channels, reason, who: see `search`.

        Raises:
            InputError: see `search`; or nobody is looked for, or somebody without a photo.
        """
        persons = list(persons)
        lists = (isinstance(one, Sequence) and not isinstance(one, str) for one in persons)
        if not persons or not all(lists) or not all(map(len, persons)):
            raise InputError("Give a list of a photo, or several, of each person to search for.")
        condition = None if where is None else self.parse(where)
        queries = self._queries(persons, channels)
        self._load()
        found = self._with_memory(
            lambda memory: search_several(self._store, queries, condition, rule, memory=memory)
        )
        for answers in found:
            self._store.audit.append(Entry.now("search", len(answers.answers), reason, who))
        return found

    def load(self, precision: str | None = None, limit: int | None = None) -> bool:
        """Hold all vectors in memory, where searches by photo are much faster.

        They are kept in step with the gallery, whoever changes it. A process that searches often
        does this by itself.

        Args:
            precision: "single", or "half", which needs the extra `memory`; the faster one if left
                out. The answers are the same.
            limit: bytes that they may take; most of the free memory if left out.

        Returns:
            Whether they are in memory; if they do not fit, searches read the table.

        Raises:
            InputError: the precision is unknown, or a file of the gallery is damaged.
        """
        if precision is not None:
            check_precision(precision)
        with self._loading:
            if self._memory_kind != (precision, limit):
                self._drop_memory()
            self._memory_kind = (precision, limit)
        return self._load() is not None

    def _load(self) -> VectorMemory | None:
        precision, limit = self._memory_kind
        if limit == 0:
            return None
        with self._loading:
            if self._memory is None:
                self._table_seconds = 0.0
                with suppress(DoesNotFitError, MemoryError):
                    self._memory = VectorMemory(self._store, precision, limit)
            return self._memory

    def _with_memory(self, work: Callable[[VectorMemory | None], _Found]) -> _Found:
        """Search in memory, if the vectors are there or it is time to load them.

        As much time is spent on searches in the table as loading takes, and no more.
        """
        memory = self._memory
        if memory is None and self._table_seconds > loading_seconds(self._store):
            memory = self._load()
        started = time.perf_counter()
        found = self._trying(memory, work)
        if self._memory is None:
            self._table_seconds += time.perf_counter() - started
        return found

    def _trying(
        self, memory: VectorMemory | None, work: Callable[[VectorMemory | None], _Found]
    ) -> _Found:
        """Search in memory; in the table if there is not enough of it."""
        if memory is not None:
            try:
                return work(memory)
            except (DoesNotFitError, MemoryError):
                with self._loading:
                    # another thread may have loaded it anew
                    if self._memory is memory:
                        self._drop_memory()
        return work(None)

    def _drop_memory(self) -> None:
        """Search the table for a while; to be called with `_loading`."""
        if self._memory is not None:
            self._memory.close()
        self._memory = None

    def _query(
        self, images: Sequence[Image | PreparedCrop], like: Sequence[str], channels: str
    ) -> Query | None:
        if images and like:
            raise InputError("Search with photos or with crops of the gallery, not with both.")
        if like:
            return Query.of_rows(self._store, like)
        if not images:
            return None
        return self._queries([images], channels)[0]

    def _queries(
        self, persons: Sequence[Sequence[Image | PreparedCrop]], channels: str
    ) -> list[Query]:
        prepared = [
            [
                image if isinstance(image, PreparedCrop) else self._prepared(image, channels)
                for image in images
            ]
            for images in persons
        ]
        return Query.of_persons(self._store, self.model, prepared)

    def _prepared(self, image: Image, channels: str) -> PreparedCrop:
        if isinstance(image, str | Path):
            return self.prepare(read_file(Path(image)), Path(image))
        pixels = check_pixels(image, channels)
        content = np.ascontiguousarray(pixels).tobytes()
        return prepare_crop(content, Path("image"), {}, self.settings, image=pixels)

    def filter_of(
        self,
        *,
        images: Sequence[Path] = (),
        person: str | None = None,
        dataset: str | None = None,
        where: str | None = None,
        hashes: Sequence[str] = (),
        older: timedelta | None = None,
    ) -> str:
        """Return the filter for the rows that one of these names.

        Args:
            images: files: the crops with the very same content, and those cut out of them.
            person: a person's name, exactly.
            dataset: of the person, where several datasets have one of that name.
            where: a description.
            hashes: of crops.
            older: crops taken or added longer ago.

        Raises:
            InputError: none or several are given, or one is wrong.
        """
        given = [
            bool(images),
            person is not None,
            where is not None,
            bool(hashes),
            older is not None,
        ]
        if sum(given) != 1:
            raise InputError("Say whom to erase in one way: an image, a person, or a description.")
        if dataset is not None and person is None:
            raise InputError("`dataset` says whose `person` is meant: give both, or none.")
        if images:
            files = [hashlib.sha256(read_file(path)).hexdigest() for path in images]
            return f"({hash_filter(files)} OR {hash_filter(files, 'frame')})"
        if person is not None:
            return self._filter_of_person(person, dataset)
        if hashes:
            return hash_filter(hashes)
        if older is not None:
            return older_than(older)
        assert where is not None
        return self.to_sql(self.parse(where))

    def _filter_of_person(self, person: str, dataset: str | None) -> str:
        """Return the filter for a person of one dataset; "" is where none is named."""
        named = f"(person IS NOT NULL AND person = {quote(person)})"
        table = self._store.read(self._store.query(["dataset"], named))
        datasets = sorted({name or "" for name in table.column("dataset").to_pylist()})
        if not person:
            raise InputError("`person` is empty: name one.")
        if dataset is not None and datasets and dataset not in datasets:
            raise InputError(
                f"No person {person!r} is of the dataset {dataset!r}, but of "
                f"{', '.join(repr(name) for name in datasets)}."
            )
        if dataset is None and len(datasets) > 1:
            raise InputError(
                f"The datasets {', '.join(repr(name) for name in datasets)} each have a person "
                f"{person!r}, who are different persons: give `dataset`."
            )
        if dataset is None:
            return named
        of = f"dataset = {quote(dataset)}" if dataset else "dataset IS NULL"
        return f"({named} AND {of})"

    def rows(
        self, where: str | None = None, limit: int = 20, offset: int = 0
    ) -> list[dict[str, Any]]:
        """Return what is known of rows, without attributes, newest first.

        Args:
            where: a filter for the store.
            limit: how many at most.
            offset: how many are passed over.
        """
        table = self._store.read(self._store.query(["hash", "added"], where))
        order = table.sort_by([("added", "descending"), ("hash", "ascending")])
        chosen = order.slice(offset, limit).column("hash").to_pylist()
        return self.of_hashes(chosen)

    def of_hashes(self, hashes: Sequence[str]) -> list[dict[str, Any]]:
        """Return what is known of crops, with `attributes`, in the order of the hashes.

        Raises:
            InputError: one is not a hash.
        """
        if not hashes:
            return []
        columns = attribute_columns(self.settings)
        names = [*self._store.shown, *columns.values()]
        query = self._store.query(names, hash_filter(hashes))
        rows = {}
        for row in self._store.read(query).to_pylist():
            attributes = {name: row.pop(column) for name, column in columns.items()}
            rows[row["hash"]] = {**row, "attributes": attributes}
        return [rows[value] for value in hashes if value in rows]

    def thumbnail(self, value: str) -> bytes | None:
        """Return a crop's thumbnail, a JPEG; None if it is not there.

        Raises:
            InputError: `value` is not a hash.
        """
        if self.settings.images != "thumbnails":
            return None
        query = self._store.query(["thumbnail"], hash_filter([value]))
        rows = self._store.read(query).column("thumbnail").to_pylist()
        return rows[0] if rows else None

    def count(self, where: str | None = None) -> int:
        """Return how many rows a filter admits."""
        return self._store.count(where)

    def erase(
        self,
        where: str,
        *,
        expected: int | None = None,
        operation: Literal["forget", "purge"] = "forget",
        reason: str | None = None,
        who: str | None = None,
    ) -> Erased:
        """Erase the rows that a filter of `filter_of` admits; see `passerby.gallery.erasing`."""
        try:
            return erase(
                self._store, where, expected=expected, operation=operation, reason=reason, who=who
            )
        finally:
            self._forget_erased()

    def _forget_erased(self) -> None:
        """Let what was erased leave memory."""
        self._store.followers.clear()
        with self._loading:
            if self._memory is not None:
                try:
                    self._memory.refresh()
                except Exception:
                    # a search will say what is wrong
                    self._drop_memory()

    def reindex(
        self,
        model: RuntimeModel,
        source: str | None,
        *,
        on_broken: OnBroken | None = None,
        progress: Progress | None = None,
        reason: str | None = None,
    ) -> int:
        """Embed all crops again, by another model; see `passerby.gallery.reindexing`."""
        self._store, rows = reindex(
            self._store, model, source, on_broken=on_broken, progress=progress, reason=reason
        )
        self._model = model
        with self._loading:
            self._drop_memory()
        return rows

    def build_index(self) -> Index | None:
        """Build the index; see `passerby.gallery.indexing`."""
        return build_index(self._store)

    @property
    def needs_new_index(self) -> bool:
        """Whether there is an index that most of the newer rows are not in."""
        return has_drifted(self._store)

    def export(self, target: Path, where: str | None = None, reason: str | None = None) -> int:
        """Write rows to a .csv or .parquet file; see `passerby.gallery.exporting`."""
        condition = None if where is None else self.to_sql(self.parse(where))
        return export(self._store, target, condition, reason)

    def repair(self, reason: str | None = None) -> int:
        """Take out what cannot be read any more; see `passerby.gallery.repairing`."""
        try:
            return repair(self._store, reason)
        finally:
            self._forget_erased()

    def audit(self) -> list[Entry]:
        """Return the audit log, the oldest entry first."""
        return list(self._store.audit)

    def latest_entries(self, count: int) -> list[Entry]:
        """Return the last entries of the audit log, the latest first."""
        return self._store.audit.latest(count)

    def info(self) -> dict[str, Any]:
        """Return what is in the gallery and how it is kept."""
        settings = self.settings
        index = index_of(self._store)
        return {
            "gallery": self.where,
            "format": settings.format,
            **Summary.of(self._store).now(),
            "columns": [column.name for column in known_columns(self._store.schema)],
            "images": settings.images,
            "retention_days": settings.retention_days,
            "created": settings.created.isoformat(),
            "model": {
                "name": settings.model_name,
                "fingerprint": settings.model_fingerprint,
                "source": settings.model_source,
                "calibrated": settings.calibration is not None,
            },
            "index": None if index is None else asdict(index),
            "bytes": self._bytes(),
        }

    def _bytes(self) -> int | None:
        folder = self._store.folder
        if folder is None:
            return None
        total = 0
        for place, _, names in os.walk(folder):
            for name in names:
                # another process may be compacting the gallery
                with suppress(FileNotFoundError):
                    total += (Path(place) / name).stat().st_size
        return total
