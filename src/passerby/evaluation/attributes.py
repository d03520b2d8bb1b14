"""Attribute metrics: label-based, instance-based, and the official twelve of Market-1501.

Label-based figures are computed for each attribute over all crops and then averaged over the
attributes (macro average). Instance-based ones are computed for each crop over its attributes
(Li et al., "A Richly Annotated Dataset for Pedestrian Attribute Recognition", 2016). Labels that
are unknown count nowhere. Intervals come from resampling *persons*: crops of one person are far
from independent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import NOBODY_CODE, Crops, owners
from passerby.data.schema import Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES, OFFICIAL_COLOURS
from passerby.errors import InputError
from passerby.evaluation.bootstrap import interval, weight_blocks
from passerby.inference.decision import Decision
from passerby.inference.embeddings import Embeddings

Array = NDArray[np.float64]

LABEL_BASED = ("precision", "recall", "f1", "ma", "accuracy", "gain")
INSTANCE_BASED = ("accuracy", "precision", "recall", "f1")

_PRESENT = 0.5
"""From this label on an attribute counts as present; NaN is neither present nor absent."""


@dataclass(frozen=True)
class AttributeReport:
    """What the metrics say about one set of crops; fractions between 0 and 1.

    Attributes:
        decision: name of the decision rule.
        crops: how many were scored: those with a known label.
        persons: how many known ones they show; None where nobody is known.
        macro: averages of the label-based figures over all attributes with a known label, an
            undefined term counted as 0 (the course report's convention).
        defined: the same over the defined attributes only.
        undefined: attributes that no scored crop, or every one whose label is known, has.
        unknown: attributes without a known label: they are in no average.
        known: attribute to the number of crops whose label is known; the others do not count.
        instance: instance-based figures.
        official12: mean accuracy over the twelve attributes of Market-1501's official script:
            the most probable of the real colours; a person without a colour is never right. None
            for other schemas, and where a label is unknown.
        official12_multicolor: the same with "multicolor" as one more colour.
        per_attribute: attribute to its label-based figures, None for those that are undefined
            (all but accuracy, if nobody or everybody has the attribute), `positives`, the
            fraction of crops that have it, and `known`, how many labels are known.
        intervals: 95 % intervals, low and high, of the figures of the same names in `macro`,
            `defined`, `instance` and for the official ones; empty without resampling.
    """

    decision: str
    crops: int
    persons: int | None
    macro: Mapping[str, float]
    defined: Mapping[str, float]
    undefined: tuple[str, ...]
    unknown: tuple[str, ...]
    known: Mapping[str, int]
    instance: Mapping[str, float]
    official12: float | None
    official12_multicolor: float | None
    per_attribute: Mapping[str, Mapping[str, float | None]]
    intervals: Mapping[str, tuple[float, float]]

    @property
    def groups(self) -> dict[str, Mapping[str, float]]:
        """The averaged figures by group, as the names of `intervals` begin."""
        groups = {"macro": self.macro, "defined": self.defined, "instance": self.instance}
        if self.official12 is None or self.official12_multicolor is None:
            return groups
        official = {
            "official12": self.official12,
            "official12_multicolor": self.official12_multicolor,
        }
        return {**groups, "official": official}

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `passerby evaluate --json` prints of attributes."""
        return {
            "decision": self.decision,
            "crops": self.crops,
            "persons": self.persons,
            **self._with_intervals("macro", self.macro),
            "defined": self._with_intervals("defined", self.defined),
            "undefined": list(self.undefined),
            "unknown": list(self.unknown),
            "known": dict(self.known),
            "instance": self._with_intervals("instance", self.instance),
            **self._with_intervals("official", self.groups.get("official", {})),
            "per_attribute": {name: dict(values) for name, values in self.per_attribute.items()},
        }

    def _with_intervals(self, group: str, values: Mapping[str, float]) -> dict[str, Any]:
        intervals = {
            f"{name}_ci": list(self.intervals[f"{group}.{name}"])
            for name in values
            if f"{group}.{name}" in self.intervals
        }
        return {**values, **intervals}


def evaluate_attributes(
    embeddings: Embeddings,
    decision: Decision | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> AttributeReport:
    """Score a model's attributes against labels; unknown ones do not count.

    Crops of distractors and junk are left out. Persons are resampled for the intervals; a crop
    whose person is unknown counts as one of its own. A label between 0 and 1, such as the mean of
    a track, counts as present from one half on.

    Args:
        embeddings: of annotated crops.
        decision: turns probabilities into labels; group argmax if left out.
        resamples: bootstrap samples for the intervals; 0 for none.
        seed: of the bootstrap.

    Raises:
        InputError: the crops have no labels, or those of other attributes than the model's, none
            shows a real person, or a probability is not a number.
    """
    decision = decision or Decision()
    crops, schema = embeddings.crops, embeddings.schema
    if crops.labels is None:
        raise InputError("These crops have no attribute annotations to score against: add them.")
    probabilities = embeddings.known_attributes
    assert schema is not None
    if crops.schema != schema:
        raise InputError(
            "The labels are of other attributes than the model's: map them to its schema first."
        )
    owner = owners(crops)
    real = (owner >= 0) & ~np.isnan(crops.labels).all(axis=1)
    if not real.any():
        raise InputError("There is no crop of an annotated person to score: add annotated crops.")
    if not np.isfinite(probabilities).all():
        raise InputError("The model answers NaN for some crops: its weights are damaged.")
    probabilities, labels, owner = probabilities[real], crops.labels[real], owner[real]
    answers = decision.labels(probabilities, schema)
    tallies = _Tallies.of_owners(probabilities, answers, labels, owner, schema)

    once = tallies.weighted(np.ones((1, tallies.owners)))
    figures = {name: float(value[0]) for name, value in _summary(once).items()}
    scores = _label_scores(once.confusion)
    defined = _defined(once.confusion)[0]
    known = (~np.isnan(labels)).sum(axis=0)
    some = known > 0
    names = np.array(schema.names)
    yes = labels >= _PRESENT
    return AttributeReport(
        decision=decision.rule,
        crops=len(labels),
        persons=_count_persons(embeddings.crops[real]),
        macro=_part(figures, "macro"),
        defined=_part(figures, "defined"),
        undefined=tuple(names[~defined & some].tolist()),
        unknown=tuple(names[~some].tolist()),
        known=dict(zip(schema.names, known.tolist(), strict=True)),
        instance=_part(figures, "instance"),
        official12=figures.get("official.official12"),
        official12_multicolor=figures.get("official.official12_multicolor"),
        per_attribute={
            name: {
                **{
                    score: float(scores[score][0, i])
                    if defined[i] or (score == "accuracy" and some[i])
                    else None
                    for score in LABEL_BASED
                },
                "positives": float(yes[:, i].sum() / known[i]) if some[i] else None,
                "known": int(known[i]),
            }
            for i, name in enumerate(schema.names)
        },
        intervals=_intervals(tallies, resamples, seed),
    )


def _count_persons(crops: Crops) -> int | None:
    if crops.person is None:
        return None
    codes = crops.person_codes
    return len(np.unique(codes[codes > NOBODY_CODE])) or None


@dataclass(frozen=True)
class _Tallies:
    """Sums over the crops of each person (or over resampled persons): enough for every figure.

    A crop whose person is unknown is a person here.

    Attributes:
        confusion: true positives, false positives, false negatives and true negatives,
            shape (persons, attributes, 4).
        instance: sums over crops of accuracy, precision and recall, shape (persons, 3).
        official: right answers for the twelve attributes, without and with multicolor,
            shape (persons, 12, 2); (persons, 0, 2) where these are not defined.
        crops: shape (persons,).
    """

    confusion: Array
    instance: Array
    official: Array
    crops: Array

    @property
    def owners(self) -> int:
        return len(self.crops)

    @classmethod
    def of_owners(
        cls,
        probabilities: NDArray[np.floating],
        answers: NDArray[np.bool_],
        labels: NDArray[np.float32],
        owner: NDArray[np.int64],
        schema: Schema,
    ) -> "_Tallies":
        ids, owner = np.unique(owner, return_inverse=True)

        def summed(values: NDArray) -> Array:
            sums = np.zeros((len(ids), *values.shape[1:]))
            np.add.at(sums, owner, values)
            return sums

        yes, no = labels >= _PRESENT, labels < _PRESENT
        outcomes = (answers & yes, answers & no, ~answers & yes, ~answers & no)
        return cls(
            confusion=summed(np.stack(outcomes, axis=2)),
            instance=summed(_instance_scores(answers & (yes | no), yes)),
            official=summed(_official_hits(probabilities, answers, labels, schema)),
            crops=summed(np.ones(len(labels))),
        )

    def weighted(self, weights: Array) -> "_Tallies":
        """Count each person as often as `weights`, shape (samples, persons), says."""
        return _Tallies(
            *(
                np.tensordot(weights, values, axes=1)
                for values in (self.confusion, self.instance, self.official, self.crops)
            )
        )


def _instance_scores(answers: NDArray[np.bool_], labels: NDArray[np.bool_]) -> Array:
    """Return accuracy, precision and recall of each crop, shape (N, 3); 0 for 0 / 0."""
    both = (answers & labels).sum(axis=1)
    return np.stack(
        [
            _ratio(both, (answers | labels).sum(axis=1)),
            _ratio(both, answers.sum(axis=1)),
            _ratio(both, labels.sum(axis=1)),
        ],
        axis=1,
    )


def _official_hits(
    probabilities: NDArray[np.floating],
    answers: NDArray[np.bool_],
    labels: NDArray[np.float32],
    schema: Schema,
) -> NDArray[np.bool_]:
    """Return which fields are right, shape (N, fields, 2): without and with multicolor."""
    if schema != MARKET1501_ATTRIBUTES or np.isnan(labels).any():
        return np.zeros((len(labels), 0, 2), np.bool_)
    hits = []
    rows = np.arange(len(labels))
    for field in schema.fields:
        wanted = labels[:, field.place] >= _PRESENT
        with_last = wanted[rows, probabilities[:, field.place].argmax(axis=1)]
        if field.name in OFFICIAL_COLOURS:
            real = probabilities[:, field.place][:, :-1].argmax(axis=1)
            hits.append(np.stack([wanted[rows, real], with_last], axis=1))
        elif field.exclusive:
            hits.append(np.stack([with_last, with_last], axis=1))
        else:
            right = (answers[:, field.place] == wanted)[:, 0]
            hits.append(np.stack([right, right], axis=1))
    return np.stack(hits, axis=1)


def _label_scores(confusion: Array) -> dict[str, Array]:
    """Return the label-based figures, each of shape (..., attributes)."""
    tp, fp, fn, tn = np.moveaxis(confusion, -1, 0)
    total = tp + fp + fn + tn
    recall = _ratio(tp, tp + fn)
    accuracy = _ratio(tp + tn, total)
    return {
        "precision": _ratio(tp, tp + fp),
        "recall": recall,
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "ma": (recall + _ratio(tn, tn + fp)) / 2,
        "accuracy": accuracy,
        "gain": accuracy - _ratio(np.maximum(tp + fn, tn + fp), total),
    }


def _defined(confusion: Array) -> NDArray[np.bool_]:
    tp, fp, fn, tn = np.moveaxis(confusion, -1, 0)
    return (tp + fn > 0) & (tn + fp > 0)


def _known(confusion: Array) -> NDArray[np.bool_]:
    return confusion.sum(axis=-1) > 0


def _summary(tallies: _Tallies, at_first: Array | None = None) -> dict[str, Array]:
    """Return every averaged figure, each of shape (samples,).

    Resampling may lose everyone who has an attribute, or whose label is known. That says nothing
    about the attribute, so one that was defined (or known) before counts in the sample as the
    average of those that still are.

    Args:
        tallies: of the samples.
        at_first: the confusion before resampling, shape (1, attributes, 4).
    """
    scores = _label_scores(tallies.confusion)
    defined, known = _defined(tallies.confusion), _known(tallies.confusion)
    averages = {
        name: _ratio((values * defined).sum(axis=-1), defined.sum(axis=-1))
        for name, values in scores.items()
    }
    # of an attribute without a known label nothing can be said
    some = known[0]
    if at_first is not None:
        some = _known(at_first)[0]
        lost = (_defined(at_first) & ~defined) | (some & ~known)
        scores = {
            name: np.where(lost, averages[name][..., None], values)
            for name, values in scores.items()
        }
    accuracy, precision, recall = (tallies.instance / tallies.crops[:, None]).T
    figures = {
        **{f"macro.{name}": _mean_of(values, some) for name, values in scores.items()},
        **{f"defined.{name}": values for name, values in averages.items()},
        "instance.accuracy": accuracy,
        "instance.precision": precision,
        "instance.recall": recall,
        "instance.f1": _ratio(2 * precision * recall, precision + recall),
    }
    if tallies.official.shape[1]:
        official = (tallies.official / tallies.crops[:, None, None]).mean(axis=1)
        figures["official.official12"] = official[:, 0]
        figures["official.official12_multicolor"] = official[:, 1]
    return figures


def _mean_of(values: Array, chosen: NDArray[np.bool_]) -> Array:
    # a copy of all columns would be added up in another order
    return (values if chosen.all() else values[:, chosen]).mean(axis=-1)


def _intervals(tallies: _Tallies, resamples: int, seed: int) -> dict[str, tuple[float, float]]:
    if not resamples:
        return {}
    once = tallies.weighted(np.ones((1, tallies.owners))).confusion
    samples = [
        _summary(tallies.weighted(weights.astype(np.float64)), once)
        for weights in weight_blocks(tallies.owners, resamples, seed)
    ]
    figures = {name: np.concatenate([part[name] for part in samples]) for name in samples[0]}
    return {name: tuple(interval(values).tolist()) for name, values in figures.items()}


def _part(metrics: Mapping[str, float], group: str) -> dict[str, float]:
    prefix = f"{group}."
    return {n.removeprefix(prefix): v for n, v in metrics.items() if n.startswith(prefix)}


def _ratio(part: NDArray, whole: NDArray) -> Array:
    """Divide; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole), np.float64), where=whole > 0)
