"""`passerby evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.console import out, print_json, progress_bar, say

if TYPE_CHECKING:
    from passerby.data import Crops
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
    from passerby.errors import InputError
    from passerby.evaluation import evaluate_attributes
    from passerby.reporting.tables import attribute_tables

    runtime = RuntimeModel.load(model)
    crops = read_crops(data, part)
    if crops.labels is None or crops.persons is None or crops.schema is None:
        raise InputError(f"{data} has no attribute annotations to score against: add them.")
    if crops.schema != runtime.schema:
        raise InputError(
            f"The model answers the schema {runtime.schema.name}, but {data} is annotated with "
            f"{crops.schema.name}: choose a model of the same schema."
        )
    rule = _decision(runtime.info, decision)
    crops = _unseen(crops, runtime.info)
    assert crops.labels is not None
    assert crops.persons is not None
    with progress_bar("Embedding") as progress:
        embeddings = runtime.embed(crops, progress=progress)
    report = evaluate_attributes(
        embeddings.attributes, crops.labels, crops.persons, runtime.schema, rule
    )
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


def _unseen(crops: "Crops", info: "ModelInfo") -> "Crops":
    """Leave out the persons that the model was trained or calibrated on."""
    from passerby.errors import InputError

    training = info.training
    if not training or training.get("data") != crops.fingerprint:
        say("These are not the crops that the model was trained on: all persons are scored.")
        return crops
    if not training["held_out_persons"]:
        raise InputError(
            "The model was trained on every person of these data: evaluate it on other data, or "
            "train with data.held_out_persons."
        )
    return crops.of_persons(training["held_out_persons"])
