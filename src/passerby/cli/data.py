"""`passerby data`: known datasets, what is in one, its labels as a table, manifests, a toy one."""

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import name_options, out, print_json, progress_bar, say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT, SPLIT
from passerby.cli.reading import choose_split, read_data

app = typer.Typer(
    help="Look into a dataset, turn it into a manifest, or render a toy one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Data = Annotated[Path, typer.Argument(help="A dataset's folder, or a manifest.")]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_datasets(json: JSON = False) -> None:
    """Print the datasets that are recognised, with their layouts, protocols and terms of use."""
    from passerby.datasets import known_datasets
    from passerby.reporting.tables import dataset_table

    known = known_datasets()
    if json:
        names = ("name", "title", "layout", "splits", "scored", "protocol", "terms")
        print_json(
            {
                "datasets": [
                    {name: getattr(dataset, name) for name in names} for dataset in known.values()
                ]
            }
        )
        return
    out.print(dataset_table(known.values()))


@app.command()
def describe(
    data: Data,
    split: SPLIT = None,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
    json: JSON = False,
) -> None:
    """Print counts, cameras, attribute frequencies and every problem found."""
    from passerby.datasets.description import describe as describe_data
    from passerby.reporting.tables import description_tables

    with progress_bar("Decoding") as progress:
        description = describe_data(
            data,
            choose_split(data, split, "train", pattern=pattern),
            progress,
            root=root,
            pattern=pattern,
            accept_missing=accept_missing,
        )
    if json:
        print_json(description.to_dict())
        return
    for table in description_tables(description):
        out.print(name_options(table) if isinstance(table, str) else table)


@app.command()
def labels(
    data: Data,
    target: Annotated[Path, typer.Option("--out", help="The CSV file to write.")] = Path(
        "labels.csv"
    ),
    split: SPLIT = None,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
) -> None:
    """Write binary labels, one column per attribute, as CSV: one row a person, or a crop."""
    from passerby.datasets.convert import check_no_part
    from passerby.datasets.labels import labels_csv
    from passerby.errors import InputError
    from passerby.files import write_text

    check_no_part(target, data)
    crops = read_data(
        data, choose_split(data, split, "train", pattern=pattern), root, pattern, accept_missing
    )
    if crops.schema is None:
        raise InputError(f"{data} has no attribute annotations: give an annotated dataset.")
    text, rows, what = labels_csv(crops)
    write_text(target, text)
    say(f"{rows} {what} with {len(crops.schema)} labels each written to {target}.")


@app.command()
def convert(
    data: Data,
    target: Annotated[Path, typer.Option("--out", help="The manifest (.csv, .parquet) or folder.")],
    to: Annotated[
        str, typer.Option(help="manifest, or market1501: folders of files named by person.")
    ] = "manifest",
    splits: Annotated[
        list[str] | None,
        typer.Option("--split", help="Convert this one; may be given again. All if left out."),
    ] = None,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
) -> None:
    """Turn any dataset into a manifest or, if persons and cameras are known, Market-1501's form."""
    from passerby.datasets.convert import convert as convert_data

    counts = convert_data(
        data,
        target,
        to=to,
        root=root,
        pattern=pattern,
        accept_missing=accept_missing,
        splits=splits or (),
    )
    told = ", ".join(f"{split}: {count:,}" for split, count in counts.items())
    say(f"{sum(counts.values()):,} crops written to {target} ({told}).")
    beside = target.parent / "schema.yaml"
    if to == "manifest" and beside.is_file():
        say(f"{beside} belongs to it: it names the attributes' groups and phrases.")
    if to == "market1501":
        say("Its original_names.csv says which crop each was; attributes are left out.")


@app.command()
def toy(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    persons: Annotated[int, typer.Option(help="Annotated persons.")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed draws the same crops.")] = 0,
    crops_per_person: Annotated[int, typer.Option(help="Crops of each person.")] = 16,
) -> None:
    """Render drawn pedestrians as a dataset in the course layout."""
    from passerby.toy import write_toy

    with progress_bar("Drawing") as progress:
        count = write_toy(target, persons, seed, crops_per_person, progress)
    say(f"{count} crops written to {target}.")
