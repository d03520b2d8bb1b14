"""`passerby data`: what is in a dataset, its labels as a table, and a toy one."""

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import out, print_json, progress_bar, say

app = typer.Typer(
    help="Look into a dataset, write its labels, or render a toy one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Data = Annotated[Path, typer.Argument(help="A dataset folder of any known layout.")]
Split = Annotated[str, typer.Option(help="Which split: train, gallery or query.")]


@app.command()
def describe(
    data: Data,
    split: Split = "train",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print counts, cameras, attribute frequencies and every problem found."""
    from passerby.datasets.description import describe as described
    from passerby.reporting.tables import description_tables

    with progress_bar("Decoding") as progress:
        description = described(data, split, progress)
    if json:
        print_json(description.to_dict())
        return
    for table in description_tables(description):
        out.print(table)


@app.command()
def labels(
    data: Data,
    target: Annotated[Path, typer.Option("--out", help="The CSV file to write.")] = Path(
        "labels.csv"
    ),
    split: Split = "train",
) -> None:
    """Write the persons' binary labels, one column per attribute, as CSV."""
    from passerby.datasets import read_crops
    from passerby.datasets.annotations import annotation_csv
    from passerby.errors import InputError
    from passerby.files import write_text

    crops = read_crops(data, split)
    if crops.schema is None:
        raise InputError(f"{data} has no attribute annotations: give an annotated dataset.")
    persons, table = crops.person_labels()
    names = crops.schema.attributes
    rows = (
        (str(person), dict(zip(names, row.astype(int).tolist(), strict=True)))
        for person, row in zip(persons, table, strict=True)
    )
    write_text(target, annotation_csv(rows, names))
    say(f"{len(persons)} persons with {len(names)} labels each written to {target}.")


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
