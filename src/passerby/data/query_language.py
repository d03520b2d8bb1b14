"""The query language, e.g. `gender = female and upred and not hat and camera in (1, "north gate")`.

An attribute stands for itself (`backpack`, quoted where it is not a plain word: `"Skirt&Dress"`),
and so do phrases of one word (`female`, `male`). Groups and attributes compare with what their
values are called (`age = young`, `upper_colour = red`, `"upper colour" = red`, `gender = female`),
attributes with a probability (`backpack > 0.8`). Columns compare with exact text (`camera = 1`,
`person = "0002"`), times with dates (UTC where no offset is given), numbers with numbers. `and`,
`or`, `not` and parentheses combine them. Within quotes their own mark is doubled.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

from passerby.data.columns import COLUMNS, QUERY_WORDS, gallery_columns
from passerby.data.conditions import (
    And,
    ColumnCondition,
    Condition,
    Not,
    Operator,
    Or,
    Present,
    Probability,
    Unknown,
    Value,
    quote,
)
from passerby.data.schema import Schema
from passerby.errors import InputError

_LONGEST = 2000
_DEEPEST = 50
_CHOOSING = ("=", "==", "!=", "<>", "in", "not")

_QUOTES = '; put a name of more than one word into quotes, like "Skirt&Dress"'

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<moment>\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?)
  | (?P<number>-?\d+(?:\.\d+)?)
  | (?P<name>[^\W\d]\w*)
  | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
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
        """A name in small letters; empty for everything else."""
        return self.text.lower() if self.kind == "name" else ""

    @property
    def content(self) -> str:
        """What stands there, without quotes."""
        if self.kind != "text":
            return self.text
        mark = self.text[0]
        return self.text[1:-1].replace(mark * 2, mark)


def parse_query(
    text: str, schema: Schema | None, present: Callable[[str], Condition] | None = None
) -> Condition:
    """Read a query.

    Args:
        text: in the language above.
        schema: names the attributes; None if there are none.
        present: makes the condition that an attribute is present, for a model's own decision
            rule; a label, or a probability of at least one half, if left out.

    Raises:
        InputError: it is not in the language; the sentence names the place, and for an unknown
            name the nearest known one.
    """
    return _Parser(text, schema, present or Present).parse()


def quote_name(name: str) -> str:
    """Return an attribute's or a group's name as a query writes it."""
    if re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in (*QUERY_WORDS, *COLUMNS):
        return name
    mark = "'" if '"' in name and "'" not in name else '"'
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


class _Parser:
    def __init__(
        self, text: str, schema: Schema | None, present: Callable[[str], Condition]
    ) -> None:
        if len(text) > _LONGEST:
            raise InputError(
                f"`where` is {len(text):,} characters long: write at most {_LONGEST:,}."
            )
        self.text = text
        self.present = present
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0
        self.columns = {column.name: column for column in gallery_columns()}
        self.names = _Names.of(schema)

    def parse(self) -> Condition:
        if self.tokens[0].kind == "end":
            raise InputError("`where` is empty: describe whom you look for, or leave it out.")
        found = self.either()
        if self.now.kind != "end":
            raise self.unexpected("'and', 'or' or the end", hint=_QUOTES)
        return found

    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.now
        self.at += token.kind != "end"
        return token

    def skip(self, *texts: str) -> bool:
        """Step over the next token if it is one of these."""
        if self.now.kind != "text" and self.now.text.lower() in texts:
            self.at += 1
            return True
        return False

    def unexpected(self, wanted: str, hint: str = "") -> InputError:
        where = (
            "at its end" if self.now.kind == "end" else f"at {self.text[self.now.place :][:20]!r}"
        )
        return InputError(f"`where` {self.text!r}: {wanted} is expected {where}{hint}.")

    def either(self) -> Condition:
        parts = [self.all()]
        while self.skip("or"):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def all(self) -> Condition:
        parts = [self.one()]
        while self.skip("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def one(self) -> Condition:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise InputError(f"`where` is nested more than {_DEEPEST} times: write it simpler.")
        try:
            if self.skip("not"):
                return Not(self.one())
            if self.skip("("):
                inner = self.either()
                if not self.skip(")"):
                    raise self.unexpected("')'")
                return inner
            if self.now.kind not in ("name", "text") or self.now.word in ("and", "or", "in"):
                raise self.unexpected(f"an attribute or {_list(self.columns)}")
            return self.named(self.take())
        finally:
            self.depth -= 1

    def named(self, token: _Token) -> Condition:
        if token.kind == "name" and token.word in self.columns:
            return self.compared(lambda operator: self.of_column(token.word, operator))
        names = self.names
        attribute = names.attribute(token.content)
        field = names.field(token.content)
        # a field that is its only attribute: `hat`, `hat = yes`, `hat > 0.8`
        if field is not None and (attribute is None or self.now.text.lower() in _CHOOSING):
            return self.compared(lambda operator: self.of_field(field, operator))
        if attribute is not None:
            if self.now.kind == "operator":
                return Probability(attribute, self.operator(), self.fraction())
            return self.present(attribute)
        phrase = names.phrases.get(token.content.lower())
        if phrase is not None:
            if self.now.kind == "operator":
                raise InputError(
                    f"`where`: {token.content} stands for itself: leave out what follows it, or "
                    f"compare the attribute {phrase[0]} with a probability."
                )
            return self.value(phrase)
        raise self.unknown(token)

    def value(self, value: "tuple[str, bool]") -> Condition:
        attribute, holds = value
        condition = self.present(attribute)
        return condition if holds else Not(condition)

    def of_field(self, field: str, operator: Operator) -> Condition:
        token = self.take()
        if token.kind not in ("name", "text", "number"):
            self.at -= token.kind != "end"
            raise self.unexpected(f"a value of {field}")
        values = self.names.fields[field]
        value = values.get(token.content) or values.get(token.content.lower())
        attribute = self.names.attribute(field)
        if value is None and attribute and operator not in ("=", "!=") and token.kind == "number":
            self.at -= 1
            return Probability(attribute, operator, self.fraction())
        if operator not in ("=", "!="):
            raise InputError(f"`where`: {field} has no order: use = or != with it.")
        if value is None:
            raise InputError(
                f"`where`: {field} is never {token.content!r}: {_nearest(token.content, values)}"
            )
        condition = self.value(value)
        return condition if operator == "=" else Not(condition)

    def of_column(self, column: str, operator: Operator) -> Condition:
        if self.now.word == "unknown" and operator in ("=", "!="):
            self.at += 1
            return Unknown(column) if operator == "=" else Not(Unknown(column))
        kind = self.columns[column].kind.name
        if kind == "box":
            raise InputError(
                f"`where`: {column} can only be unknown or not: say {column} = unknown."
            )
        if kind == "text" and operator not in ("=", "!="):
            raise InputError(f"`where`: {column} has no order: use = or != with it.")
        readers: dict[str, Callable[[], Value | _Day]] = {
            "text": self.exact_text,
            "time": self.moment,
            "number": self.number,
        }
        value = readers[kind]()
        if isinstance(value, _Day):
            return value.compared(column, operator)
        if operator == "!=":
            return Not(ColumnCondition(column, "=", value))
        return ColumnCondition(column, operator, value)

    def compared(self, single: Callable[[Operator], Condition]) -> Condition:
        """Read an operator and a value, or `in` and several values in parentheses."""
        negated = self.skip("not")
        if not self.skip("in"):
            if negated:
                raise self.unexpected("'in'")
            return single(self.operator())
        if not self.skip("("):
            raise self.unexpected("'('")
        parts = [single("=")]
        while self.skip(","):
            parts.append(single("="))
        if not self.skip(")"):
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
        return float(self.take().text)

    def number(self) -> float:
        if self.now.kind != "number":
            raise self.unexpected("a number")
        return float(self.take().text)

    def moment(self) -> "datetime | _Day":
        text = self.now.content.strip()
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

    def exact_text(self) -> str:
        if self.now.kind not in ("text", "name", "number", "moment"):
            raise self.unexpected("a name, in quotes if it is not one word")
        text = self.take().content
        quote(text)
        return text

    def unknown(self, token: _Token) -> InputError:
        known = [*self.names.words, *self.columns]
        return InputError(
            f"`where`: {token.content!r} is not known: {_nearest(token.content, known)}"
        )


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
            raise InputError(f"`where`: no day follows {self.start:%Y-%m-%d}.") from None
        if operator in ("<=", ">"):
            return ColumnCondition(column, "<" if operator == "<=" else ">=", next_day)
        whole = And(
            (ColumnCondition(column, ">=", self.start), ColumnCondition(column, "<", next_day))
        )
        return whole if operator == "=" else Not(whole)


@dataclass(frozen=True)
class _Names:
    """What a query may say of attributes.

    Attributes:
        attributes: name, as it is and in small letters, to the name.
        fields: name of a single attribute or of a group to what its values are called: the
            attribute that decides, and whether it holds.
        phrases: phrases in small letters, likewise.
        groups: other spellings of a field's name, in small letters, to the name.
    """

    attributes: dict[str, str]
    fields: dict[str, dict[str, tuple[str, bool]]]
    phrases: dict[str, tuple[str, bool]]
    groups: dict[str, str]

    @classmethod
    def of(cls, schema: Schema | None) -> "_Names":
        names = cls({}, {}, {}, {})
        for field in () if schema is None else schema.fields:
            members = () if schema is None else schema.attributes[field.place]
            values: dict[str, tuple[str, bool]] = {}
            for attribute in members:
                names.attributes.setdefault(attribute.name.lower(), attribute.name)
                names.attributes[attribute.name] = attribute.name
                told = [(attribute.name, True), (attribute.phrase, True)]
                if not field.exclusive:
                    told += [(attribute.absent, False), ("yes", True), ("true", True)]
                    told += [("no", False), ("false", False), ("1", True), ("0", False)]
                for word, holds in told:
                    values.setdefault(word.lower(), (attribute.name, holds))
                for word, holds in told[: 2 + (not field.exclusive)]:
                    first = word.lower().split()[0]
                    if first not in ("no", "not"):
                        values.setdefault(first, (attribute.name, holds))
                for word, holds in ((attribute.phrase, True), (attribute.absent, False)):
                    names.phrases.setdefault(word.lower(), (attribute.name, holds))
            names.fields[field.name] = values
            names.groups.setdefault(field.name.lower(), field.name)
            names.groups.setdefault(field.name.lower().replace(" ", "_"), field.name)
        return names

    def attribute(self, name: str) -> str | None:
        """Return the attribute of a name; exactly as written first, then in any letters."""
        return self.attributes.get(name) or self.attributes.get(name.lower())

    def field(self, name: str) -> str | None:
        return name if name in self.fields else self.groups.get(name.lower())

    @property
    def words(self) -> list[str]:
        names = dict.fromkeys(self.attributes.values())
        lower = {name.lower() for name in names}
        others = [word for word in (*self.phrases, *self.groups) if word not in lower]
        return [quote_name(word) for word in dict.fromkeys((*names, *others))]


def _list(columns: Mapping[str, object]) -> str:
    names = list(columns)
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(dict.fromkeys(known))
    plain = {known.strip("\"'").lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), plain, n=1, cutoff=0.6)
    if near:
        found = plain[near[0]]
        quoted = found if found[0] in "\"'" else f"'{found}'"
        return f"did you mean {quoted}?"
    return f"known are {', '.join(names)}."


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise InputError(
                f"`where` {text!r}: {text[place:][:10]!r} cannot be read: combine conditions with "
                "and, or, not and parentheses, and put times, texts and names of more than one "
                "word into quotes."
            )
        if match.lastgroup != "space":
            tokens.append(_Token(match.lastgroup, match.group(), place))
        place = match.end()
    return [*tokens, _Token("end", "", len(text))]
