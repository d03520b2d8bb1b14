"""The table of crops that everything reads."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from passerby.data.columns import COLUMNS, DISTRACTOR, JUNK
from passerby.data.schema import Schema
from passerby.errors import InputError

Pixels = NDArray[np.uint8]

NOBODY_CODE, JUNK_CODE = 0, -1
"""Codes of crops that show no known person, and of junk; persons are coded from 1 on."""


class Crops:
    """N crops with what is known about them, one row each; never changed once made.

    A crop is its file and, if it is a part of it, its box. A person, and a camera, is its dataset
    and exact text. Columns are those of `passerby.data.columns`: `Crops(paths, person=…)` gives
    one, `crops.person` returns its array of N values, or None if nothing is known.

    Attributes:
        paths: image files, N of them; of images in memory their names.
        images: RGB pixels of each crop, uint8, shape (height, width, 3), instead of files; None
            for files.
        labels: what annotators say of each attribute, float32, shape (N, attributes): 1, 0, or
            NaN where unknown; None if there are none.
        schema: names the columns of `labels`; given exactly when `labels` is.
        columns: name to values, of the columns that are known.
    """

    paths: tuple[Path, ...]
    images: tuple[Pixels, ...] | None
    labels: NDArray[np.float32] | None
    schema: Schema | None
    columns: Mapping[str, NDArray[Any]]

    def __init__(
        self,
        paths: Iterable[Path | str],
        *,
        labels: NDArray[Any] | None = None,
        schema: Schema | None = None,
        images: Sequence[Pixels] | None = None,
        **columns: Any,
    ) -> None:
        """Check and keep the columns.

        Args:
            paths: image files.
            labels: bool, or numbers 0, 1 and NaN, shape (N, attributes).
            schema: of the labels.
            images: pixels, instead of what the files hold.
            **columns: values by name of a column; None where nothing is known.

        Raises:
            ValueError: a column is unknown, or has another number of rows.
        """
        kept = tuple(map(Path, paths))
        known: dict[str, NDArray[Any]] = {}
        for name, values in columns.items():
            if name not in COLUMNS:
                raise ValueError(f"crops have no column {name!r}: known are {', '.join(COLUMNS)}")
            if values is not None:
                try:
                    known[name] = COLUMNS[name].kind.array(values, len(kept))
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        if (labels is None) != (schema is None):
            raise ValueError("labels and schema come together")
        if labels is not None and schema is not None:
            expected = (len(kept), len(schema))
            labels = np.asarray(labels, np.float32)
            if labels.shape != expected:
                raise ValueError(f"labels must be of shape {expected}")
            if not (np.isnan(labels) | ((labels >= 0) & (labels <= 1))).all():
                raise ValueError("labels must be 0, 1 or NaN")
        if images is not None and len(images) != len(kept):
            raise ValueError(f"there must be {len(kept)} images")
        # in the order in which columns are declared, whatever the caller's
        ordered = {name: known[name] for name in COLUMNS if name in known}
        pixels = None if images is None else tuple(images)
        self.__dict__.update(
            paths=kept, images=pixels, labels=labels, schema=schema, columns=ordered
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("crops are not changed: make others with `replace`")

    def __getattr__(self, name: str) -> Any:
        if name in COLUMNS:
            return self.columns.get(name)
        raise AttributeError(f"crops have no {name!r}")

    def __reduce__(self) -> Any:
        return _rebuilt, (self.paths, self.labels, self.schema, self.images, dict(self.columns))

    def __repr__(self) -> str:
        return f"<{len(self)} crops: {', '.join(['path', *self.columns])}>"

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Self:
        """Return the crops of the given rows: a slice, indices or a mask of shape (N,)."""
        picked = np.arange(len(self))[rows]
        return type(self)(
            [self.paths[i] for i in picked],
            labels=None if self.labels is None else self.labels[picked],
            schema=self.schema,
            images=None if self.images is None else [self.images[i] for i in picked],
            **{name: values[picked] for name, values in self.columns.items()},
        )

    def replace(self, **changes: Any) -> Self:
        """Return the same crops with other columns, labels, schema, paths or images."""
        given: dict[str, Any] = {
            "paths": self.paths,
            "labels": self.labels,
            "schema": self.schema,
            "images": self.images,
            **self.columns,
        }
        return type(self)(**{**given, **changes})

    def without_labels(self) -> Self:
        return self.replace(labels=None, schema=None)

    @property
    def names(self) -> tuple[str, ...]:
        """The file names, with those folders, and boxes, that tell crops of one name apart."""
        names = tuple(path.name for path in self.paths)
        if len(set(names)) < len(names):
            whole = [Path(_absolute(path)) for path in self.paths]
            common = os.path.commonpath([path.parent for path in whole])
            names = tuple(path.relative_to(common).as_posix() for path in whole)
        if self.box is None:
            return names
        return tuple(
            f"{name}#{','.join(map(str, box))}" if box[2] else name
            for name, box in zip(names, self.box.tolist(), strict=True)
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each path as text, followed by the crop's box if it has one."""
        if self.box is None:
            return tuple(map(str, self.paths))
        return tuple(
            f"{path}#{','.join(map(str, box))}" if box[2] > 0 else str(path)
            for path, box in zip(self.paths, self.box.tolist(), strict=True)
        )

    @property
    def keys(self) -> list[tuple[str, tuple[int, ...]]]:
        """What makes each crop itself: its absolute path and its box."""
        boxes = np.zeros((len(self), 4), np.int32) if self.box is None else self.box
        return [
            (_absolute(path), tuple(box))
            for path, box in zip(self.paths, boxes.tolist(), strict=True)
        ]

    @property
    def fingerprint(self) -> str:
        """A hash of the names and persons: whether a run goes on with the table it began with."""
        unknown = [""] * len(self)
        person = unknown if self.person is None else self.person
        dataset = unknown if self.dataset is None else self.dataset
        rows = sorted(
            f"{name}:{of}:{who}" for name, of, who in zip(self.names, dataset, person, strict=True)
        )
        return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def person_codes(self) -> NDArray[np.int64]:
        """Codes of the persons, as `encode_persons` gives them for this table alone.

        Raises:
            InputError: there are none.
        """
        return encode_persons(self)[0]

    @property
    def persons(self) -> dict[str, tuple[str, ...]]:
        """The known persons by dataset, each once, in the order of their codes.

        Raises:
            InputError: there are none.
        """
        codes = self.person_codes
        _, first = np.unique(codes, return_index=True)
        found: dict[str, list[str]] = {}
        for row in first[codes[first] > NOBODY_CODE]:
            dataset = "" if self.dataset is None else str(self.dataset[row])
            found.setdefault(dataset, []).append(str(self.person[row]))
        return {dataset: tuple(names) for dataset, names in found.items()}

    @property
    def person_count(self) -> int:
        """How many known persons there are."""
        codes = self.person_codes
        return len(np.unique(codes[codes > NOBODY_CODE]))

    @property
    def has_persons(self) -> bool:
        """Whether any crop's person is known."""
        return self.person is not None and bool((self.person != "").any())

    def of_known_persons(self) -> Self:
        """Return the crops whose person is known."""
        return self[self.person_codes > NOBODY_CODE]

    def of_persons(self, persons: Mapping[str, Sequence[str]]) -> Self:
        """Return the crops of the given persons, in their present order.

        Args:
            persons: names by dataset, as `Crops.persons` has them.
        """
        return self[self.shows(persons)]

    def shows(self, persons: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
        """Tell which crops show one of the given persons, bool, shape (N,)."""
        known = self.person_codes > NOBODY_CODE
        dataset = np.zeros(len(self), "U1") if self.dataset is None else self.dataset
        shown = np.zeros(len(self), np.bool_)
        for name, people in persons.items():
            shown |= (dataset == name) & np.isin(self.person, np.array(people, np.str_))
        return shown & known

    def split_persons(self, held_out: int, seed: int) -> tuple[Self, Self]:
        """Split by person at random, so that nobody is on both sides.

        Args:
            held_out: how many persons the second part holds, at least 1.
            seed: the same seed gives the same split, whatever the order of the crops.

        Returns:
            The crops of the other persons, and those of the held-out ones.

        Raises:
            InputError: fewer than `held_out` + 1 persons.
        """
        codes = self.person_codes
        count = self.person_count
        if not 0 < held_out < count:
            raise InputError(
                f"Cannot hold out {held_out} of {count} persons: "
                f"choose a number from 1 to {count - 1}."
            )
        chosen = np.random.default_rng(seed).permutation(count)[:held_out] + 1
        theirs = np.isin(codes, chosen)
        return self[(codes > NOBODY_CODE) & ~theirs], self[theirs]


def encode_persons(*parts: Crops) -> tuple[NDArray[np.int64], ...]:
    """Number the persons of tables that are compared: from 1 on, sorted by dataset and name.

    Returns:
        For each table int64 of shape (N,); 0 for crops that show no known person, -1 for junk.

    Raises:
        InputError: a table has no persons.
    """
    for part in parts:
        if part.person is None:
            raise InputError(
                "These crops have no persons: give one folder of crops per person, a manifest "
                "with a column 'person', or a dataset that names them."
            )
    # whom a distractor or junk names is nobody, and must not leave a gap in the numbers
    names = [
        part.person if part.role is None else np.where(part.role == "", part.person, "")
        for part in parts
    ]
    codes = _encode(parts, names)
    for part, mine in zip(parts, codes, strict=True):
        if part.role is not None:
            mine[part.role == DISTRACTOR] = NOBODY_CODE
            mine[part.role == JUNK] = JUNK_CODE
    return codes


def encode_cameras(*parts: Crops) -> tuple[NDArray[np.int64], ...]:
    """Number the cameras of tables that are compared, from 1 on, sorted by dataset and name.

    Raises:
        InputError: a crop of a known person has no camera.
    """
    for part in parts:
        if part.camera is None:
            raise InputError(
                "These crops have no cameras, so matches within a camera cannot be left out: "
                "evaluate with `cameras` = ignored."
            )
        if part.has_persons and (missing := (part.person != "") & (part.camera == "")).any():
            path = part.paths[int(np.flatnonzero(missing)[0])]
            raise InputError(
                f"{int(missing.sum())} crops have no camera, {path} first, so matches within a "
                "camera cannot be left out: name their cameras, or evaluate with `cameras` = "
                "ignored."
            )
    return _encode(parts, [part.camera for part in parts])


def _encode(
    parts: Sequence[Crops], columns: Sequence[NDArray[np.str_]]
) -> tuple[NDArray[np.int64], ...]:
    """Number the pairs of dataset and name; what is unknown is 0."""
    datasets = [
        np.zeros(len(part), "U1") if part.dataset is None else part.dataset for part in parts
    ]
    names = np.concatenate(columns)
    texts, which = np.unique(names, return_inverse=True)
    _, place = np.unique(np.concatenate(datasets), return_inverse=True)
    _, codes = np.unique((place * len(texts) + which)[names != ""], return_inverse=True)
    found = np.zeros(len(names), np.int64)
    found[names != ""] = codes + 1
    return tuple(np.split(found, np.cumsum([len(part) for part in parts])[:-1]))


def concatenate(parts: Sequence[Crops]) -> Crops:
    """Put tables together, one below the other; what a table does not know is unknown there.

    Raises:
        ValueError: two of them have labels of different schemas, or only some are in memory.
    """
    schemas = {part.schema for part in parts if part.schema is not None}
    if len(schemas) > 1:
        raise ValueError("these tables have labels of different schemas")
    if len({part.images is None for part in parts}) > 1:
        raise ValueError("some of these tables are in memory, and some are files")
    schema = schemas.pop() if schemas else None
    columns: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        if any(name in part.columns for part in parts):
            unknown = [column.kind.array([None], 1)] * len(parts)
            columns[name] = np.concatenate(
                [
                    part.columns.get(name, np.repeat(nothing, len(part), axis=0))
                    for part, nothing in zip(parts, unknown, strict=True)
                ]
            )
    labels = None
    if schema is not None:
        labels = np.concatenate(
            [
                np.full((len(part), len(schema)), np.nan) if part.labels is None else part.labels
                for part in parts
            ]
        )
    images = [image for part in parts for image in part.images or ()]
    paths = [path for part in parts for path in part.paths]
    in_memory = bool(parts) and parts[0].images is not None
    return Crops(
        paths, labels=labels, schema=schema, images=images if in_memory else None, **columns
    )


def attribute_frequencies(crops: Crops) -> NDArray[np.float64]:
    """Return the fraction of persons who have each attribute, of crops where there are none.

    Unknown labels do not count; a person whose labels differ from crop to crop counts with their
    mean.

    Returns:
        float64, shape (attributes,), in [0, 1]; NaN where nothing is known.

    Raises:
        InputError: the crops have no labels.
    """
    if crops.labels is None:
        raise InputError("These crops have no attribute labels: give annotated crops.")
    return _mean_known(person_labels(crops))


def person_labels(crops: Crops) -> NDArray[np.float64]:
    """Return the labels of each known person, the mean of what is known, NaN where nothing is.

    Crops without a person count each as one; distractors and junk do not count.

    Returns:
        float64, shape (persons, attributes), known persons first, in the order of their codes.
    """
    assert crops.labels is not None
    owner = owners(crops)
    counted = owner >= 0
    labels, owner = crops.labels[counted].astype(np.float64), owner[counted]
    known = ~np.isnan(labels)
    shape = (int(owner.max(initial=-1)) + 1, labels.shape[1])
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, owner, np.where(known, labels, 0))
    np.add.at(counts, owner, known)
    return np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)


def owners(crops: Crops) -> NDArray[np.int64]:
    """Return whom each crop belongs to, from 0 on: its person, or itself if nobody is known.

    Returns:
        int64, shape (N,); -1 for distractors and junk.
    """
    codes = crops.person_codes if crops.person is not None else np.zeros(len(crops), np.int64)
    owner = codes - 1
    alone = codes == NOBODY_CODE
    if crops.role is not None:
        alone &= crops.role == ""
        owner[crops.role != ""] = -1
    owner[alone] = int(codes.max(initial=0)) + np.arange(int(alone.sum()))
    return owner


def _absolute(path: Path) -> str:
    """Return a path without `..`; what links lead to stays as it is called."""
    return os.path.abspath(path)  # noqa: PTH100


def _mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(values.shape[1], np.nan), where=counts > 0)


def _rebuilt(
    paths: tuple[Path, ...],
    labels: NDArray[np.float32] | None,
    schema: Schema | None,
    images: tuple[Pixels, ...] | None,
    columns: dict[str, NDArray[Any]],
) -> Crops:
    return Crops(paths, labels=labels, schema=schema, images=images, **columns)
