"""Answer sets as files."""

from collections import Counter
from typing import Any

from passerby.data.crops import Crops
from passerby.errors import InputError
from passerby.ranking.calibration import Calibration
from passerby.ranking.distance import Distance
from passerby.ranking.ranking import Ranking


def ranking_text(ranking: Ranking) -> str:
    """Return the course's `reid_test.txt`.

    One line for each query, sorted by file name: `000000.jpg: 003682.jpg, 015886.jpg`, nearest
    first; a query without answers has its line, too. Files of the same name in different folders
    are told apart by their folders.

    Raises:
        InputError: a file is among the queries, or in the gallery, twice.
    """
    names, offered = _names(ranking.queries, "query part"), _names(ranking.gallery, "gallery")
    lines = []
    for query in sorted(range(len(ranking)), key=names.__getitem__):
        answers = ", ".join(offered[row] for row in ranking[query][0])
        lines.append(f"{names[query]}: {answers}".rstrip() + "\n")
    return "".join(lines)


def ranking_json(
    ranking: Ranking,
    distance: Distance,
    calibration: Calibration | None,
    threshold: float | None,
    model: str,
) -> dict[str, Any]:
    """Return the answer sets with distances and, if calibrated, probabilities "same person".

    Args:
        ranking: the answer sets.
        distance: that they were found with.
        calibration: of the distance.
        threshold: largest distance of an answer, if one was set.
        model: name of the model.
    """
    gallery = len(ranking.gallery)
    queries: dict[str, list[dict[str, Any]]] = {}
    for path, (rows, distances) in zip(ranking.queries.paths, ranking, strict=True):
        answers: list[dict[str, Any]] = [
            {"path": str(ranking.gallery.paths[row]), "distance": float(d)}
            for row, d in zip(rows, distances, strict=True)
        ]
        if calibration is not None:
            said = calibration.probability(distances, gallery)
            for answer, probability in zip(answers, said.tolist(), strict=True):
                answer["probability"] = probability
        queries[str(path)] = answers
    return {
        "model": model,
        "distance": distance.name,
        "threshold": threshold,
        "gallery": gallery,
        "queries": queries,
    }


def _names(crops: Crops, what: str) -> tuple[str, ...]:
    names = crops.names
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"The {what} has the file {name} twice, which the answers could not tell apart: leave "
            "one out."
        )
    return names
