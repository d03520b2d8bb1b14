"""Queries beside their nearest answers, as thumbnails: what the figures look like."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.data.decoding import load_crop, resize
from passerby.errors import InputError
from passerby.evaluation.retrieval import RetrievalReport
from passerby.inference.embeddings import Embeddings
from passerby.ranking.query_scores import QueryScores
from passerby.ranking.rank import rank
from passerby.ranking.ranking import Ranking
from passerby.ranking.relevance import Relevance

Verdict = Literal["right", "wrong", "same camera", "junk"]

ANSWERS = 10
_EACH = 8
_HEIGHT, _WIDEST, _QUALITY = 128, 192, 80


@dataclass(frozen=True)
class Picture:
    """A thumbnail.

    Attributes:
        name: of the file; what cannot be printed is replaced.
        source: a data URI; None if the file cannot be decoded.
        height, width: pixels.
    """

    name: str
    source: str | None
    height: int = _HEIGHT
    width: int = _HEIGHT // 2


@dataclass(frozen=True)
class RankedCrop:
    """A gallery crop in a strip.

    Attributes:
        picture: of the crop.
        verdict: "same camera" and "junk" do not count.
        rank: among the crops that count, from 1 on; None for the others.
        distance: from the query.
    """

    picture: Picture
    verdict: Verdict
    rank: int | None
    distance: float


@dataclass(frozen=True)
class RankedList:
    """A query with its nearest answers.

    Attributes:
        query: its picture.
        person: whom it shows.
        average_precision: of the query.
        first: rank of the first right answer.
        right: right answers in the whole gallery.
        answers: nearest first.
        cut: how many of them the threshold admits; None if there is no threshold.
        more: whether the gallery holds further crops.
    """

    query: Picture
    person: str
    average_precision: float
    first: int
    right: int
    answers: tuple[RankedCrop, ...]
    cut: int | None
    more: bool


@dataclass(frozen=True)
class RankedListGroup:
    """Strips that were chosen for the same reason, which `title` says."""

    title: str
    strips: tuple[RankedList, ...]


def ranked_lists(
    report: RetrievalReport,
    queries: Embeddings,
    gallery: Embeddings,
    threshold: float | None,
) -> list[RankedListGroup]:
    """Return strips of the worst queries, of middling ones and of some drawn at random.

    Args:
        report: of these queries and this gallery.
        queries, gallery: what was scored.
        threshold: largest distance of an answer, if sets are to be cut.
    """
    groups = choose_queries(report.scores)
    chosen = np.concatenate([rows for _, rows in groups])
    asked = queries.of_rows(chosen)
    ranking = rank(asked, gallery, report.distance, top_k=ANSWERS)
    verdicts = _verdicts(ranking, leave_out_same_camera=report.cameras == "cross")
    asked_crops, found_crops = asked.crops, gallery.crops
    query_picture = cache(lambda row: picture(asked_crops, row))
    gallery_picture = cache(lambda row: picture(found_crops, row))
    strips = iter(
        RankedList(
            query=query_picture(place),
            person=_person(queries.crops, int(row)),
            average_precision=float(report.scores.ap[row]),
            first=int(report.scores.first[row]),
            right=int(report.scores.right[row]),
            answers=tuple(
                RankedCrop(gallery_picture(int(found)), verdict, number, float(distance))
                for found, distance, (verdict, number) in zip(
                    *ranking[place], verdicts[place], strict=True
                )
            ),
            cut=None if threshold is None else int((ranking[place][1] <= threshold).sum()),
            more=len(ranking[place][0]) < len(gallery),
        )
        for place, row in enumerate(chosen)
    )
    return [RankedListGroup(title, tuple(next(strips) for _ in rows)) for title, rows in groups]


def _person(crops: Crops, row: int) -> str:
    return "" if crops.person is None else str(crops.person[row])


def choose_queries(
    scores: QueryScores, each: int = _EACH, seed: int = 0
) -> list[tuple[str, NDArray[np.int64]]]:
    """Choose scored queries: the worst, those around the median, and some of the others.

    Args:
        scores: of the queries.
        each: how many of each sort; fewer if there are not three times as many.
        seed: of the random ones.

    Returns:
        What each sort is called, and its rows; sorts without a query are left out.
    """
    rows = np.flatnonzero(scores.scored)
    rows = rows[np.argsort(scores.ap[rows], kind="stable")]
    each = min(each, max(1, len(rows) // 3))
    middle = max(each, (len(rows) - each) // 2)
    worst, median = rows[:each], rows[middle : middle + each]
    others = np.concatenate([rows[each:middle], rows[middle + each :]])
    drawn = np.random.default_rng(seed).permutation(others)[:each]
    groups = [
        (f"The worst {len(worst)} by average precision", worst),
        (f"{len(median)} around the median", median),
        (f"{len(drawn)} of the others, drawn at random (seed {seed})", drawn),
    ]
    return [(title, members) for title, members in groups if len(members)]


def picture(crops: Crops, row: int) -> Picture:
    """Return the thumbnail of a crop."""
    name = crops.paths[row].name
    name = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    try:
        pixels = load_crop(crops, row)
    except InputError:
        return Picture(name, None)
    height, width = pixels.shape[:2]
    scale = min(_HEIGHT / height, _WIDEST / width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    content = simplejpeg.encode_jpeg(
        np.ascontiguousarray(resize(pixels, size)), quality=_QUALITY, colorspace="RGB"
    )
    return Picture(name, f"data:image/jpeg;base64,{base64.b64encode(content).decode()}", *size)


def _verdicts(
    ranking: Ranking, *, leave_out_same_camera: bool
) -> list[Sequence[tuple[Verdict, int | None]]]:
    """Return for each query what its answers are, and their ranks among those that count."""
    answers = Relevance(ranking.queries, ranking.gallery, leave_out_same_camera)
    verdicts: list[Sequence[tuple[Verdict, int | None]]] = []
    for query, (rows, _) in enumerate(ranking):
        right, ignored = answers.of(query)
        names = np.full(len(rows), "wrong", "U11")
        names[np.isin(rows, right)] = "right"
        names[np.isin(rows, ignored)] = "same camera"
        names[answers.junk[rows]] = "junk"
        counts = np.isin(names, ("right", "wrong"))
        ranks = np.cumsum(counts).tolist()
        verdicts.append(
            [
                (name, number if counted else None)
                for name, number, counted in zip(names.tolist(), ranks, counts, strict=True)
            ]
        )
    return verdicts
