"""The matcher: a distance with its calibration, which ranks and turns distances into meaning."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from passerby.calibration.answer_rule import AnswerRule
from passerby.calibration.answer_sets import find_answer_sets
from passerby.calibration.calibration import Calibration
from passerby.calibration.identity_pooling import pool_attributes
from passerby.errors import InputError
from passerby.inference.embeddings import Embeddings
from passerby.inference.model_info import ModelInfo
from passerby.ranking.distance import FEATURES, INSTEAD_OF_COSINE, KINDS, METRICS, Distance
from passerby.ranking.rank import rank
from passerby.ranking.ranking import Ranking


class Matcher(BaseModel):
    """A distance and what it means.

    Attributes:
        distance: between crops.
        calibration: of the distance; None if it was never measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    distance: Distance
    calibration: Calibration | None = None

    def rank(
        self,
        queries: Embeddings,
        gallery: Embeddings,
        *,
        top_k: int | None = None,
        within: float | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Ranking:
        """Rank a gallery for each query; see `passerby.ranking.rank`."""
        return rank(queries, gallery, self.distance, top_k=top_k, within=within, progress=progress)

    def threshold(self, rule: AnswerRule, gallery_size: int) -> float | None:
        """Return the largest distance of an answer in a gallery of so many crops.

        Raises:
            InputError: the rule needs a calibration and there is none.
        """
        return rule.threshold(self.calibration, gallery_size)

    def find_answer_sets(
        self,
        queries: Embeddings,
        gallery: Embeddings,
        rule: AnswerRule | None = None,
        *,
        leave_out_copies: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Ranking:
        """Return the answer set of each query.

        Args:
            queries, gallery: embedded with one model.
            rule: where the sets are cut; the best expected F2 if left out.
            leave_out_copies: a gallery crop that is the query's file, byte for byte, is not an
                answer.
            progress: called with (queries done, all queries).

        Raises:
            InputError: they cannot be compared, or the rule needs a calibration.
        """
        rule = rule or AnswerRule()
        return find_answer_sets(
            queries,
            gallery,
            self.distance,
            rule,
            self.threshold(rule, len(gallery)),
            leave_out_copies=leave_out_copies,
            progress=progress,
        )

    def probability(
        self, distances: NDArray[np.floating], gallery_size: int
    ) -> NDArray[np.float64]:
        """Return the probability that crops so far apart show the same person.

        Raises:
            InputError: there is no calibration.
        """
        return self._known().probability(distances, gallery_size)

    def pool(self, people: Embeddings) -> Embeddings:
        """Average attributes over crops that probably show one person; see `pool_attributes`.

        Raises:
            InputError: there is no calibration.
        """
        return pool_attributes(people, self.distance, self._known())

    def _known(self) -> Calibration:
        if self.calibration is None:
            raise InputError(
                f"The distance {self.distance.name} is not calibrated, so probabilities are not "
                "known: calibrate the model."
            )
        return self.calibration


_MATCHERS = TypeAdapter(tuple[Matcher, ...])


def read_matchers(info: ModelInfo) -> tuple[Matcher, ...]:
    """Return a model's calibrated distances, the best first; none if it was never calibrated.

    Raises:
        InputError: that part of `model.json` is damaged.
    """
    try:
        found = _MATCHERS.validate_python(info.distances)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("distances", *first["loc"]))
        raise InputError(
            f"model.json: {key}: {first['msg']}: it is damaged; calibrate the model again."
        ) from None
    for number, matcher in enumerate(found):
        if matcher.calibration is None:
            raise InputError(
                f"model.json: distances.{number}.calibration: Field required: it is damaged; "
                "calibrate the model again."
            )
    return found


def choose_matcher(
    info: ModelInfo,
    features: str | None = None,
    metric: str | None = None,
    kind: str | None = None,
) -> Matcher:
    """Return the distance that a user asks for, with its calibration if the model has it.

    Args:
        info: of the model.
        features, metric, kind: of the distance; what is left out is the model's best choice.

    Raises:
        InputError: there is no such distance, or the model has none.
    """
    if metric == "cosine":
        raise InputError(INSTEAD_OF_COSINE)
    for name, wanted, choices in (
        ("features", features, FEATURES),
        ("metric", metric, METRICS),
        ("kind", kind, KINDS),
    ):
        if wanted is not None and wanted not in choices:
            raise InputError(f"`{name}` is {wanted!r}: choose from {', '.join(choices)}.")
    answers = "attributes" in info.tasks and info.schema_ is not None
    if not answers and features not in (None, "embedding"):
        raise InputError(
            f"The model was not trained on attributes, so it has no {features} to compare: leave "
            "out `features`, or choose embedding."
        )
    known = read_matchers(info)
    for matcher in known:
        distance = matcher.distance
        asked = ((features, distance.features), (metric, distance.metric), (kind, distance.kind))
        if all(wanted in (None, found) for wanted, found in asked):
            return matcher
    if kind in ("weighted", "learned"):
        raise InputError(
            f"The model has no {kind} distance of that sort: calibrate it, or choose from "
            f"{_names(known)}."
        )
    if features is None:
        features = "embedding" if "identity" in info.tasks else "logits"
    plain = {"features": features, "metric": metric or "normalized_euclidean"}
    return Matcher(distance=Distance.model_validate(plain))


def _names(known: Sequence[Matcher]) -> str:
    return ", ".join(matcher.distance.name for matcher in known) or "the plain ones"
