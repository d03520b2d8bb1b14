"""A search as the page shows it: its answers, and the nearest crops beyond the threshold."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passerby.calibration.answer_rule import AnswerRule
from passerby.calibration.calibration import Calibration
from passerby.gallery import Answer
from passerby.gallery.preparing import PreparedCrop
from passerby.server.cards import Card, CardMaker
from passerby.server.service import Service

PAGE = 96
"""Crops of a page, within the threshold or beyond it."""

MOST = 5 * PAGE
BEYOND = 12
"""Crops shown beyond the threshold."""

_BETA = 2.0
"""Recall counts twice as much as precision: rather take a wrong crop than lose a right one."""

_SEEN = 8
_STEPS = 200


@dataclass(frozen=True)
class Asked:
    """What the search page asked for.

    Attributes:
        crops: uploaded, of one person.
        remarks: what does not look like a crop of one, in sentences.
        like: hashes of crops of the gallery, instead.
        where: a description.
        most: crops to show.
        reason: for the audit log.
        who: for the audit log.
    """

    crops: Sequence[PreparedCrop]
    remarks: Sequence[str]
    like: Sequence[str]
    where: str | None
    most: int
    reason: str | None
    who: str


@dataclass(frozen=True)
class Slider:
    """What moves the threshold.

    Attributes:
        low, high: distances that it moves between.
        start: where it stands first.
        curve: JSON: at some distances, how probable the same person is there, which fraction of
            the person's crops is found up to there, and which fraction of all others; empty
            if the model is not calibrated.
    """

    low: float
    high: float
    start: float
    curve: str


@dataclass(frozen=True)
class Results:
    """What the page shows.

    Attributes:
        cards: in order.
        within: how many are within the threshold.
        searched: from how many crops they were chosen.
        exact: whether all of those were looked at.
        slider: None if there is no query image or no answer.
        calibrated: whether probabilities are known.
        pictures: of the query, as data URIs.
        remarks: what does not look like a crop of one person, in sentences.
        like: hashes of the query.
        seen: what the model sees on the query, in words.
        where: the description.
        next_page: how many crops to ask for to see more; None if there are no more.
    """

    cards: Sequence[Card]
    within: int
    searched: int
    exact: bool
    slider: Slider | None
    calibrated: bool
    pictures: Sequence[str]
    remarks: Sequence[str]
    like: Sequence[str]
    seen: Sequence[str]
    where: str | None
    next_page: int | None


def search_page_results(service: Service, maker: CardMaker, asked: Asked) -> Results:
    """Search, and split what is found at the threshold with the best expected F2.

    Args:
        service: whose gallery is searched.
        maker: of cards.
        asked: for whom.

    Raises:
        InputError: see `Gallery.search`.
    """
    found = service.search(
        asked.crops,
        asked.where,
        AnswerRule("top_k", asked.most),
        like=asked.like,
        reason=asked.reason,
        who=asked.who,
    )
    calibration = service.gallery.settings.calibration
    threshold = None
    if calibration is not None and found.searched:
        threshold = calibration.threshold_for_f_beta(_BETA, found.searched)
    within = _within(found.answers, threshold)
    cards = [
        maker.card(answer, number + 1, _state(number, within))
        for number, answer in enumerate(found.answers)
    ]
    more = len(cards) == asked.most < MOST
    return Results(
        cards=cards,
        within=within,
        searched=found.searched,
        exact=found.exact,
        slider=_slider(found.answers, threshold, calibration, found.searched),
        calibrated=calibration is not None,
        pictures=[_picture(crop) for crop in asked.crops if crop.thumbnail],
        remarks=asked.remarks,
        like=asked.like,
        seen=_seen(service, maker, asked),
        where=asked.where,
        next_page=min(MOST, asked.most + PAGE) if more else None,
    )


def _within(answers: Sequence[Answer], threshold: float | None) -> int:
    """Return how many are within the threshold: all, where there are no distances."""
    if not answers or answers[0].distance is None:
        return len(answers)
    if threshold is None:
        return min(BEYOND, len(answers))
    return sum((answer.distance or 0) <= threshold for answer in answers)


def _state(number: int, within: int) -> str:
    if number < within:
        return "within"
    return "beyond" if number < within + BEYOND else "hidden"


def _slider(
    answers: Sequence[Answer],
    threshold: float | None,
    calibration: Calibration | None,
    searched: int,
) -> Slider | None:
    known = [answer.distance for answer in answers if answer.distance is not None]
    if not known:
        return None
    if threshold is None:
        # no threshold is known: it starts behind the first few
        threshold = known[_within(answers, None) - 1]
    low, high = min(known[0], threshold), max(known[-1], threshold)
    margin = 0.02 * (high - low) + 0.001
    low, high = max(0.0, low - margin), high + margin
    return Slider(low, high, threshold, _curve(calibration, low, high, searched))


def _curve(calibration: Calibration | None, low: float, high: float, searched: int) -> str:
    if calibration is None:
        return ""
    places = np.linspace(low, high, _STEPS)
    columns = (
        places,
        calibration.probability(places, searched),
        np.interp(places, calibration.distances, calibration.same),
        np.interp(places, calibration.distances, calibration.different),
    )
    rows = np.stack(columns, axis=1).tolist()
    return json.dumps([[round(value, 5) for value in row] for row in rows])


def _picture(crop: PreparedCrop) -> str:
    encoded = base64.b64encode(crop.thumbnail or b"").decode()
    return f"data:image/jpeg;base64,{encoded}"


def _seen(service: Service, maker: CardMaker, asked: Asked) -> Sequence[str]:
    """Return what the query looks like, by the mean over its crops."""
    schema = service.gallery.settings.schema_
    if schema is None:
        return ()
    if asked.crops:
        _, found = service.gallery.model.run(np.stack([crop.pixels for crop in asked.crops]))
    else:
        rows = service.gallery.of_hashes(asked.like)
        told = [[row["attributes"][name] for name in schema.names] for row in rows]
        found = np.array(told, np.float32)
    if found is None or not len(found):
        return ()
    return maker.telling(dict(zip(schema.names, found.mean(axis=0).tolist(), strict=True)), _SEEN)
