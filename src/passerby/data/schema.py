"""Attribute schemas: ordered sets of binary attributes. A schema is data, not code."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Self

from passerby.errors import InputError

MOST_ATTRIBUTES = 1000
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Attribute:
    """One binary property of a crop.

    Attributes:
        name: in files, queries and JSON; any printable text, such as "Age18-60".
        phrase: what people read ("red top"); the name if left out.
        group: of those attributes of which exactly one holds, such as "upper colour"; empty if
            it excludes no other.
        absent: what people read if it does not hold ("male"); "no …" or "not …" if left out.
    """

    name: str
    phrase: str = ""
    group: str = ""
    absent: str = ""

    def __post_init__(self) -> None:
        for key in ("name", "phrase", "group", "absent"):
            text = getattr(self, key)
            what = "name" if key == "name" else f"{key} ({self.name})"
            if not isinstance(text, str) or len(text) > _LONGEST_NAME or not text.isprintable():
                raise InputError(
                    f"{str(text)[:_LONGEST_NAME]!r} is not a {what} of an attribute: write 1 to "
                    f"{_LONGEST_NAME} printable characters."
                )
            if text != text.strip():
                raise InputError(
                    f"The {what} {text!r} of an attribute begins or ends with a blank: remove it."
                )
        if not self.name:
            raise InputError("An attribute has no name: write 1 to 80 printable characters.")
        if not self.phrase:
            object.__setattr__(self, "phrase", self.name)
        if not self.absent:
            object.__setattr__(self, "absent", f"not {self.phrase}")


class Field(NamedTuple):
    """One question: a single attribute, or a group of which exactly one attribute holds.

    Attributes:
        name: of the attribute or the group.
        place: positions of its attributes.
        exclusive: whether it is a group.
    """

    name: str
    place: slice
    exclusive: bool


@dataclass(frozen=True)
class Schema:
    """An ordered set of attributes; two schemas are equal if their attributes are.

    Attributes:
        attributes: in order; those of a group stand one after the other.
        name: for messages; it does not count.
    """

    attributes: tuple[Attribute, ...]
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", tuple(self.attributes))
        if not self.attributes:
            raise InputError("A schema has no attributes: name one at least.")
        if len(self.attributes) > MOST_ATTRIBUTES:
            raise InputError(
                f"There are {len(self.attributes):,} attributes, more than {MOST_ATTRIBUTES:,}: "
                "leave out columns that are not attributes."
            )
        seen: set[str] = set()
        for attribute in self.attributes:
            if attribute.name in seen:
                raise InputError(f"The attribute {attribute.name!r} is named twice: keep one.")
            seen.add(attribute.name)
        for name, members in self._members().items():
            first, last = members[0], members[-1]
            if len(members) < 2 or last - first != len(members) - 1:
                raise InputError(
                    f"The group {name!r} must hold two attributes or more, one after the other: "
                    "order them, or leave the group out."
                )

    @classmethod
    def of(cls, names: Iterable[str], name: str = "") -> Self:
        """Return a schema of attributes without phrases or groups."""
        return cls(tuple(map(Attribute, names)), name)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned.

        Raises:
            InputError: it is not a schema.
        """
        try:
            attributes = tuple(Attribute(**attribute) for attribute in values["attributes"])
            return cls(attributes, str(values.get("name", "")))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"It is not a schema of attributes ({error}): write it again."
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"name": self.name, "attributes": [asdict(a) for a in self.attributes]}

    def __len__(self) -> int:
        return len(self.attributes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the attributes, in order."""
        return tuple(attribute.name for attribute in self.attributes)

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """What people read of each attribute, in order."""
        return tuple(attribute.phrase for attribute in self.attributes)

    @cached_property
    def groups(self) -> dict[str, slice]:
        """The mutually exclusive attributes: name of the group to their positions."""
        return {name: slice(m[0], m[-1] + 1) for name, m in self._members().items()}

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The questions that the schema answers, in order."""
        fields = {
            attribute.group or f"\0{place}": Field(
                attribute.group or attribute.name,
                self.groups.get(attribute.group, slice(place, place + 1)),
                bool(attribute.group),
            )
            for place, attribute in enumerate(self.attributes)
        }
        return tuple(fields.values())

    def index(self, attribute: str) -> int:
        """Return the position of an attribute.

        Raises:
            InputError: there is no attribute of that name.
        """
        try:
            return self.names.index(attribute)
        except ValueError:
            of = f" of the {self.name} schema" if self.name else ""
            raise InputError(
                f"{attribute!r} is not an attribute{of}: choose from {', '.join(self.names)}."
            ) from None

    def joined(self, other: "Schema") -> "Schema":
        """Return a schema with the attributes of both; those of the same name are the same.

        Raises:
            InputError: a group holds other attributes in one than in the other.
        """
        own = {attribute.name: attribute for attribute in self.attributes}
        for attribute in other.attributes:
            mine = own.get(attribute.name, attribute)
            if mine.group != attribute.group or not self._holds_group_of(attribute, other):
                raise InputError(
                    f"The attribute {attribute.name!r} excludes others in one schema than in the "
                    "other: give its group the same attributes in both."
                )
        new = [attribute for attribute in other.attributes if attribute.name not in own]
        return Schema((*self.attributes, *new), "" if new else self.name)

    def _holds_group_of(self, attribute: Attribute, other: "Schema") -> bool:
        """Tell whether an attribute's group, if there is one of that name, has the same members."""
        places = [schema.groups.get(attribute.group) for schema in (self, other)]
        if places[0] is None or places[1] is None:
            return True
        return set(self.names[places[0]]) == set(other.names[places[1]])

    def _members(self) -> dict[str, list[int]]:
        members: dict[str, list[int]] = {}
        for place, attribute in enumerate(self.attributes):
            if attribute.group:
                members.setdefault(attribute.group, []).append(place)
        return members
