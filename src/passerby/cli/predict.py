"""`passerby predict`."""

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import out, print_json, progress_bar, say


def predict(
    crops: Annotated[Path, typer.Argument(help="One image, or a folder of crops.")],
    model: Annotated[str, typer.Option(help="A model file's folder, a run, or a Hub id.")],
    target: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The CSV file to write; classification_test.csv for a folder if left out.",
        ),
    ] = None,
    part: Annotated[str, typer.Option(help="Of a dataset: train, gallery or query.")] = "gallery",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Predict attributes: a readable table for one image, a CSV file for many."""
    from passerby.data.readers import read_crops
    from passerby.embedding import RuntimeModel
    from passerby.files import write_text
    from passerby.reporting.predictions import prediction_csv, prediction_table

    single = crops.is_file()
    found = read_crops(crops, "train" if single else part)
    runtime = RuntimeModel.load(model)
    with progress_bar("Predicting") as progress:
        embeddings = runtime.embed(found, progress=progress)
    if target is not None or not (single or json):
        target = target or Path("classification_test.csv")
        write_text(target, prediction_csv(embeddings, runtime.info.decision))
        say(f"Attributes of {len(found)} crops written to {target}.")
    if json:
        names = runtime.schema.attributes
        rows = zip(found.paths, embeddings.attributes.tolist(), strict=True)
        print_json({str(p): dict(zip(names, values, strict=True)) for p, values in rows})
    elif single:
        out.print(prediction_table(embeddings, runtime.info.decision))
