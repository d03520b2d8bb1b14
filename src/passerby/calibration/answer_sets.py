"""Answer sets: the gallery crops that a query is given."""

from collections.abc import Callable

from passerby.calibration.answer_rule import AnswerRule
from passerby.inference.embeddings import Embeddings
from passerby.ranking.copies import find_copy_hashes
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
    leave_out_copies: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Ranking:
    """Return the answer set of each query.

    Args:
        queries, gallery: embedded with one model.
        distance: between their crops.
        rule: where the sets are cut.
        threshold: what `rule.threshold` returned.
        leave_out_copies: a gallery crop that is the query's file, byte for byte, is not an answer.
        progress: called with (queries done, all queries).

    Raises:
        InputError: as `rank`, or a file cannot be read.
    """
    copies = find_copy_hashes(queries.crops, gallery.crops) if leave_out_copies else None
    wanted = {"top_k": int(rule.value), "gap": GAP_AMONG}.get(rule.rule)
    top_k = wanted if wanted is None or copies is None else wanted + copies.most
    ranking = rank(queries, gallery, distance, top_k=top_k, within=threshold, progress=progress)
    if copies is not None:
        ranking = ranking.without(copies.mask(ranking))
        ranking = ranking if wanted is None else ranking.top(wanted)
    return ranking.before_gap() if rule.rule == "gap" else ranking
