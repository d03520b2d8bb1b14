"""Several datasets side by side: persons and cameras kept apart, attributes in one schema."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from passerby.data.crops import Crops, concatenate
from passerby.data.schema import Schema
from passerby.datasets.problems import Problems, list_few
from passerby.datasets.reading import survey
from passerby.datasets.schema_mapping import SCHEMAS, SchemaMapping, find_mapping
from passerby.errors import InputError


@dataclass(frozen=True)
class Source:
    """One of several datasets.

    Attributes:
        title: for messages; different from the others' titles.
        crops: its crops.
        terms: of use; empty where there are none.
        remarks: what is worth knowing of it.
        mapping: from its attributes to the common ones; one that ships if None.
    """

    title: str
    crops: Crops
    terms: str = ""
    remarks: tuple[str, ...] = ()
    mapping: SchemaMapping | None = None


def read_source(
    data: Path | str,
    splits: Sequence[str] = ("train",),
    *,
    root: Path | str | None = None,
    pattern: str | None = None,
    accept_missing: bool = False,
    mapping: Path | str | None = None,
) -> Source:
    """Read one of several datasets.

    Args:
        data: a folder of any known layout, or a manifest.
        splits: those that are taken, together.
        root, pattern, accept_missing: see `read_crops`.
        mapping: from its attributes to the common ones, a file or the name of one that ships.

    Raises:
        InputError: it is not as it has to be.
    """
    found = [
        survey(data, split, root=root, pattern=pattern, accept_missing=accept_missing)
        for split in splits
    ]
    for part in found:
        Problems(list(part.problems)).raise_first()
    return Source(
        str(data),
        concatenate([part.crops for part in found]),
        found[0].dataset.terms,
        tuple(dict.fromkeys(remark for part in found for remark in part.remarks)),
        None if mapping is None else SchemaMapping.load(mapping),
    )


def join(sources: Sequence[Source], attributes: str = "") -> list[Source]:
    """Make datasets fit together: each name of a dataset once, all labels in one schema.

    What `concatenate` makes of the result keeps persons and cameras of different sources apart.

    Args:
        sources: the datasets, one at least.
        attributes: name of the common schema ("market1501", "peta", "pa100k"); if empty, the
            first source's whose attributes all others can be mapped to, and with it attributes
            of one's own, if some have the same name there.

    Raises:
        InputError: two sources hold the same file, or their attributes have nothing in common.
    """
    _check_files(sources)
    for source in sources:
        _check_mapping(source)
    base, whole = _common_schemas(sources, attributes)
    return [_mapped(source, base, whole) for source in _with_own_names(sources)]


def in_schema(source: Source, attributes: str = "") -> Source:
    """Return a single dataset with its labels in a schema; without them, if no mapping is known.

    Args:
        source: the dataset.
        attributes: name of the schema; if empty, that which its own mapping leads to, or its own.

    Raises:
        InputError: there is no such schema, or its own mapping is of others.
    """
    _check_mapping(source)
    if attributes:
        target = _named_schema(attributes)
    elif source.mapping is not None:
        target = source.mapping.target_schema
    else:
        return source
    if _finds(source, target):
        return _mapped(source, target, target)
    if source.mapping is not None:
        raise InputError(
            f"The mapping of {source.title} leads to {source.mapping.target_schema.name}, not to "
            f"{attributes}: give one that does, or leave one of them out."
        )
    assert source.crops.schema is not None
    names = _called(source.crops.schema)
    remark = f"Its attributes ({names}) cannot be mapped to {attributes}: they are left out."
    return replace(source, crops=source.crops.without_labels(), remarks=(*source.remarks, remark))


def _named_schema(attributes: str) -> Schema:
    if attributes not in SCHEMAS:
        raise InputError(
            f"data.attributes is {attributes!r}: choose from {', '.join(SCHEMAS)}, or leave it out."
        )
    return SCHEMAS[attributes]


def _check_files(sources: Sequence[Source]) -> None:
    """Check that no crop stands in two sources; copies of files are the caller's to find."""
    owner: dict[tuple[str, tuple[int, ...]], Source] = {}
    for source in sources:
        for key in source.crops.keys:
            before = owner.setdefault(key, source)
            if before is not source:
                raise InputError(
                    f"{before.title} and {source.title} hold the same file, {key[0]}: give each "
                    "crop once."
                )


def _with_own_names(sources: Sequence[Source]) -> list[Source]:
    """Give each source names of datasets that no other has."""
    names = [
        np.array([""]) if source.crops.dataset is None else np.unique(source.crops.dataset)
        for source in sources
    ]
    used = Counter(name for mine in names for name in mine.tolist())
    titles = short_titles([source.title for source in sources])
    return [
        replace(source, title=title, crops=_renamed(source.crops, title, used))
        for source, title in zip(sources, titles, strict=True)
    ]


def _renamed(crops: Crops, title: str, used: Counter[str]) -> Crops:
    old = [""] * len(crops) if crops.dataset is None else crops.dataset.tolist()
    new = {
        name: title if not name else f"{name} in {title}" if used[name] > 1 else name
        for name in set(old)
    }
    return crops.replace(dataset=[new[name] for name in old])


def short_titles(titles: Sequence[str]) -> list[str]:
    """Return the last part of each path that tells it from the others."""
    parts = [Path(title).parts for title in titles]
    for length in range(1, max(map(len, parts)) + 1):
        short = [Path(*own[-length:]).as_posix() for own in parts]
        if len(set(short)) == len(short):
            return short
    return [f"{title} ({number})" for number, title in enumerate(titles, start=1)]


def _common_schemas(
    sources: Sequence[Source], attributes: str
) -> tuple[Schema | None, Schema | None]:
    """Return the schema that all can be mapped to, and the same with attributes of one's own."""
    schemas = list(dict.fromkeys(s.crops.schema for s in sources if s.crops.schema is not None))
    led_to = [s.mapping.target_schema for s in sources if s.mapping is not None]
    if attributes:
        target = _named_schema(attributes)
        if all(_finds(source, target) for source in sources):
            return target, target
        raise _no_common(schemas, f"cannot all be mapped to {attributes}")
    shipped = [schema for schema in schemas if schema in SCHEMAS.values()]
    known = [source for source in sources if source.crops.schema in shipped]
    fitting = [t for t in (*shipped, *led_to) if all(_finds(source, t) for source in known)]
    if shipped and not fitting:
        raise _no_common(schemas, "cannot be mapped to each other")
    base = fitting[0] if fitting else None
    whole = base
    own = [schema for schema in schemas if schema not in shipped]
    while own:
        near = [s for s in own if whole is None or set(s.names) & set(whole.names)]
        if not near:
            raise _no_common(schemas, "have no name in common, and cannot be mapped to each other")
        whole = near[0] if whole is None else whole.joined(near[0])
        own.remove(near[0])
    return base, whole


def _no_common(schemas: Sequence[Schema], problem: str) -> InputError:
    names = "; ".join(map(_called, schemas))
    return InputError(
        f"The attributes of these datasets ({names}) {problem}: name a mapping for a set of "
        "data.sets, or learn identities alone (loss.attributes.weight 0)."
    )


def _called(schema: Schema) -> str:
    return schema.name or list_few(schema.names)


def _check_mapping(source: Source) -> None:
    """Check that a dataset has the attributes that its own mapping is made for."""
    if source.mapping is None:
        return
    wanted, schema = source.mapping.source_schema, source.crops.schema
    if schema is None:
        raise InputError(
            f"{source.title} has no attributes, so that nothing is mapped: leave its mapping out."
        )
    if schema != wanted:
        raise InputError(
            f"The mapping of {source.title} is made for {_called(wanted)}, but its attributes are "
            f"{_called(schema)}: give another, or leave it out."
        )


def _finds(source: Source, target: Schema) -> bool:
    schema = source.crops.schema
    if source.mapping is not None:
        return source.mapping.target_schema == target
    return schema is None or schema == target or find_mapping(schema, target) is not None


def _mapped(source: Source, base: Schema | None, whole: Schema | None) -> Source:
    """Bring labels into a schema, by way of the one that those of the field are mapped to."""
    if source.crops.schema is None or whole is None:
        return source
    crops, remarks = source.crops, source.remarks
    steps = [base, whole] if crops.schema in SCHEMAS.values() else [whole]
    for number, target in enumerate(steps):
        schema = crops.schema
        given = source.mapping if number == 0 else None
        if target is None or schema is None or (given is None and schema == target):
            continue
        mapping = given or find_mapping(schema, target)
        assert mapping is not None
        crops = mapping.apply(crops)
        if mapping.lost:
            remarks = (*remarks, mapping.sentence)
    return replace(source, crops=crops, remarks=remarks)
