"""A crop as it is shown: what stands on its card, in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from passerby.data.schema import Binary, Schema
from passerby.gallery import Answer
from passerby.inference.decision import Decision

_TELLING = 3
_CHIPS = 4


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
        facts: camera, time, source and person, in words.
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
        schema: names the attributes.
        decision: when one is present.
        frequencies: fraction of all people who have each attribute; empty if nobody knows.
        shows_attributes: whether the model's attributes mean anything.
    """

    def __init__(
        self,
        schema: Schema,
        decision: Decision,
        frequencies: Sequence[float],
        shows_attributes: bool,
    ) -> None:
        self._schema = schema
        self._decision = decision
        self._frequencies = frequencies or (0.5,) * len(schema)
        self._shows = shows_attributes
        self._words = dict(zip(schema.attributes, schema.words, strict=True))

    def card(self, answer: Answer, rank: int, state: str) -> Card:
        """Return the card of an answer."""
        telling = self.telling(answer.attributes)
        chips = self._chips(answer)
        camera = "camera unknown" if answer.camera is None else f"camera {answer.camera}"
        probable = answer.score if answer.distance is None else answer.probability
        return Card(
            hash=answer.hash,
            rank=rank,
            distance=answer.distance,
            percent=None if probable is None else percent(probable),
            facts=tuple(
                facts_of(
                    {
                        "camera": answer.camera,
                        "time": answer.time,
                        "source": answer.source,
                        "person": answer.person,
                    }
                )
            ),
            telling=telling,
            chips=tuple(chips[:_CHIPS]),
            hidden_chips=max(0, len(chips) - _CHIPS),
            alt=f"crop, {camera}" + (f": {', '.join(telling)}" if telling else ""),
            state=state,
        )

    def telling(self, attributes: Mapping[str, float], most: int = _TELLING) -> tuple[str, ...]:
        """Return the few attributes in words that say the most about a crop.

        An attribute says the more, the rarer it is, and the surer the model is of it.

        Args:
            attributes: to their probabilities.
            most: how many.
        """
        if not self._shows:
            return ()
        said: list[tuple[float, str]] = []
        present = self._present(attributes)
        for field, where in self._schema.placed_fields():
            names = self._schema.attributes[where]
            # of attributes that exclude each other only one can be true
            name = max(names, key=lambda name: attributes[name])
            rate = min(max(self._frequencies[self._schema.index(name)], 0.01), 0.99)
            if present[name]:
                said.append((-math.log2(rate) * attributes[name], self._words[name]))
            elif isinstance(field, Binary) and not field.absent.startswith("no "):
                said.append((-math.log2(1 - rate) * (1 - attributes[name]), field.absent))
        said.sort(key=lambda item: -item[0])
        return tuple(word for _, word in said[:most])

    def bars(self, attributes: Mapping[str, float]) -> list[Bar]:
        """Return all attributes, in the order of the schema."""
        if not self._shows:
            return []
        present = self._present(attributes)
        return [
            Bar(self._words[name], p, percent(p), present[name]) for name, p in attributes.items()
        ]

    def _frequency(self, attribute: str) -> float:
        return self._frequencies[self._schema.index(attribute)]

    def _present(self, attributes: Mapping[str, float]) -> dict[str, bool]:
        values = np.array([attributes[name] for name in self._schema.attributes], np.float32)
        labels = self._decision.labels(values[None], self._schema)[0]
        return dict(zip(self._schema.attributes, labels.tolist(), strict=True))

    def _chips(self, answer: Answer) -> list[Chip]:
        differing = [
            Chip(self._words[name], "crop", "+", "only this crop")
            if name in answer.only_crop
            else Chip(self._words[name], "query", "−", "only the query")
            for name in sorted(answer.disagree, key=self._frequency)
        ]
        agreeing = [
            Chip(self._words[name], "both", "✓", "both")
            for name in sorted(answer.agree, key=self._frequency)
        ]
        # some of each kind come first, the rarest of it
        return [*agreeing[:2], *differing[:2], *agreeing[2:], *differing[2:]]


def facts_of(known: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what is known of a crop, in words, without what is not.

    Args:
        known: camera, time, source, person and others.
    """
    facts: list[tuple[str, str]] = []
    for name in ("camera", "time", "source", "person"):
        value = known.get(name)
        if value is not None:
            text = f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else str(value)
            facts.append((name, text))
    return facts


def percent(fraction: float) -> str:
    """Return a fraction in words; what is nearly certain is not said to be."""
    if fraction < 0.01:
        return "< 1 %"
    if fraction > 0.99:
        return "> 99 %"
    return f"{100 * fraction:.0f} %"
