"""Tables on screen."""

from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table
from rich.text import Text

from passerby.datasets.description import Description
from passerby.datasets.problems import list_few
from passerby.datasets.registry import Dataset
from passerby.evaluation.attributes import INSTANCE_BASED, LABEL_BASED, AttributeReport
from passerby.evaluation.comparison import Comparison
from passerby.evaluation.evaluate import Report
from passerby.evaluation.retrieval import AcrossCameras, RetrievalReport

_TITLES = {"precision": "P", "recall": "R", "f1": "F1", "ma": "mA", "accuracy": "acc"}


def dataset_table(datasets: Iterable[Dataset]) -> Table:
    """Return what `passerby data list` prints."""
    table = Table(title="datasets", show_lines=True)
    table.add_column("name", no_wrap=True)
    table.add_column("what it is")
    for dataset in datasets:
        scored = " and ".join(dataset.scored)
        lines = [
            dataset.title,
            f"layout: {dataset.layout}",
            f"splits: {', '.join(dataset.splits)}; protocol {dataset.protocol}, on {scored}",
            f"terms of use: {dataset.terms or 'those of your files'}",
        ]
        table.add_row(dataset.name, Text("\n".join(lines)))
    return table


def description_tables(description: Description) -> Iterator[Table | str]:
    """Yield what `passerby data describe` prints."""
    counts = Table(title=f"{description.layout}, {description.split}", show_header=False)
    counts.add_row("crops", f"{description.crops:,}")
    if description.persons is not None:
        counts.add_row("persons", f"{description.persons:,}")
        counts.add_row("distractor crops", f"{description.distractors:,}")
        counts.add_row("junk crops", f"{description.junk:,}")
    if description.crops_per_person:
        least, median, most = description.crops_per_person
        counts.add_row("crops per person", f"{least} to {most}, median {median:g}")
    for camera, crops in (description.cameras or {}).items():
        counts.add_row(f"camera {camera or 'unknown'}", f"{crops:,} crops")
    if len(description.datasets) > 1:
        of_each = (
            f"{name or 'unknown'}: {count:,}" for name, count in description.datasets.items()
        )
        counts.add_row("datasets (crops)", ", ".join(of_each))
    if description.taken:
        counts.add_row("taken", " to ".join(description.taken))
    for name, count in (("tracks", description.tracks), ("sources", description.sources)):
        if count is not None:
            counts.add_row(name, f"{count:,}")
    if description.other_splits:
        counts.add_row("other splits", ", ".join(description.other_splits))
    yield counts
    if description.terms:
        yield f"Terms of use: {description.terms}"
    if description.attributes:
        yield _frequencies(
            description.attributes, "crops" if description.persons is None else "persons"
        )
    unknown = [
        f"{name} ({description.crops - known:,})"
        for name, known in (description.known_labels or {}).items()
        if known < description.crops
    ]
    if unknown:
        yield f"Crops whose label is unknown: {list_few(unknown)}."
    for group, attributes in description.unfilled_groups.items():
        yield f"No person is {' or '.join(attributes)} (group {group})."
    yield from description.remarks
    if not description.problems:
        yield "No problems found."
        return
    yield f"Problems found: {len(description.problems)}"
    yield from (f"  {problem}" for problem in description.problems)


def _frequencies(attributes: dict[str, float | None], whose: str) -> Table:
    table = Table(title=f"{whose} with each attribute")
    for title in ("attribute", whose) * 2:
        table.add_column(title, justify="right" if title == whose else "left")
    cells = [(name, "unknown" if p is None else f"{p:.1%}") for name, p in attributes.items()]
    half = (len(cells) + 1) // 2
    for left, right in zip(cells[:half], [*cells[half:], ("", "")], strict=False):
        table.add_row(*left, *right)
    return table


def sets_table(results: Mapping[str, tuple[Report, Comparison | None]]) -> Table:
    """Return what `passerby evaluate` prints of several datasets, across cameras where it can.

    Args:
        results: title of a dataset to what was found, and how far another model is apart.
    """
    table = Table(title="by dataset")
    table.add_column("set")
    names = ["queries", "cameras", "top-1", "mAP", "crops", "mA", "F1", "gain"]
    if any(compared is not None for _, compared in results.values()):
        names.insert(4, "mAP less the other's")
    for name in names:
        table.add_column(name, justify="right")
    for title, (found, compared) in results.items():
        cells = dict.fromkeys(names, "–")
        if (retrieval := found.retrieval) is not None:
            shown, across = _shown(retrieval)
            cells["queries"] = f"{shown.queries:,}"
            cells["cameras"] = "across" if across else "ignored"
            cells["top-1"] = f"{shown.metrics['top1']:.3f}"
            cells["mAP"] = f"{shown.metrics['map']:.3f}"
        if compared is not None:
            low, high = compared.map_ci
            cells["mAP less the other's"] = f"{compared.map:+.3f} ({low:+.3f} to {high:+.3f})"
        if (attributes := found.attributes) is not None:
            cells["crops"] = f"{attributes.crops:,}"
            for name, value in (
                ("mA", attributes.macro["ma"]),
                ("F1", attributes.macro["f1"]),
                ("gain", attributes.macro["gain"]),
            ):
                cells[name] = f"{value:.3f}"
        table.add_row(title, *cells.values())
    return table


def attribute_tables(
    report: AttributeReport, pooled: AttributeReport | None = None
) -> Iterator[Table | str]:
    """Yield what `passerby evaluate` prints.

    Args:
        report: of the attributes of single crops.
        pooled: of those averaged over crops that probably show one person.
    """
    yield _averages(report)
    yield (
        "Instance-based: "
        + ", ".join(f"{name} {report.instance[name]:.3f}" for name in INSTANCE_BASED)
        + "."
    )
    if report.official12 is not None:
        yield (
            f"Official 12 attributes: accuracy {report.official12:.3f} "
            f"({report.official12_multicolor:.3f} with multicolor as a colour)."
        )
    if pooled is not None:
        official = "" if pooled.official12 is None else f", official 12 {pooled.official12:.3f}"
        yield (
            "Averaged over all crops that probably show the same person: "
            f"F1 {pooled.macro['f1']:.3f} (all), mA {pooled.defined['ma']:.3f} (defined)"
            f"{official}."
        )
    of_persons = "" if report.persons is None else f" of {report.persons} persons"
    yield f"{report.crops:,} crops{of_persons}; decision rule: {report.decision}."
    if report.unknown:
        yield f"Without any label here, not scored: {', '.join(report.unknown)}."
    if report.undefined:
        yield f"Undefined here, left out of 'defined': {', '.join(report.undefined)}."
    yield _per_attribute(report)


def headline(
    attributes: AttributeReport | None, retrieval: RetrievalReport | None
) -> Iterator[str]:
    """Yield the one or two lines that `passerby evaluate` prints first.

    Matches across cameras come first where crops have cameras: those within one flatter.
    """
    if retrieval is not None:
        shown, across = _shown(retrieval)
        where = ", across cameras" if across else ""
        metrics = shown.metrics
        line = f"Re-identification: top-1 {metrics['top1']:.3f}, mAP {metrics['map']:.3f}{where}"
        if shown is not retrieval:
            ignored = retrieval.metrics
            line += f" ({ignored['top1']:.3f} and {ignored['map']:.3f} with cameras ignored)"
        yield f"{line}; {shown.queries:,} queries, {retrieval.gallery:,} gallery crops."
    if attributes is not None:
        macro = attributes.macro
        yield (
            f"Attributes: mA {macro['ma']:.3f}, F1 {macro['f1']:.3f}, gain over always the "
            f"majority {macro['gain']:+.3f}; {attributes.crops:,} crops."
        )


def _shown(retrieval: RetrievalReport) -> tuple[RetrievalReport | AcrossCameras, bool]:
    """Return the figures to show first, and whether they are across cameras."""
    if retrieval.across_cameras is not None:
        return retrieval.across_cameras, True
    return retrieval, retrieval.cameras == "cross"


def _per_attribute(report: AttributeReport) -> Table:
    table = Table(title="attributes")
    table.add_column("attribute")
    columns = ("positives", *LABEL_BASED)
    for name in columns:
        table.add_column(_TITLES.get(name, name), justify="right")
    for attribute, values in report.per_attribute.items():
        cells = [_figure(values[name], "+.3f" if name == "gain" else ".3f") for name in columns]
        table.add_row(attribute, *cells)
    return table


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _averages(report: AttributeReport) -> Table:
    count = len(report.per_attribute)
    whose = "crops" if report.persons is None else "persons"
    table = Table(title=f"macro averages with 95 % intervals over {whose}")
    table.add_column("")
    table.add_column(f"all {count}, undefined = 0", justify="right")
    table.add_column(f"the {count - len(report.undefined)} defined", justify="right")
    for name in LABEL_BASED:
        table.add_row(
            _TITLES.get(name, name),
            _with_interval(report.macro[name], report, f"macro.{name}"),
            _with_interval(report.defined[name], report, f"defined.{name}"),
        )
    return table


def _with_interval(value: float, report: AttributeReport, key: str) -> str:
    if key not in report.intervals:
        return f"{value:.3f}"
    low, high = report.intervals[key]
    return f"{value:.3f}  {low:.3f} – {high:.3f}"
