"""Re-identification on screen."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from passerby.evaluation.retrieval import RetrievalReport
from passerby.ranking.calibrated import CalibratedDistance

_TITLES = {"top1": "top-1", "top5": "top-5", "top10": "top-10", "map": "mAP", "minp": "mINP"}
_WORST = 5
"""So many slices are shown on screen; `--json` and `--report` have all."""


def retrieval_tables(report: RetrievalReport) -> Iterator[Table | str]:
    """Yield what `passerby evaluate` prints about re-identification."""
    yield _figures(report)
    if report.answer_sets:
        yield _answer_sets(report)
        yield (
            "P, R, F2: precision, recall and F2, means over the queries, an empty set counts as 0; "
            "found: queries with a right answer in their set; alarms: queries with an answer "
            "though their person is not in the gallery."
        )
    if report.reliability is not None:
        yield (
            "Calibrated probability: expected calibration error "
            f"{report.reliability.error:.3f} among pairs said to match with 1 % or more."
        )
    if report.slices:
        yield _worst_slices(report)
    yield (
        f"Protocol {report.protocol}, cameras {report.cameras}: {report.queries:,} queries of "
        f"{report.persons:,} persons, {report.gallery:,} gallery crops; distance: "
        f"{report.distance.name}; average precision: {report.average_precision}."
    )
    if report.skipped:
        yield f"Skipped, since the gallery has no right answer: {report.skipped:,} queries."


def calibration_table(distances: Sequence[CalibratedDistance]) -> Table:
    """Return what `passerby calibrate` prints."""
    table = Table(title="largest distance of an answer, the best distance first")
    table.add_column("distance")
    for title in ("recall 0.9", "false matches 0.001", "best F2 among 1,000"):
        table.add_column(title, justify="right")
    for known in distances:
        calibration = known.calibration
        thresholds = (
            calibration.threshold_for_recall(0.9),
            calibration.threshold_for_false_match_rate(1e-3),
            calibration.threshold_for_f_beta(2, 1000),
        )
        table.add_row(known.distance.name, *(f"{value:.4g}" for value in thresholds))
    return table


def _figures(report: RetrievalReport) -> Table:
    table = Table(title="re-identification with 95 % intervals over persons")
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in report.figures.items():
        low, high = report.intervals.get(name, (None, None))
        interval = "" if low is None else f"  {low:.3f} – {high:.3f}"
        table.add_row(_TITLES[name], f"{value:.3f}{interval}")
    return table


def _answer_sets(report: RetrievalReport) -> Table:
    table = Table(title="answer sets")
    table.add_column("rule", no_wrap=True)
    for title in ("up to", "P", "R", "F2", "crops", "empty", "found", "alarms"):
        table.add_column(title, justify="right", no_wrap=True)
    for scores in report.answer_sets:
        table.add_row(
            scores.rule,
            "–" if scores.threshold is None else f"{scores.threshold:.4g}",
            f"{scores.precision:.3f}",
            f"{scores.recall:.3f}",
            f"{scores.f2:.3f}",
            f"{scores.size:.1f}",
            f"{scores.empty:.1%}",
            f"{scores.identified:.1%}",
            f"{scores.false_alarms:.1%}",
        )
    return table


def _worst_slices(report: RetrievalReport) -> Table:
    both = {name: sides for name, sides in report.slices.items() if len(sides) == 2}
    worst = sorted(both, key=lambda name: both[name]["with"]["map"] - both[name]["without"]["map"])
    table = Table(title="who is found less well: persons with an attribute, and without it")
    for title in ("attribute", "queries", "mAP with", "mAP without", "top-1 with", "top-1 without"):
        table.add_column(title, justify="left" if title == "attribute" else "right")
    for name in worst[:_WORST]:
        has, lacks = both[name]["with"], both[name]["without"]
        table.add_row(
            name,
            f"{has['queries']}",
            *(f"{value:.3f}" for key in ("map", "top1") for value in (has[key], lacks[key])),
        )
    return table
