"""What can be ticked on the search page: for each question of the schema its answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from passerby.data.columns import COLUMNS
from passerby.data.query_language import parse_query, quote_name
from passerby.data.schema import Attribute, Field, Schema
from passerby.errors import InputError

COLOURS = (
    "black",
    "white",
    "red",
    "purple",
    "yellow",
    "gray",
    "grey",
    "blue",
    "green",
    "pink",
    "brown",
    "orange",
    "multicolor",
)
"""Words that the style sheet has a swatch for."""

_COLOURED = ("colour", "color")
"""A group whose name holds one of these is shown with swatches."""


@dataclass(frozen=True)
class FilterOption:
    """One value that can be ticked.

    Attributes:
        value: what the form sends.
        label: what people read.
        condition: for this value alone, in the query language.
        colour: to show beside the label; empty for none.
        word: the value as a query compares its group with it; empty if no such comparison means
            the same as `condition`.
    """

    value: str
    label: str
    condition: str
    colour: str = ""
    word: str = ""


@dataclass(frozen=True)
class FilterGroup:
    """The values of one field, next to "any".

    Attributes:
        field: of the schema.
        legend: what people read.
        ticks: the values.
        several: whether any of several values may be asked for.
    """

    field: str
    legend: str
    ticks: tuple[FilterOption, ...]
    several: bool

    @property
    def name(self) -> str:
        """What the form calls it."""
        return f"is-{self.field}"

    def condition(self, values: Iterable[str]) -> str:
        """Return what ticked values ask for, in the query language; empty for anything.

        Raises:
            InputError: a value is unknown, or there are several of a group that allows one.
        """
        known = {tick.value: tick for tick in self.ticks}
        wanted = list(dict.fromkeys(value for value in values if value))
        unknown = [value for value in wanted if value not in known]
        if unknown or (len(wanted) > 1 and not self.several):
            labels = ", ".join(tick.label for tick in self.ticks)
            raise InputError(f"{self.legend}: tick one of {labels}, or none.")
        chosen = [known[value] for value in wanted]
        if len(chosen) < 2:
            return chosen[0].condition if chosen else ""
        if all(tick.word for tick in chosen):
            return f"{_written(self.field)} in ({', '.join(tick.word for tick in chosen)})"
        return f"({' or '.join(tick.condition for tick in chosen)})"


@lru_cache(maxsize=8)
def filter_groups(schema: Schema | None) -> tuple[FilterGroup, ...]:
    """Return what can be ticked of a schema, in its order; nothing if there is none.

    Fields that no query can name, with both kinds of quotes in their name, are left out.
    """
    if schema is None:
        return ()
    groups = [_group(field, schema.attributes[field.place]) for field in schema.fields]
    return tuple(group for group in groups if group is not None)


def _group(field: Field, attributes: Sequence[Attribute]) -> FilterGroup | None:
    # that a query means the attribute is tried out, with the schema of this field alone
    schema = Schema(tuple(attributes))
    ticks = _values(field, schema) if field.exclusive else _yes_and_no(schema)
    if any(_meaning(tick.condition, schema) is None for tick in ticks):
        return None
    return FilterGroup(field.name, _legend(field.name), ticks, several=field.exclusive)


def _yes_and_no(schema: Schema) -> tuple[FilterOption, ...]:
    attribute = schema.attributes[0]
    name = _written(attribute.name)
    if attribute.absent in (f"no {attribute.phrase}", f"not {attribute.phrase}"):
        # the legend says it already
        yes, no = "yes", "no"
        if _legend(attribute.phrase) != _legend(attribute.name):
            yes, no = attribute.phrase, attribute.absent
        return FilterOption("yes", yes, name), FilterOption("no", no, f"not {name}")
    yes, no = _labels([attribute.phrase, attribute.absent])
    options = []
    for value, plain, label, phrase in (
        ("yes", name, yes, attribute.phrase),
        ("no", f"not {name}", no, attribute.absent),
    ):
        word = _word(attribute.name, (label, phrase), plain, schema)
        options.append(FilterOption(value, label, f"{name} = {word}" if word else plain))
    return tuple(options)


def _values(field: Field, schema: Schema) -> tuple[FilterOption, ...]:
    coloured = any(word in field.name.lower() for word in _COLOURED)
    options = []
    for attribute, label in zip(schema.attributes, _labels(schema.phrases), strict=True):
        plain = _written(attribute.name)
        word = _word(field.name, (label, attribute.phrase), plain, schema)
        condition = f"{_written(field.name)} = {word}" if word else plain
        colour = label.lower() if coloured and label.lower() in COLOURS else ""
        options.append(FilterOption(attribute.name, label, condition, colour, word))
    return tuple(options)


def _word(field: str, words: Iterable[str], plain: str, schema: Schema) -> str:
    """Return the first word that says, compared with a field, what `plain` says; empty if none.

    It is written as a query writes it.
    """
    wanted = _meaning(plain, schema)
    for word in map(_written, words):
        if wanted is not None and _meaning(f"{_written(field)} = {word}", schema) == wanted:
            return word
    return ""


def _labels(phrases: Sequence[str]) -> list[str]:
    """Return phrases without the words that all of them end with: "red" of "red top"."""
    words = [phrase.split() for phrase in phrases]
    while all(len(part) > 1 for part in words) and len({part[-1] for part in words}) == 1:
        words = [part[:-1] for part in words]
    return [" ".join(part) for part in words]


def _legend(name: str) -> str:
    words = " ".join(name.replace("_", " ").split())
    return words[:1].upper() + words[1:]


def _written(name: str) -> str:
    """Return a name as a query writes it, whatever a column is called."""
    return f'"{name}"' if name.lower() in COLUMNS else quote_name(name)


def _meaning(text: str, schema: Schema) -> object:
    """Return the condition that a query reads as; None if it cannot be read."""
    try:
        return parse_query(text, schema)
    except InputError:
        return None
