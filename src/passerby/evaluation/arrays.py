"""Scoring plain arrays: vectors of any network, names of persons and cameras."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.errors import InputError
from passerby.evaluation.evaluate import evaluate
from passerby.evaluation.protocols import EvaluationProtocol
from passerby.evaluation.retrieval import RetrievalReport
from passerby.inference.embeddings import Embeddings
from passerby.ranking.query_scores import AveragePrecision
from passerby.ranking.reranking import Reranking


def evaluate_arrays(
    vectors: NDArray[Any],
    persons: Sequence[Any],
    cameras: Sequence[Any] | None = None,
    *,
    queries: NDArray[np.bool_] | None = None,
    protocol: EvaluationProtocol | str = "course",
    average_precision: AveragePrecision = "plain",
    reranking: Reranking | None = None,
    resamples: int = 1000,
    trials: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> RetrievalReport:
    """Score embeddings of any network.

    Args:
        vectors: shape (N, D); they are scaled to length 1.
        persons: whom each crop shows, N names or whole numbers; None and "" are nobody, such as a
            distractor. 0 and -1 are persons like others.
        cameras: N names or whole numbers; None if they are not known.
        queries: which crops ask, bool, shape (N,), all others being the gallery; drawn as the
            protocol says if left out.
        protocol: "course", "market", or an `EvaluationProtocol`.
        average_precision, reranking, resamples, trials, progress: as in `evaluate`.

    Raises:
        InputError: the arrays do not fit together, or nobody can be found again.
    """
    values = _vectors(vectors)
    if isinstance(protocol, str):
        protocol = EvaluationProtocol.named(protocol)
    if protocol.leave_out_same_camera and cameras is None:
        raise InputError(
            "What a query's own camera saw is left out, which needs `cameras`: give them, or "
            "choose the protocol 'course'."
        )
    crops = Crops(
        [f"row {row}" for row in range(len(values))],
        person=_names("persons", persons, len(values)),
        camera=None if cameras is None else _names("cameras", cameras, len(values)),
    )
    people, gallery = Embeddings(crops, values), None
    if queries is not None:
        asking = _mask(queries, len(values))
        people, gallery = people.of_rows(asking), people.of_rows(~asking)
    report = evaluate(
        people,
        gallery,
        protocol=protocol,
        average_precision=average_precision,
        reranking=reranking,
        resamples=resamples,
        trials=trials,
        progress=progress,
    )
    if report.retrieval is None:
        raise InputError(
            "Nobody appears in two crops, so there is nobody to find again: give vectors of "
            "persons seen several times."
        )
    return report.retrieval


def _vectors(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Return vectors of length 1."""
    try:
        values = np.asarray(vectors, np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise InputError("`vectors` must be finite numbers, of shape (N, D).")
    # in float64, where squares of large values do not overflow
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _names(what: str, given: Sequence[Any], count: int) -> list[str | int | None]:
    """Return names as `Crops` takes them; NaN, as pandas has it, is nobody."""
    # of other libraries' arrays the elements are arrays too
    names = given if isinstance(given, list | tuple) else np.asarray(given).tolist()
    if not isinstance(names, list | tuple) or len(names) != count:
        size = len(names) if isinstance(names, list | tuple) else "no"
        raise InputError(f"`{what}` has {size} values for {count} vectors: give one each.")
    found: list[str | int | None] = []
    for name in names:
        if name is None or name != name:
            found.append(None)
        elif isinstance(name, str | int | np.integer) and not isinstance(name, bool):
            found.append(str(name) if isinstance(name, str) else int(name))
        else:
            raise InputError(f"`{what}` holds {name!r}: give names or whole numbers.")
    return found


def _mask(queries: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    asking = np.asarray(queries)
    if asking.dtype != np.bool_ or asking.shape != (count,):
        raise InputError(f"`queries` must be true or false for each of the {count} vectors.")
    if asking.all() or not asking.any():
        raise InputError(
            "`queries` must be true for some vectors and false for others, which are the gallery."
        )
    return asking
