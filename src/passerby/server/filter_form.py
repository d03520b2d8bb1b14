"""What can be ticked on the search page: for each field of the schema its values."""

from collections.abc import Iterable
from dataclasses import dataclass

from passerby.data.schema import Binary, Choice, Field, OneOfColumns, Schema
from passerby.errors import InputError

_ORDER = ("gender", "age", "hair", "hat", "backpack", "bag", "handbag", "up", "clothes", "down")
_LEGENDS = {
    "up": "Sleeves",
    "down": "Lower length",
    "clothes": "Lower body",
    "upcolor": "Upper colour",
    "downcolor": "Lower colour",
}


@dataclass(frozen=True)
class FilterOption:
    """One value that can be ticked.

    Attributes:
        value: what the form sends.
        label: what people read.
        condition: for a single value, in the language of `where`.
        colour: to show beside the label; empty for none.
    """

    value: str
    label: str
    condition: str
    colour: str = ""


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
        """Return what ticked values ask for, in the language of `where`; empty for anything.

        Raises:
            InputError: a value is unknown, or there are several of a group that allows one.
        """
        known = {tick.value: tick for tick in self.ticks}
        wanted = list(dict.fromkeys(value for value in values if value))
        unknown = [value for value in wanted if value not in known]
        if unknown or (len(wanted) > 1 and not self.several):
            raise InputError(f"{self.legend}: tick one of {', '.join(known)}, or none.")
        if len(wanted) < 2:
            return known[wanted[0]].condition if wanted else ""
        return f"{self.field} in ({', '.join(wanted)})"


def filter_groups(schema: Schema) -> list[FilterGroup]:
    """Return what can be ticked of a schema, in the order in which people describe people."""
    place = {field: number for number, field in enumerate(_ORDER)}
    fields = sorted(schema.fields, key=lambda field: place.get(field.name, len(place)))
    return [_group(field) for field in fields]


def _group(field: Field) -> FilterGroup:
    legend = _LEGENDS.get(field.name, field.name.capitalize())
    if isinstance(field, Binary):
        return FilterGroup(field.name, legend, _yes_and_no(field), several=False)
    return FilterGroup(field.name, legend, tuple(_values(field)), several=True)


def _yes_and_no(field: Binary) -> tuple[FilterOption, ...]:
    if field.present == field.column:
        return (
            FilterOption("yes", "yes", field.column),
            FilterOption("no", "no", f"not {field.column}"),
        )
    return tuple(
        FilterOption(value, word, f"{field.name} = {word}")
        for value, word in (
            ("yes", field.present.split()[0]),
            ("no", field.absent.split()[0]),
        )
    )


def _values(field: Choice | OneOfColumns) -> Iterable[FilterOption]:
    for word in field.words:
        short = word.split()[0]
        colour = short if isinstance(field, OneOfColumns) else ""
        yield FilterOption(short, short, f"{field.name} = {short}", colour)
