"""From the attributes of one dataset to those of another: a YAML file with a reason for each."""

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from passerby.data.conditions import Condition
from passerby.data.crops import Crops
from passerby.data.query_language import parse_query
from passerby.data.schema import Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.datasets.pa100k import PA100K_ATTRIBUTES
from passerby.datasets.peta_attributes import PETA_ATTRIBUTES
from passerby.datasets.problems import list_few
from passerby.errors import InputError
from passerby.yaml_text import YAML_ERRORS, load_yaml

SCHEMAS = {
    "market1501": MARKET1501_ATTRIBUTES,
    "peta": PETA_ATTRIBUTES,
    "pa100k": PA100K_ATTRIBUTES,
}
"""The schemas that mappings name."""


@dataclass(frozen=True)
class SchemaMapping:
    """What each attribute of a target means in the attributes of a source.

    Attributes:
        name: of the file; empty if attributes of the same name are the same.
        conditions: attribute of the target to what must hold in the source; those that mean
            nothing there are left out.
        known: attribute of the target to where the source tells it at all; left out where it
            always does.
        reasons: attribute of the target to why.
    """

    name: str
    source_schema: Schema
    target_schema: Schema
    conditions: dict[str, Condition]
    known: dict[str, Condition]
    reasons: dict[str, str]

    @property
    def sentence(self) -> str:
        """What is done with labels, for people."""
        if self.name:
            return f"Labels are mapped from {self.source} to {self.target}; see {self.name}."
        said = f"Attributes of the same name are the same: {list_few(list(self.conditions))}."
        return f"{said} Left out: {list_few(self.lost)}." if self.lost else said

    @property
    def lost(self) -> list[str]:
        """The attributes of the source that go by names and are not in the target."""
        names = () if self.name else self.source_schema.names
        return [name for name in names if name not in self.conditions]

    @property
    def source(self) -> str:
        return self.source_schema.name

    @property
    def target(self) -> str:
        return self.target_schema.name

    @classmethod
    def load(cls, file: Path | str) -> "SchemaMapping":
        """Read a mapping.

        Its `attributes` say of each attribute of `target` what `is` the same in `source`, and
        optionally where that is `known`, both in the query language; and `why`. Without `is` the
        attribute is unknown.

        Args:
            file: a file, or the name of one that ships with Passerby: "peta-to-market1501".

        Raises:
            InputError: it is not a mapping, or names attributes that are not there.
        """
        path = Path(file)
        if not path.is_file():
            shipped = _shipped()
            if str(file) in shipped:
                return cls._of(load_yaml(shipped[str(file)].read_bytes()), f"{file}.yaml")
            raise InputError(
                f"{path} does not exist: give a mapping, a YAML file, or the name of one that "
                f"ships with Passerby: {', '.join(shipped)}."
            )
        try:
            return cls._of(load_yaml(path.read_bytes()), path.name)
        except YAML_ERRORS as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path} is not YAML ({reason}): fix it.") from None

    @classmethod
    def _of(cls, content: Any, name: str) -> "SchemaMapping":
        if not isinstance(content, dict) or set(content) != {"source", "target", "attributes"}:
            raise InputError(
                f"{name} is not a mapping: it needs the keys source, target and attributes, no "
                "more."
            )
        schemas = []
        for role in ("source", "target"):
            if not isinstance(content[role], str) or content[role] not in SCHEMAS:
                raise InputError(
                    f"{name}: {role} is {content[role]!r}: choose from {', '.join(SCHEMAS)}."
                )
            schemas.append(SCHEMAS[content[role]])
        source, target = schemas
        lines = content["attributes"]
        if not isinstance(lines, dict):
            raise InputError(f"{name}: `attributes` must name each attribute and what it is.")
        if missing := [n for n in target.names if n not in lines]:
            raise InputError(
                f"{name} says nothing of {missing[0]!r}: write what it is, and `why`, or only "
                "`why` it is unknown."
            )
        found: dict[str, dict[str, Condition]] = {"is": {}, "known": {}}
        reasons = {}
        for attribute, said in lines.items():
            where = f"{name}, {attribute}"
            if attribute not in target.names:
                raise InputError(f"{where}: it is not an attribute of {target.name}: leave it out.")
            if (
                not isinstance(said, dict)
                or not {"why"} <= set(said) <= {"is", "known", "why"}
                or ("known" in said and "is" not in said)
            ):
                raise InputError(
                    f"{where}: write `why`, `is` if the source tells it, and `known` if it does "
                    "so for some crops only."
                )
            reasons[attribute] = str(said["why"])
            for key, conditions in found.items():
                if key in said:
                    conditions[attribute] = _condition(str(said[key]), source, where)
        return cls(name, source, target, found["is"], found["known"], reasons)

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """The attributes of the target that the source does not tell."""
        return tuple(name for name in self.target_schema.names if name not in self.conditions)

    def apply(self, crops: Crops) -> Crops:
        """Return the crops with labels of the target; NaN where they are unknown.

        Raises:
            InputError: they are not annotated with the source's attributes.
        """
        if crops.labels is None or crops.schema != self.source_schema:
            raise InputError(
                f"The mapping {self.name} is made for crops with attributes of {self.source} only."
            )
        columns = dict(zip(self.source_schema.names, crops.labels.T, strict=True))
        labels = np.full((len(crops), len(self.target_schema)), np.nan, np.float32)
        for place, name in enumerate(self.target_schema.names):
            if name in self.conditions:
                labels[:, place] = self.conditions[name].truth(columns)
            if name in self.known:
                labels[self.known[name].truth(columns) != 1, place] = np.nan
        return crops.replace(labels=labels, schema=self.target_schema)


def find_mapping(source: Schema, target: Schema) -> SchemaMapping | None:
    """Return the mapping between two schemas: one that ships with Passerby, or that by names.

    In schemas of one's own attributes of the same name are taken for the same.

    Returns:
        None if there is none: between two that ship, or if no name is shared.
    """
    known = {schema: name for name, schema in SCHEMAS.items()}
    name = f"{known.get(source)}-to-{known.get(target)}"
    if name in _shipped():
        return SchemaMapping.load(name)
    return None if source in known and target in known else map_by_name(source, target)


def map_by_name(source: Schema, target: Schema) -> SchemaMapping | None:
    """Return the mapping by which attributes of the same name are the same; None without any."""
    shared = [name for name in target.names if name in source.names]
    conditions = {name: parse_query(f'"{name}"', source) for name in shared}
    reasons = dict.fromkeys(shared, "it has the same name")
    return SchemaMapping("", source, target, conditions, {}, reasons) if shared else None


def _condition(text: str, source: Schema, where: str) -> Condition:
    try:
        condition = parse_query(text, source)
    except InputError as error:
        raise InputError(f"{where}: {str(error).removeprefix('`where`').lstrip(': ')}") from None
    if not condition.attributes():
        raise InputError(f"{where}: name an attribute of {source.name}.")
    return condition


def _shipped() -> dict[str, Traversable]:
    """Return the mappings of the package by name."""
    folder = files("passerby.datasets").joinpath("mappings")
    found = sorted(folder.iterdir(), key=lambda file: file.name)
    return {f.name.removesuffix(".yaml"): f for f in found if f.name.endswith(".yaml")}
