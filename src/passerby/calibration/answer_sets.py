"""Answer sets: the gallery crops that a query is given."""

from collections.abc import Callable

from passerby.calibration.answer_rule import AnswerRule
from passerby.inference.embeddings import Embeddings
from passerby.ranking.distance import Distance
from passerby.ranking.rank import rank
from passerby.ranking.ranking import GAP_AMONG, Ranking


def find_answer_sets(
    queries: Embeddings,
    gallery: Embeddings,
    distance: Distance,
    rule: AnswerRule,
    threshold: float | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Ranking:
    """Return the answer set of each query.

    Args:
        queries, gallery: embedded with one model.
        distance: between their crops.
        rule: where the sets are cut.
        threshold: what `rule.threshold` returned.
        progress: called with (queries done, all queries).

    Raises:
        InputError: as `rank`.
    """
    if rule.rule == "gap":
        return rank(queries, gallery, distance, top_k=GAP_AMONG, progress=progress).before_gap()
    top_k = int(rule.value) if rule.rule == "top_k" else None
    return rank(queries, gallery, distance, top_k=top_k, within=threshold, progress=progress)
