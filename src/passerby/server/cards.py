"""A crop as it is shown: what stands on its card, in words."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from passerby.data.columns import Column, gallery_columns
from passerby.data.schema import Schema
from passerby.gallery import Answer
from passerby.inference.decision import Decision

_TELLING = 3
_CHIPS = 4
_NAMED_FIRST = ("camera", "time", "source", "person")
"""What people look for first of all that is known of a crop."""

_TELLS_NOTHING = ("no ", "not ")
"""What is absent says little, if nothing else is there in its place, such as short sleeves."""


@dataclass(frozen=True)
class Chip:
    """An attribute that a crop shares with the query, or not.

    Attributes:
        text: the attribute in words.
        kind: "both", "crop" (the query does not have it) or "query" (the crop does not).
        sign: a mark that tells the kinds apart without colours.
        meaning: the kind in words.
    """

    text: str
    kind: str
    sign: str
    meaning: str


@dataclass(frozen=True)
class Card:
    """One answer on the page.

    Attributes:
        hash: of the crop.
        rank: 1 for the first.
        distance: to the query; None without a query image.
        percent: how probable it is that it is the same person, or, without a query image, that
            the description fits; None if nothing is known of either.
        facts: what is known of it, in words.
        telling: the attributes that say the most.
        chips: what it shares with the query, and what it does not.
        hidden_chips: how many more there are.
        alt: what the picture shows.
        state: "within" the threshold, "beyond" it, or so far beyond that it is "hidden".
    """

    hash: str
    rank: int
    distance: float | None
    percent: str | None
    facts: tuple[tuple[str, str], ...]
    telling: tuple[str, ...]
    chips: tuple[Chip, ...]
    hidden_chips: int
    alt: str
    state: str


@dataclass(frozen=True)
class Bar:
    """One attribute of a crop.

    Attributes:
        word: what it is called.
        probability: of it.
        percent: the same in words.
        present: whether it counts as present.
    """

    word: str
    probability: float
    percent: str
    present: bool


class CardMaker:
    """Makes cards of one gallery's crops.

    Args:
        schema: names the attributes; None if the model answers none.
        decision: when one is present.
        frequencies: fraction of all people who have each attribute; empty if nobody knows.
    """

    def __init__(
        self, schema: Schema | None, decision: Decision, frequencies: Sequence[float]
    ) -> None:
        self._schema = schema
        self._decision = decision
        names, phrases = ((), ()) if schema is None else (schema.names, schema.phrases)
        rates = frequencies or (0.5,) * len(names)
        self._frequencies = dict(zip(names, rates, strict=True))
        self._words = dict(zip(names, phrases, strict=True))

    def card(self, answer: Answer, rank: int, state: str) -> Card:
        """Return the card of an answer."""
        telling = self.telling(answer.attributes)
        chips = self._chips(answer)
        camera = answer.known.get("camera")
        taken = "camera unknown" if camera is None else f"camera {camera}"
        probable = answer.score if answer.distance is None else answer.probability
        return Card(
            hash=answer.hash,
            rank=rank,
            distance=answer.distance,
            percent=None if probable is None else percent(probable),
            facts=tuple(facts_of(answer.known)),
            telling=telling,
            chips=tuple(chips[:_CHIPS]),
            hidden_chips=max(0, len(chips) - _CHIPS),
            alt=f"crop, {taken}" + (f": {', '.join(telling)}" if telling else ""),
            state=state,
        )

    def telling(self, attributes: Mapping[str, float], most: int = _TELLING) -> tuple[str, ...]:
        """Return the few attributes in words that say the most about a crop.

        An attribute says the more, the rarer it is, and the surer the model is of it.

        Args:
            attributes: to their probabilities.
            most: how many.
        """
        if self._schema is None:
            return ()
        said: list[tuple[float, str]] = []
        present = self._present(self._schema, attributes)
        for field in self._schema.fields:
            members = self._schema.attributes[field.place]
            # of attributes that exclude each other only one can be true
            best = max(members, key=lambda member: attributes[member.name])
            rate = min(max(self._frequencies[best.name], 0.01), 0.99)
            probability = attributes[best.name]
            if present[best.name]:
                said.append((-math.log2(rate) * probability, best.phrase))
            elif not field.exclusive and not best.absent.startswith(_TELLS_NOTHING):
                said.append((-math.log2(1 - rate) * (1 - probability), best.absent))
        said.sort(key=lambda item: -item[0])
        return tuple(word for _, word in said[:most])

    def bars(self, attributes: Mapping[str, float]) -> list[Bar]:
        """Return all attributes, in the order of the schema."""
        if self._schema is None:
            return []
        present = self._present(self._schema, attributes)
        return [
            Bar(self._words[name], p, percent(p), present[name]) for name, p in attributes.items()
        ]

    def _present(self, schema: Schema, attributes: Mapping[str, float]) -> dict[str, bool]:
        values = np.array([attributes[name] for name in schema.names], np.float32)
        labels = self._decision.labels(values[None], schema)[0]
        return dict(zip(schema.names, labels.tolist(), strict=True))

    def _chips(self, answer: Answer) -> list[Chip]:
        differing = [
            Chip(self._words[name], "crop", "+", "only this crop")
            if name in answer.only_crop
            else Chip(self._words[name], "query", "−", "only the query")
            for name in sorted(answer.disagree, key=self._frequencies.__getitem__)
        ]
        agreeing = [
            Chip(self._words[name], "both", "✓", "both")
            for name in sorted(answer.agree, key=self._frequencies.__getitem__)
        ]
        # some of each kind come first, the rarest of it
        return [*agreeing[:2], *differing[:2], *agreeing[2:], *differing[2:]]


def facts_of(known: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what is known of a crop, in words, without what is not.

    Args:
        known: the columns of a gallery to their values; others are passed over.
    """
    columns = {column.name: column for column in gallery_columns()}
    return [
        (name.replace("_", " "), _in_words(columns[name], known[name]))
        for name in sort_facts(columns)
        if known.get(name) is not None
    ]


def sort_facts(names: Iterable[str]) -> list[str]:
    """Return names of columns in the order in which pages show them."""
    names = list(names)
    first = [name for name in _NAMED_FIRST if name in names]
    return first + [name for name in names if name not in first]


def _in_words(column: Column, value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return column.kind.format(value)


def percent(fraction: float) -> str:
    """Return a fraction in words; what is nearly certain is not said to be."""
    if fraction < 0.01:
        return "< 1 %"
    if fraction > 0.99:
        return "> 99 %"
    return f"{100 * fraction:.0f} %"
