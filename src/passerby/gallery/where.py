"""The language of `--where`, e.g. `gender = female and upred and not hat and camera in (1, 3)`.

An attribute stands for itself (`backpack`), for what its field calls it (`gender = female`,
`upcolor = red`, `up = short`) or for its probability (`backpack > 0.8`). camera, person, time and
source compare with numbers, dates (UTC where no offset is given) and quoted text. `and`, `or`,
`not` and parentheses combine them.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

from passerby.data.schema import Binary, OneOfColumns, Schema
from passerby.errors import InputError
from passerby.gallery.conditions import (
    And,
    Attribute,
    ColumnCondition,
    Condition,
    Not,
    Operator,
    Or,
    Probability,
    Unknown,
    Value,
    quoted,
)
from passerby.inference.decision import Decision

_LONGEST = 2000
_DEEPEST = 50
_LARGEST = 2**31 - 1
_CHOOSING = ("=", "==", "!=", "<>", "in", "not")

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<moment>\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?)
  | (?P<number>-?\d+(?:\.\d+)?)
  | (?P<name>[^\W\d]\w*)
  | (?P<text>'[^']*'|"[^"]*")
  | (?P<operator><=|>=|!=|<>|==|=|<|>)
  | (?P<mark>[(),])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int

    @property
    def word(self) -> str:
        """The name in small letters; empty for everything else."""
        return self.text.lower() if self.kind == "name" else ""


def parse_where(text: str, schema: Schema, decision: Decision) -> Condition:
    """Read a description.

    Args:
        text: in the language above.
        schema: names the attributes.
        decision: when an attribute counts as present.

    Raises:
        InputError: it is not in the language; the sentence names the place, and for an unknown
            name the nearest known one.
    """
    return _Parser(text, schema, decision).parsed()


class _Parser:
    def __init__(self, text: str, schema: Schema, decision: Decision) -> None:
        if len(text) > _LONGEST:
            raise InputError(
                f"--where is {len(text):,} characters long: {_LONGEST:,} are enough for everybody."
            )
        self.text = text
        self.schema = schema
        self.decision = decision
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0
        self.names = _names(schema)

    def parsed(self) -> Condition:
        if self.tokens[0].kind == "end":
            raise InputError("--where is empty: describe whom you look for, or leave it out.")
        found = self.either()
        if self.now.kind != "end":
            raise self.unexpected("'and', 'or' or the end")
        return found

    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def taken(self) -> _Token:
        token = self.now
        self.at += token.kind != "end"
        return token

    def took(self, *texts: str) -> bool:
        """Step over the next token if it is one of these."""
        if self.now.kind != "text" and self.now.text.lower() in texts:
            self.at += 1
            return True
        return False

    def unexpected(self, wanted: str) -> InputError:
        where = (
            "at its end" if self.now.kind == "end" else f"at {self.text[self.now.place :][:20]!r}"
        )
        return InputError(f"--where {self.text!r}: {wanted} is expected {where}.")

    def either(self) -> Condition:
        parts = [self.all()]
        while self.took("or"):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def all(self) -> Condition:
        parts = [self.one()]
        while self.took("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def one(self) -> Condition:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise InputError(f"--where is nested more than {_DEEPEST} times: write it simpler.")
        try:
            if self.took("not"):
                return Not(self.one())
            if self.took("("):
                inner = self.either()
                if not self.took(")"):
                    raise self.unexpected("')'")
                return inner
            if self.now.kind != "name" or self.now.word in ("and", "or", "in"):
                raise self.unexpected("an attribute, camera, person, time or source")
            return self.named(self.taken())
        finally:
            self.depth -= 1

    def named(self, token: _Token) -> Condition:
        name = token.word
        if name in _KNOWN_COLUMNS:
            return self.known(name)
        own_name = name in self.schema.attributes  # a field that is its only attribute
        if name in self.names.fields and (not own_name or self.now.text in _CHOOSING):
            return self.chosen(name)
        if name in self.names.words:
            condition = self.names.words[name](self.present)
            if self.now.kind != "operator":
                return condition
        if own_name and self.now.kind == "operator":
            return Probability(name, self.operator(), self.fraction())
        if name in self.names.words:
            raise InputError(
                f"--where: {name} stands for itself: leave out what follows it, or compare an "
                f"attribute such as {self.schema.attributes[-1]} with a probability."
            )
        raise self.unknown(token)

    def present(self, attribute: str) -> Condition:
        return Attribute.decided(attribute, self.schema, self.decision)

    def chosen(self, field: str) -> Condition:
        """Read what follows the name of a field: `= female`, `in (red, blue)`."""
        return self.compared(lambda operator: self.of_field(field, operator))

    def of_field(self, field: str, operator: Operator) -> Condition:
        token = self.taken()
        if token.kind not in ("name", "text"):
            self.at -= token.kind != "end"
            raise self.unexpected(f"a value of {field}")
        value = token.text.strip("'\"").lower()
        values = self.names.fields[field]
        if value not in values:
            raise InputError(f"--where: {field} is never {value!r}: {_nearest(value, values)}")
        if operator not in ("=", "!="):
            raise InputError(f"--where: {field} has no order: use = or != with it.")
        condition = values[value](self.present)
        return condition if operator == "=" else Not(condition)

    def known(self, column: str) -> Condition:
        return self.compared(lambda operator: self.of_column(column, operator))

    def of_column(self, column: str, operator: Operator) -> Condition:
        if self.now.word == "unknown" and operator in ("=", "!="):
            self.at += 1
            return Unknown(column) if operator == "=" else Not(Unknown(column))
        value = _KNOWN_COLUMNS[column](self)
        if column == "source" and operator not in ("=", "!="):
            raise InputError("--where: source has no order: use = or != with it.")
        if isinstance(value, _Day):
            return value.compared(column, operator)
        if operator == "!=":
            return Not(ColumnCondition(column, "=", value))
        return ColumnCondition(column, operator, value)

    def compared(self, single: Callable[[Operator], Condition]) -> Condition:
        """Read an operator and a value, or `in` and several values in parentheses."""
        negated = self.took("not")
        if not self.took("in"):
            if negated:
                raise self.unexpected("'in'")
            return single(self.operator())
        if not self.took("("):
            raise self.unexpected("'('")
        parts = [single("=")]
        while self.took(","):
            parts.append(single("="))
        if not self.took(")"):
            raise self.unexpected("',' or ')'")
        found: Condition = parts[0] if len(parts) == 1 else Or(tuple(parts))
        return Not(found) if negated else found

    def operator(self) -> Operator:
        if self.now.kind != "operator":
            raise self.unexpected("'=', '<', '>' or 'in'")
        text = {"==": "=", "<>": "!="}.get(self.now.text, self.now.text)
        self.at += 1
        assert text in get_args(Operator)
        return text  # type: ignore[return-value]

    def fraction(self) -> float:
        token = self.now
        if token.kind != "number" or not 0 <= float(token.text) <= 1:
            raise self.unexpected("a probability from 0 to 1")
        return float(self.taken().text)

    def whole_number(self) -> int:
        token = self.now
        if token.kind != "number" or "." in token.text or abs(int(token.text)) > _LARGEST:
            raise self.unexpected(f"a whole number up to {_LARGEST:,}")
        return int(self.taken().text)

    def moment(self) -> "datetime | _Day":
        token = self.now
        text = token.text.strip("'\"").strip()
        try:
            if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
                found: datetime | _Day = _Day(datetime.fromisoformat(text).replace(tzinfo=UTC))
            else:
                moment = datetime.fromisoformat(text)
                found = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.unexpected(
                "a date such as 2026-11-01 or a time such as 2026-11-01T08:30"
            ) from None
        self.at += 1
        return found

    def quoted_text(self) -> str:
        if self.now.kind != "text":
            raise self.unexpected("text in quotes")
        text = self.taken().text[1:-1]
        quoted(text)
        return text

    def unknown(self, token: _Token) -> InputError:
        known = [*self.names.words, *self.names.fields, *_KNOWN_COLUMNS]
        return InputError(f"--where: {token.text!r} is not known: {_nearest(token.word, known)}")


@dataclass(frozen=True)
class _Day:
    """A date without a time: all of that day, before which and after which something is."""

    start: datetime

    def compared(self, column: str, operator: Operator) -> Condition:
        if operator in ("<", ">="):
            return ColumnCondition(column, operator, self.start)
        try:
            next_day = self.start + timedelta(days=1)
        except OverflowError:
            raise InputError(f"--where: no day follows {self.start:%Y-%m-%d}.") from None
        if operator in ("<=", ">"):
            return ColumnCondition(column, "<" if operator == "<=" else ">=", next_day)
        whole = And(
            (ColumnCondition(column, ">=", self.start), ColumnCondition(column, "<", next_day))
        )
        return whole if operator == "=" else Not(whole)


_KNOWN_COLUMNS: dict[str, Callable[[_Parser], Value | _Day]] = {
    "camera": _Parser.whole_number,
    "person": _Parser.whole_number,
    "time": _Parser.moment,
    "source": _Parser.quoted_text,
}

_Made = Callable[[Callable[[str], Condition]], Condition]
"""Makes a condition, given what makes one of an attribute's name."""


@dataclass(frozen=True)
class _Names:
    """What a description may say.

    Attributes:
        words: standing alone: attributes, and what a binary field calls either of its values.
        fields: field to its values.
    """

    words: dict[str, _Made]
    fields: dict[str, dict[str, _Made]]


def _names(schema: Schema) -> _Names:
    words: dict[str, _Made] = {}
    fields: dict[str, dict[str, _Made]] = {}
    for field in schema.fields:
        if isinstance(field, Binary):
            yes, no = _present(field.column), _absent(field.column)
            values = {"yes": yes, "true": yes, "no": no, "false": no}
            for word, made in ((field.present, yes), (field.absent, no)):
                values |= {word: made, word.split()[0]: made}
                if " " not in word:
                    words.setdefault(word, made)
            words[field.column] = yes
        else:
            values = {name: _present(name) for name in field.attributes}
            words |= values
            if isinstance(field, OneOfColumns):
                for name, word in zip(field.attributes, field.words, strict=True):
                    values |= {word: _present(name), word.split()[0]: _present(name)}
        fields[field.name] = values
    return _Names(words, fields)


def _present(attribute: str) -> _Made:
    return lambda condition: condition(attribute)


def _absent(attribute: str) -> _Made:
    return lambda condition: Not(condition(attribute))


def _nearest(name: str, known: "list[str] | dict[str, _Made]") -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(dict.fromkeys(known))}."


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise InputError(
                f"--where {text!r}: {text[place:][:10]!r} cannot be read: combine conditions with "
                "and, or, not and parentheses, and put times and texts into quotes."
            )
        if match.lastgroup != "space":
            tokens.append(_Token(match.lastgroup, match.group(), place))
        place = match.end()
    return [*tokens, _Token("end", "", len(text))]
