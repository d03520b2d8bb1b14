"""Answer sets as files."""

from collections import Counter
from typing import Any

from passerby.calibration.matcher import Matcher
from passerby.data.crops import Crops
from passerby.errors import InputError
from passerby.ranking.ranking import Ranking


def ranking_text(ranking: Ranking) -> str:
    """Return the course's `reid_test.txt`.

    One line for each query, sorted by file name: `000000.jpg: 003682.jpg, 015886.jpg`, nearest
    first; a query without answers has its line, too. Files of the same name in different folders
    are told apart by their folders.

    Raises:
        InputError: as `check_names`.
    """
    names, offered = (
        check_names(ranking.queries, "query part"),
        check_names(ranking.gallery, "gallery"),
    )
    lines = []
    for query in sorted(range(len(ranking)), key=names.__getitem__):
        answers = ", ".join(offered[row] for row in ranking[query][0])
        lines.append(f"{names[query]}: {answers}".rstrip() + "\n")
    return "".join(lines)


def ranking_json(
    ranking: Ranking,
    matcher: Matcher,
    threshold: float | None,
    model: str,
) -> dict[str, Any]:
    """Return the answer sets with distances and, if calibrated, probabilities "same person".

    Args:
        ranking: the answer sets.
        matcher: that they were found with.
        threshold: largest distance of an answer, if one was set.
        model: name of the model.
    """
    gallery = len(ranking.gallery)
    offered = ranking.gallery.addresses
    queries: dict[str, list[dict[str, Any]]] = {}
    for query, (rows, distances) in zip(ranking.queries.addresses, ranking, strict=True):
        answers: list[dict[str, Any]] = [
            {"path": offered[row], "distance": float(d)}
            for row, d in zip(rows, distances, strict=True)
        ]
        if matcher.calibration is not None:
            said = matcher.calibration.probability(distances, gallery)
            for answer, probability in zip(answers, said.tolist(), strict=True):
                answer["probability"] = probability
        queries[query] = answers
    return {
        "model": model,
        "distance": matcher.distance.name,
        "threshold": threshold,
        "gallery": gallery,
        "queries": queries,
    }


def check_names(crops: Crops, what: str) -> tuple[str, ...]:
    """Return the names that crops have in the answer file.

    Args:
        crops: queries or gallery.
        what: which of them, for the error.

    Raises:
        InputError: a file is there twice, or a name would be read as several.
    """
    names = crops.names
    for name in names:
        if len(name.splitlines()) > 1 or ", " in name or ": " in name:
            raise InputError(
                f"The {what} has the file name {name!r}, which the answer file could not tell from "
                "several: rename it."
            )
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"The {what} has the file {name} twice, which the answers could not tell apart: leave "
            "one out."
        )
    return names
