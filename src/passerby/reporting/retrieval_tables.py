"""Re-identification on screen."""

from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from passerby.calibration.matcher import Matcher
from passerby.evaluation.comparison import Comparison
from passerby.evaluation.retrieval import RetrievalReport
from passerby.inference.embeddings import Embeddings
from passerby.reporting.slices import slices

_TITLES = {"top1": "top-1", "top5": "top-5", "top10": "top-10", "map": "mAP", "minp": "mINP"}
_WORST = 5
"""So many slices are shown on screen; `--json` and `--report` have all."""


def retrieval_tables(
    report: RetrievalReport, queries: Embeddings | None = None
) -> Iterator[Table | str]:
    """Yield what `passerby evaluate` prints about re-identification.

    Args:
        report: the figures.
        queries: that were scored; their schema puts attributes in words.
    """
    yield _figures(report)
    if report.reranked is not None:
        settings = report.reranked.reranking
        yield (
            f"re-ranked: k-reciprocal, k1 {settings.k1}, k2 {settings.k2}, λ {settings.share:g}; "
            "it looks at all queries at once, so a single search cannot reach these figures."
        )
    if report.answer_sets:
        yield _answer_sets(report)
        yield (
            "threshold: largest distance of an answer; P, R, F2: precision, recall and F2, means "
            "over the queries, an empty set counts as 0; size: mean number of answers; empty: "
            "queries without any; TPIR: queries with a right answer in their set; FPIR: queries "
            "with an answer though their person is not in the gallery; FMR: false-match rate."
        )
    if report.reliability is not None:
        yield (
            "Calibrated probability: expected calibration error "
            f"{report.reliability.error:.3f} among pairs said to match with 1 % or more."
        )
    if report.slices:
        yield _worst_slices(report, queries)
    yield (
        f"Protocol {report.protocol}, cameras {report.cameras}: {report.queries:,} queries of "
        f"{report.persons:,} persons, {report.gallery:,} gallery crops; distance: "
        f"{report.distance.name}; average precision: {report.average_precision}."
    )
    if report.skipped:
        yield f"Skipped, since the gallery has no right answer: {report.skipped:,} queries."


def comparison_line(compared: Comparison) -> str:
    """Return the sentence on how far another model is apart on the same queries."""
    figures = ", ".join(
        f"{name} {value:+.3f} ({low:+.3f} to {high:+.3f})"
        for name, value, (low, high) in (
            ("top-1", compared.top1, compared.top1_ci),
            ("mAP", compared.map, compared.map_ci),
        )
    )
    where = ", across cameras" if compared.cameras == "cross" else ""
    return (
        f"Beside the other model: {figures}{where}, in pairs over {compared.queries:,} queries of "
        f"{compared.persons:,} persons, with 95 % intervals."
    )


def calibration_table(distances: Sequence[Matcher]) -> Table:
    """Return what `passerby calibrate` prints."""
    table = Table(title="largest distance of an answer, the best distance first")
    table.add_column("distance")
    for title in ("recall 0.9", "false matches 0.001", "best F2 among 1,000"):
        table.add_column(title, justify="right")
    for known in distances:
        calibration = known.calibration
        if calibration is None:
            continue
        thresholds = (
            calibration.threshold_for_recall(0.9),
            calibration.threshold_for_false_match_rate(1e-3),
            calibration.threshold_for_f_beta(2, 1000),
        )
        table.add_row(known.distance.name, *(f"{value:.4g}" for value in thresholds))
    return table


def _figures(report: RetrievalReport) -> Table:
    table = Table(title="re-identification", show_header=False)
    for name, value in report.metrics.items():
        table.add_row(_TITLES[name], f"{value:.3f}", _interval(report.intervals, name))
    if report.reranked is not None:
        table.add_section()
        for name, value in report.reranked.metrics.items():
            interval = _interval(report.reranked.intervals, name)
            table.add_row(f"{_TITLES[name]}, re-ranked", f"{value:.3f}", interval)
    return table


def _interval(intervals: Mapping[str, tuple[float, float]], name: str) -> str:
    if name not in intervals:
        return ""
    low, high = intervals[name]
    return f"{low:.3f} – {high:.3f}"


def _answer_sets(report: RetrievalReport) -> Table:
    table = Table(title="answer sets", box=SIMPLE_HEAD)
    table.add_column("rule", no_wrap=True)
    for title in ("threshold", "P", "R", "F2", "size", "empty", "TPIR", "FPIR"):
        table.add_column(title, justify="right", no_wrap=True)
    for scores in report.answer_sets:
        table.add_row(
            scores.rule,
            "–" if scores.threshold is None else f"{scores.threshold:.4g}",
            f"{scores.precision:.3f}",
            f"{scores.recall:.3f}",
            f"{scores.f2:.3f}",
            f"{scores.size:.1f}",
            f"{scores.empty:.0%}",
            f"{scores.identified:.0%}",
            f"{scores.false_alarms:.0%}",
        )
    return table


def _worst_slices(report: RetrievalReport, queries: Embeddings | None) -> Table:
    table = Table(title="who is found less well", box=SIMPLE_HEAD)
    table.add_column("persons")
    for title in ("mAP lower by", "queries with", "without", "top-1 with", "without"):
        table.add_column(title, justify="right")
    for row in slices(report, queries)[:_WORST]:
        if row.worse is None or row.gap is None:
            continue
        has, lacks = row.sides["with"], row.sides["without"]
        table.add_row(
            row.worse + (" (few)" if row.few else ""),
            f"{row.gap:.3f}",
            *(f"{side['queries']:.0f}" for side in (has, lacks)),
            *(f"{side['top1']:.3f}" for side in (has, lacks)),
        )
    return table
