"""Tables on screen."""

from collections.abc import Iterator

from rich.table import Table

from passerby.datasets.description import Description
from passerby.evaluation.attributes import INSTANCE_BASED, LABEL_BASED, AttributeReport

_TITLES = {"precision": "P", "recall": "R", "f1": "F1", "ma": "mA", "accuracy": "acc"}


def description_tables(description: Description) -> Iterator[Table | str]:
    """Yield what `passerby data describe` prints."""
    counts = Table(title=f"{description.layout}, {description.part}", show_header=False)
    counts.add_row("crops", f"{description.crops:,}")
    if description.persons is not None:
        counts.add_row("persons", f"{description.persons:,}")
        counts.add_row("distractor crops", f"{description.distractors:,}")
        counts.add_row("junk crops", f"{description.junk:,}")
    if description.crops_per_person:
        least, median, most = description.crops_per_person
        counts.add_row("crops per person", f"{least} to {most}, median {median:g}")
    for camera, crops in (description.cameras or {}).items():
        counts.add_row(f"camera {camera}", f"{crops:,} crops")
    yield counts
    if description.attributes:
        yield _frequencies(description.attributes)
    for group, attributes in description.unfilled_groups.items():
        yield f"No person is {' or '.join(attributes)} (group {group})."
    if not description.problems:
        yield "No problems found."
        return
    yield f"Problems found: {len(description.problems)}"
    yield from (f"  {problem}" for problem in description.problems)


def _frequencies(attributes: dict[str, float]) -> Table:
    table = Table(title="persons with each attribute")
    for title in ("attribute", "persons") * 2:
        table.add_column(title, justify="right" if title == "persons" else "left")
    cells = [(name, f"{frequency:.1%}") for name, frequency in attributes.items()]
    half = (len(cells) + 1) // 2
    for left, right in zip(cells[:half], [*cells[half:], ("", "")], strict=False):
        table.add_row(*left, *right)
    return table


def attribute_tables(
    report: AttributeReport, pooled: AttributeReport | None = None
) -> Iterator[Table | str]:
    """Yield what `passerby evaluate` prints.

    Args:
        report: of the attributes of single crops.
        pooled: of those averaged over crops that probably show one person.
    """
    yield _per_attribute(report)
    yield _averages(report)
    yield (
        "Instance-based: "
        + ", ".join(f"{name} {report.instance[name]:.3f}" for name in INSTANCE_BASED)
        + "."
    )
    yield (
        f"Official 12 attributes: accuracy {report.official12:.3f} "
        f"({report.official12_multicolor:.3f} with multicolor as a colour)."
    )
    if pooled is not None:
        yield (
            "Averaged over all crops that probably show the same person: "
            f"F1 {pooled.macro['f1']:.3f} (all), mA {pooled.defined['ma']:.3f} (defined), "
            f"official 12 {pooled.official12:.3f}."
        )
    yield f"{report.crops:,} crops of {report.persons} persons; decision rule: {report.decision}."
    if report.undefined:
        yield f"Undefined here, left out of 'defined': {', '.join(report.undefined)}."


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
    table = Table(title="macro averages with 95 % intervals over persons")
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
