"""Scoring plain arrays: vectors of any network, names of persons and cameras."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.errors import InputError
from passerby.evaluation.protocols import EvaluationProtocol
from passerby.evaluation.retrieval import RetrievalReport, evaluate_retrieval
from passerby.inference.embeddings import Embeddings
from passerby.inference.runtime_model import normalize_rows
from passerby.ranking.distance import Distance


def evaluate_arrays(
    vectors: NDArray[Any],
    persons: Sequence[Any],
    cameras: Sequence[Any] | None = None,
    *,
    queries: NDArray[np.bool_] | None = None,
    protocol: EvaluationProtocol | str = "course",
    resamples: int = 1000,
) -> RetrievalReport:
    """Score embeddings of any network.

    Args:
        vectors: shape (N, D); they are scaled to length 1.
        persons: whom each crop shows, N names or numbers; None and "" are nobody, such as a
            distractor.
        cameras: N names or numbers; None if they are not known.
        queries: which crops ask, bool, shape (N,), all others being the gallery; drawn as the
            protocol says if left out.
        protocol: "course", "market", or an `EvaluationProtocol`.
        resamples: bootstrap samples of persons for the intervals; 0 for none.

    Raises:
        InputError: the arrays do not fit together, or nobody can be found again.
    """
    values = np.asarray(vectors, np.float32)
    count = len(values)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise InputError("`vectors` must be finite numbers, of shape (N, D).")
    for name, given in (("persons", persons), ("cameras", cameras), ("queries", queries)):
        if given is not None and len(given) != count:
            raise InputError(
                f"`{name}` has {len(given)} values for {count} vectors: give one each."
            )
    if isinstance(protocol, str):
        protocol = EvaluationProtocol.named(protocol)
    crops = Crops([f"row {row}" for row in range(count)], person=persons, camera=cameras)
    people = Embeddings(crops, normalize_rows(values))
    if queries is None:
        asked, searched = protocol.split(crops)
    else:
        asked, searched = np.flatnonzero(queries), np.flatnonzero(~np.asarray(queries, np.bool_))
        protocol.check(crops)
    return evaluate_retrieval(
        people.of_rows(asked),
        people.of_rows(searched),
        Distance(features="embedding"),
        protocol=protocol.name,
        leave_out_same_camera=protocol.leave_out_same_camera,
        resamples=resamples,
    )
