"""`passerby evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.console import out, print_json, progress_bar, say

if TYPE_CHECKING:
    from passerby.embedding import Decision, ModelInfo


def evaluate(
    model: Annotated[str, typer.Argument(help="A run, a model file's folder, or a Hub id.")],
    data: Annotated[Path, typer.Option(help="An annotated dataset.")],
    part: Annotated[str, typer.Option(help="Which part: train, gallery or query.")] = "train",
    decision: Annotated[
        str | None,
        typer.Option(help="fixed, group or thresholds; the model's own rule if left out."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a model's attributes on the persons it was not trained on."""
    from passerby.data.readers import read_crops
    from passerby.embedding import RuntimeModel
    from passerby.evaluation import evaluate_attributes, is_training_data, unseen
    from passerby.reporting.tables import attribute_tables

    runtime = RuntimeModel.load(model)
    rule = _decision(runtime.info, decision)
    everyone = read_crops(data, part)
    crops = unseen(everyone, runtime.info)
    if not is_training_data(everyone, runtime.info):
        say("The model was not trained on a part of these data: all persons are scored.")
    with progress_bar("Embedding") as progress:
        embeddings = runtime.embed(crops, progress=progress)
    report = evaluate_attributes(embeddings, rule)
    if json:
        print_json({"attributes": report.to_json()})
        return
    for table in attribute_tables(report):
        out.print(table)


def _decision(info: "ModelInfo", rule: str | None) -> "Decision":
    from passerby.embedding import Decision

    if rule is None or rule == info.decision.rule:
        return info.decision
    return Decision(rule)  # type: ignore[arg-type]
