"""A manifest: one table, CSV or Parquet, that says everything of each crop.

Its columns are `path`, those of `passerby.data.columns`, `split`, and attributes, 0 or 1, or empty
where unknown. A `schema.yaml` beside it gives phrases and groups, and declares other codings:

Attributes:
      helmet:
      gender: {phrase: female, absent: male, yes: 2, no: 1}
      young: {group: age}
      old: {group: age}
    coding: {yes: "yes", no: "no", unknown: "?"}
    ignore: [notes]
"""

import csv
import difflib
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from passerby.data.columns import COLUMNS, is_text, parse_value
from passerby.data.crops import Crops
from passerby.data.schema import MOST_ATTRIBUTES, Attribute, Schema
from passerby.datasets.problems import Problems, list_few
from passerby.errors import InputError
from passerby.files import check_writable, replacing, write_text
from passerby.yaml_text import YAML_ERRORS, load_yaml

TABLES = (".csv", ".parquet")
MANIFEST_NAMES = ("crops.csv", "crops.parquet", "manifest.csv", "manifest.parquet")
SCHEMA_NAME = "schema.yaml"
_SPLITS = ("train", "val", "query", "gallery", "test")
_FIRST = ("path", "split")
_LONGEST_HEADER = 80


@dataclass(frozen=True)
class _Coding:
    """How an attribute column writes what holds, what does not, and what is unknown."""

    yes: str = "1"
    no: str = "0"
    unknown: str | None = ""


@dataclass(frozen=True)
class _Declared:
    """What `schema.yaml` says."""

    attributes: tuple[Attribute, ...]
    codings: Mapping[str, _Coding]
    ignored: frozenset[str]
    name: str = ""


@dataclass(frozen=True)
class _Table:
    """A table as text: name of a column to its values, and what each line is called."""

    columns: dict[str, list[str]] = field(default_factory=dict)
    rows: int = 0
    first_line: int = 2

    def where(self, path: Path, row: int) -> str:
        return f"{path}, line {row + self.first_line}"


class Manifest:
    """A table of crops, in a folder or given directly.

    Attributes:
        root: where its paths start; its own folder if None.
    """

    name = "manifest"
    title = "manifest"
    layout = "crops.csv or crops.parquet: path, person, camera, …, and 0/1 columns"
    terms = ""
    protocol = "course"

    def __init__(self, root: Path | None = None, place: Path | None = None) -> None:
        self.root = root
        self._place = place

    def at(self, place: Path, root: Path | None = None) -> "Manifest":
        """Return the manifest of one place, whose splits are those of its table."""
        return Manifest(root or self.root, place)

    def with_root(self, root: Path) -> "Manifest":
        return Manifest(root, self._place)

    @cached_property
    def _own_table(self) -> "_Table":
        return _Table() if self._place is None else _read_table(_table_in(self._place))

    @property
    def splits(self) -> tuple[str, ...]:
        table = self._own_table
        texts = table.columns.get("split", [])
        if self._place is not None and (wrong := _wrong_split(table, _table_in(self._place))):
            raise InputError(wrong)
        return tuple(dict.fromkeys(text for text in texts if text)) or ("train",)

    @property
    def scored(self) -> tuple[str, ...]:
        splits = self.splits
        named = self._splits_with_persons()
        if {"query", "gallery"} <= named:
            return ("query", "gallery")
        for split in ("test", "val", "train"):
            if split in (named or splits):
                return (split,)
        return splits[:1]

    def _splits_with_persons(self) -> set[str]:
        columns = self._own_table.columns
        rows = zip(columns.get("split", []), columns.get("person", []), strict=False)
        return {split for split, person in rows if person}

    def recognizes(self, folder: Path) -> bool:
        if folder.is_file():
            return folder.suffix.lower() in TABLES
        return folder.is_dir() and any((folder / name).is_file() for name in MANIFEST_NAMES)

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read the rows of one split."""
        crops, splits = self._read(folder, problems)
        return crops if splits is None else crops[splits == split]

    def read_all(self, folder: Path, problems: Problems) -> Crops:
        """Read the rows of all splits."""
        return self._read(folder, problems)[0]

    def _read(self, folder: Path, problems: Problems) -> tuple[Crops, NDArray[np.str_] | None]:
        path = _table_in(folder)
        table = self._own_table if folder == self._place else _read_table(path)
        declared = _read_declared(path.parent / SCHEMA_NAME)
        table = _without_ignored(table, path, declared, problems)
        if not _check_columns(table, path, declared, problems):
            return Crops(()), None
        columns = _read_known(table, path, problems)
        root = self.root or path.parent
        schema, labels = _read_labels(table, path, declared, problems)
        splits = np.array(table.columns["split"]) if "split" in table.columns else None
        kept = np.array([bool(text) for text in table.columns["path"]], np.bool_)
        for row in np.flatnonzero(~kept)[:1].tolist():
            problems.add(f"{table.where(path, row)}: path is empty: fill it in or remove the line.")
        crops = Crops(
            [root / text for text in table.columns["path"]],
            labels=labels,
            schema=schema,
            **{
                name: values
                for name, values in columns.items()
                if any(v not in (None, "") for v in values)
            },
        )
        kept &= _find_files(crops, path, problems)
        _check_twice(crops, path, table, problems)
        if splits is not None:
            if wrong := _wrong_split(table, path):
                problems.add(wrong)
            _check_splits(crops, splits, path, problems)
        return crops[kept], None if splits is None else splits[kept]


def write_manifest(target: Path, parts: Mapping[str, Crops]) -> None:
    """Write crops as a manifest, with `schema.yaml` beside it where attributes say more than names.

    Args:
        target: .csv, or .parquet; paths are written relative to its folder where they lie below.
        parts: split to its crops; all with labels of one schema, or without.

    Raises:
        InputError: the name ends otherwise, or a file has no name in UTF-8.
    """
    if target.suffix.lower() not in TABLES:
        raise InputError(f"{target} is neither .csv nor .parquet: choose one of these.")
    if len({part.schema for part in parts.values() if part.schema is not None}) > 1:
        raise InputError("These splits have different attributes: write a manifest for each.")
    schema = next((part.schema for part in parts.values() if part.schema is not None), None)
    known = [name for name in COLUMNS if any(name in part.columns for part in parts.values())]
    attributes = () if schema is None else schema.names
    clash = sorted(set(attributes) & {*COLUMNS, *_FIRST})
    if clash:
        raise InputError(
            f"The attribute {clash[0]!r} is called as a column of manifests is: rename it."
        )
    about = None
    if schema is not None and any(a != Attribute(a.name) for a in schema.attributes):
        about = _schema_yaml(schema)
    beside = target.parent / SCHEMA_NAME
    if beside.exists() and (about is None or beside.read_text("utf-8", "replace") != about):
        raise InputError(
            f"{beside} would be read with the new manifest and says otherwise: choose another "
            "folder for the manifest, or remove that file."
        )
    if about is not None and not beside.exists():
        _check_alone(target, beside)
    header = ["path", *known, "split", *attributes]
    base = target.parent.absolute()
    rows: list[list[str]] = []
    for split, part in parts.items():
        columns = [
            [COLUMNS[name].kind.format(value) for value in part.columns[name]]
            if name in part.columns
            else [""] * len(part)
            for name in known
        ]
        labels = np.full((len(part), len(attributes)), np.nan)
        if part.labels is not None:
            labels = part.labels
        for row, path in enumerate(part.paths):
            absolute = path.absolute()
            inside = absolute.is_relative_to(base)
            name = absolute.relative_to(base).as_posix() if inside else str(absolute)
            if not is_text(name):
                raise InputError(f"{name!r} has no name in UTF-8: rename the file.")
            told = ["" if np.isnan(value) else f"{value:.0f}" for value in labels[row]]
            rows.append([name, *(values[row] for values in columns), split, *told])
    check_writable(target)
    with replacing(target) as draft:
        if target.suffix.lower() == ".csv":
            with draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(header)
                writer.writerows(rows)
        else:
            pa, parquet = _import_pyarrow(target)
            columns_ = {name: [row[i] for row in rows] for i, name in enumerate(header)}
            parquet.write_table(pa.table(columns_), draft)
    if about is not None:
        write_text(beside, about)


def _check_alone(target: Path, beside: Path) -> None:
    """Check that no other manifest would be read with a schema that is not its own."""
    for path in sorted(target.parent.glob("*.csv")):
        if path.name != target.name:
            with path.open(encoding="utf-8-sig", errors="replace") as file:
                header = file.readline().strip().split(",")
            if "path" in header:
                raise InputError(
                    f"{beside} would be read with {path.name} too, which is another manifest: "
                    "choose another folder."
                )


def _schema_yaml(schema: Schema) -> str:
    said = {
        a.name: {
            key: value
            for key, value in (("phrase", a.phrase), ("group", a.group), ("absent", a.absent))
            if value != getattr(Attribute(a.name, a.phrase if key == "absent" else ""), key)
        }
        for a in schema.attributes
    }
    content: dict[str, Any] = {
        "attributes": {name: values or None for name, values in said.items()}
    }
    if schema.name:
        content = {"name": schema.name, **content}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _table_in(place: Path) -> Path:
    if place.is_file():
        return place
    found = [place / name for name in MANIFEST_NAMES if (place / name).is_file()]
    if not found:
        raise InputError(f"{place} holds no manifest: add crops.csv.")
    if len(found) > 1:
        names = list_few([path.name for path in found])
        raise InputError(f"{place} holds several manifests ({names}): give one of them.")
    return found[0]


def _read_table(path: Path) -> _Table:
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8: save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}): save it again.") from None
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    while lines and not lines[-1]:
        # line breaks after the last line
        lines.pop()
    header = [name.strip() for name in lines[0]] if lines else []
    _check_header(header, path)
    rows = lines[1:]
    if not header or not rows:
        raise InputError(f"{path} is empty: it needs a header with 'path' and one line per crop.")
    for number, line in enumerate(rows, start=2):
        if not any(cell.strip() for cell in line):
            raise InputError(f"{path}, line {number}: it is empty: remove it.")
        if len(line) != len(header):
            raise InputError(
                f"{path}, line {number}: {len(line)} values for {len(header)} columns: write one "
                "for each."
            )
    columns = {name: [row[i].strip() for row in rows] for i, name in enumerate(header)}
    return _Table(columns, len(rows))


def _check_header(header: Sequence[str], path: Path) -> None:
    for place, name in enumerate(header, start=1):
        if not name:
            raise InputError(f"{path}: column {place} has no name: give it one, or remove it.")
        if len(name) > _LONGEST_HEADER or not name.isprintable():
            raise InputError(
                f"{path}: column {place} is called {name[:40]!r}…: write at most "
                f"{_LONGEST_HEADER} printable characters."
            )
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise InputError(f"{path}: the column {list_few(twice)} occurs twice: keep one.")


def _read_parquet(path: Path) -> _Table:
    _, parquet = _import_pyarrow(path)
    try:
        _check_header(parquet.read_schema(path).names, path)
        found = parquet.read_table(path)
        columns = {
            name.strip(): [_as_text(value) for value in found.column(name).to_pylist()]
            for name in found.column_names
        }
    except InputError:
        raise
    except Exception as error:
        # pyarrow raises its own errors, OSError, ValueError, OverflowError
        raise InputError(
            f"{path} cannot be read as Parquet ({type(error).__name__}): write it again, with "
            "text, numbers and times alone."
        ) from error
    return _Table(columns, len(found), 1)


def _as_text(value: Any) -> str:
    if value is None or value != value:  # NaN is what pandas writes for nothing
        return ""
    if isinstance(value, bytes):
        raise ValueError("bytes are not text")
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _import_pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"{path} is a Parquet file, which needs pyarrow (the extra 'gallery'): install it, or "
            "give a CSV file."
        ) from None
    return pyarrow, parquet


def _read_declared(path: Path) -> _Declared | None:
    if not path.is_file():
        other = path.with_suffix(".yml")
        if path.is_symlink() or path.exists():
            raise InputError(f"{path} cannot be read: it is not a file. Fix or remove it.")
        if other.exists():
            raise InputError(f"{other} is not read: call it {path.name}, or remove it.")
        return None
    try:
        content = load_yaml(path.read_text(encoding="utf-8"), as_text=True)
    except YAML_ERRORS as error:
        problem = getattr(error, "problem", None) or type(error).__name__
        raise InputError(f"{path} is not valid YAML ({problem}): fix it.") from None
    if not isinstance(content, dict) or not isinstance(content.get("attributes"), dict | list):
        raise InputError(f"{path} declares no attributes: write `attributes:` and their names.")
    unknown = sorted(set(map(str, content)) - {"name", "attributes", "coding", "ignore"})
    if unknown:
        raise InputError(
            f"{path}: unknown key {unknown[0]!r}: known are name, attributes, coding and ignore."
        )
    general = _coding(content.get("coding") or {}, _Coding(), path)
    given = content["attributes"]
    entries = given.items() if isinstance(given, dict) else ((name, None) for name in given)
    attributes, codings = [], {}
    for name, values in entries:
        values = {} if values in (None, "", "null", "~") else values
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            raise InputError(
                f"{path}: {name} is {reprlib.repr(values)}: write phrase, group, absent, yes, no, "
                "and a text for each."
            )
        about = {key: v for key, v in values.items() if key in ("phrase", "group", "absent")}
        codes = {key: v for key, v in values.items() if key not in about}
        try:
            attributes.append(Attribute(str(name), **about))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        codings[str(name)] = _coding(codes, general, path)
    ignored = content.get("ignore") or []
    if not isinstance(ignored, list) or not all(isinstance(name, str) for name in ignored):
        raise InputError(f"{path}: ignore is {reprlib.repr(ignored)}: write a list of columns.")
    both = sorted(set(ignored) & set(codings))
    if both:
        raise InputError(f"{path}: {both[0]} is under attributes and under ignore: choose one.")
    name = str(content.get("name") or "")
    return _Declared(tuple(attributes), codings, frozenset(map(str, ignored)), name)


def _coding(values: Mapping[str, Any], default: _Coding, path: Path) -> _Coding:
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise InputError(
            f"{path}: coding is {reprlib.repr(values)}: write `coding: {{yes: 2, no: 1}}`."
        )
    unknown = sorted(set(map(str, values)) - {"yes", "no", "unknown"})
    if unknown:
        raise InputError(
            f"{path}: unknown key {unknown[0]!r}: known are phrase, group, absent, yes, no and "
            "unknown."
        )
    given = {str(key): str(value) for key, value in values.items()}
    yes, no = given.get("yes", default.yes), given.get("no", default.no)
    unknown_code = given.get("unknown", default.unknown)
    if "unknown" not in given and unknown_code in (yes, no):
        # a blank may be declared to mean something
        unknown_code = None
    codes = [code for code in (yes, no, unknown_code) if code is not None]
    if len(set(codes)) < len(codes):
        raise InputError(
            f"{path}: two of yes, no and unknown are written "
            f"{Counter(codes).most_common(1)[0][0]!r}: give each its own code."
        )
    return _Coding(yes, no, unknown_code)


def _without_ignored(
    table: _Table, path: Path, declared: _Declared | None, problems: Problems
) -> _Table:
    if declared is None or not declared.ignored:
        return table
    strange = sorted(declared.ignored - set(table.columns))
    if strange:
        problems.add(
            f"{path} has no column {list_few(strange)}, which {SCHEMA_NAME} ignores: correct the "
            "name, or take it out."
        )
    kept = {name: values for name, values in table.columns.items() if name not in declared.ignored}
    return replace(table, columns=kept)


def _check_columns(
    table: _Table, path: Path, declared: _Declared | None, problems: Problems
) -> bool:
    names = table.columns
    if "path" not in names:
        found = list_few([repr(name) for name in names])
        other = any(mark in name for name in names for mark in ";\t|")
        cure = "separate columns by commas" if other else "add it"
        problems.add(f"{path} has no column 'path', only {found}: {cure}.")
        return False
    if not _check_spelling(table, path, declared, problems):
        return False
    others = _attribute_names(table, declared)
    if len(others) > MOST_ATTRIBUTES:
        problems.add(
            f"{path} has {len(others):,} columns that could be attributes, more than "
            f"{MOST_ATTRIBUTES:,}: leave out those that are not."
        )
        return False
    if declared is None:
        return True
    wanted = [attribute.name for attribute in declared.attributes]
    strange = [name for name in others if name not in wanted]
    if strange:
        problems.add(
            f"{path}: the column {list_few(strange)} is not declared in {SCHEMA_NAME}: list it "
            "under attributes or under ignore."
        )
    missing = [name for name in wanted if name not in names]
    if missing:
        problems.add(f"{path} has no column {list_few(missing)}, which {SCHEMA_NAME} declares.")
    return not strange and not missing


def _check_spelling(
    table: _Table, path: Path, declared: _Declared | None, problems: Problems
) -> bool:
    """Check that no attribute is a column whose name is written otherwise."""
    known = [*COLUMNS, *_FIRST]
    wanted = set() if declared is None else {a.name for a in declared.attributes}
    for name in _attribute_names(table, declared):
        if name in wanted:
            continue
        if name.lower() in known:
            problems.add(
                f"{path}: the column {name!r} is called {name.lower()!r} in manifests: rename it, "
                f"or declare it as an attribute in {SCHEMA_NAME}."
            )
            return False
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
        if near:
            problems.remark(
                f"{path}: the column {name!r} is read as an attribute; did you mean {near[0]!r}?"
            )
    return True


def _attribute_names(table: _Table, declared: _Declared | None) -> list[str]:
    ignored = frozenset[str]() if declared is None else declared.ignored
    return [n for n in table.columns if n not in COLUMNS and n not in _FIRST and n not in ignored]


def _read_known(table: _Table, path: Path, problems: Problems) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for name in COLUMNS:
        if name not in table.columns:
            continue
        values: list[Any] = []
        for row, text in enumerate(table.columns[name]):
            try:
                values.append(parse_value(name, text, table.where(path, row)))
            except InputError as error:
                problems.add(str(error))
                values.append(None)
        columns[name] = values
    return columns


def _read_labels(
    table: _Table, path: Path, declared: _Declared | None, problems: Problems
) -> tuple[Schema | None, NDArray[np.float32] | None]:
    names = _attribute_names(table, declared)
    attributes = (
        tuple(map(Attribute, names))
        if declared is None
        else tuple(a for a in declared.attributes if a.name in table.columns)
    )
    if not attributes:
        return None, None
    columns = []
    for attribute in attributes:
        coding = _Coding() if declared is None else declared.codings[attribute.name]
        columns.append(_read_attribute(table, path, attribute.name, coding, problems))
    _check_groups(table, path, attributes, columns, problems)
    return Schema(attributes, "" if declared is None else declared.name), np.array(
        columns, np.float32
    ).T


def _check_groups(
    table: _Table,
    path: Path,
    attributes: Sequence[Attribute],
    columns: Sequence[NDArray[np.float32]],
    problems: Problems,
) -> None:
    """Check that no crop has two attributes of a group."""
    for group in dict.fromkeys(a.group for a in attributes if a.group):
        of_group = [c for a, c in zip(attributes, columns, strict=True) if a.group == group]
        several = np.flatnonzero((np.array(of_group) == 1).sum(axis=0) > 1)
        if len(several):
            names = [a.name for a in attributes if a.group == group]
            both = [n for n, c in zip(names, of_group, strict=True) if c[several[0]] == 1]
            problems.add(
                f"{table.where(path, int(several[0]))}: {' and '.join(both)} hold both, but at "
                f"most one of the group {group!r} may: keep one, or take it out of the group."
            )


def _read_attribute(
    table: _Table, path: Path, name: str, coding: _Coding, problems: Problems
) -> NDArray[np.float32]:
    texts = table.columns[name]
    meaning = {"": np.nan}
    if coding.unknown is not None:
        meaning[coding.unknown] = np.nan
    meaning |= {coding.no: 0.0, coding.yes: 1.0}
    # pandas writes 1.0 where some are unknown
    meaning |= {f"{code}.0": value for code, value in meaning.items() if code.isdecimal()}
    values = np.array([meaning.get(text, -1.0) for text in texts], np.float32)
    wrong = np.flatnonzero(values == -1)
    if len(wrong):
        row = int(wrong[0])
        found = sorted({texts[i] for i in wrong} | {t for t in texts if t in meaning and t})
        few = (
            f" (it holds {', '.join(found)})"
            if len(found) <= 3 and max(map(len, found)) < 8
            else ""
        )
        texts_found = found if len(found) == 2 else ["1", "2"]
        no, yes = (t if t.isalnum() and not t.isalpha() else repr(t) for t in texts_found)
        problems.add(
            f"{table.where(path, row)}: the attribute column {name!r} is "
            f"{reprlib.repr(texts[row])}{few}: write {coding.yes}, {coding.no} or nothing, or "
            f"declare its coding (`coding: {{yes: {yes}, no: {no}}}`), or that it is ignored, "
            f"in a file {SCHEMA_NAME} beside the manifest."
        )
    elif np.isnan(values).all():
        problems.add(f"{path}: the attribute column {name!r} holds nothing: fill it in or drop it.")
    values[wrong] = np.nan
    return values


def _find_files(crops: Crops, path: Path, problems: Problems) -> NDArray[np.bool_]:
    there = np.array([file.is_file() for file in crops.paths], np.bool_)
    missing = np.flatnonzero(~there)
    if len(missing):
        problems.add_missing(
            f"{path}: {len(missing):,} of {len(crops):,} files do not exist, "
            f"{crops.paths[int(missing[0])]} first",
            "check the paths and the root they start from",
        )
    return there


def _check_twice(crops: Crops, path: Path, table: _Table, problems: Problems) -> None:
    seen: dict[Any, int] = {}
    for row, key in enumerate(crops.keys):
        before = seen.setdefault(key, row)
        if before != row:
            problems.add(
                f"{table.where(path, row)}: the same crop as in line "
                f"{before + table.first_line}, {crops.paths[row].name}: keep one, or give each its "
                "box."
            )
            return


def _wrong_split(table: _Table, path: Path) -> str | None:
    """Return what is wrong with the first split that is not known."""
    for row, text in enumerate(table.columns.get("split", [])):
        if text not in _SPLITS:
            return (
                f"{table.where(path, row)}: the split {text!r} is not known: write "
                f"{', '.join(_SPLITS)}."
            )
    return None


def _check_splits(crops: Crops, splits: NDArray[np.str_], path: Path, problems: Problems) -> None:
    if not crops.has_persons:
        return
    codes = crops.person_codes
    trained = set(codes[(splits == "train") & (codes > 0)].tolist())
    others = (splits != "train") & np.isin(codes, list(trained))
    if others.any():
        row = int(np.flatnonzero(others)[0])
        problems.add(
            f"{path}: the person {str(crops.person[row])!r} is in train and in {splits[row]}: put "
            "all crops of a person into one split, or their figures mean nothing."
        )
