"""`passerby evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.console import out, print_json, progress_bar, say
from passerby.cli.distances import FEATURES, KIND, METRIC
from passerby.cli.model_option import MODEL_ARGUMENT

if TYPE_CHECKING:
    from passerby.data import Crops
    from passerby.evaluation import EvaluationProtocol
    from passerby.inference import Embeddings, RuntimeModel


def evaluate(
    data: Annotated[Path, typer.Option(help="A dataset with person ids.")],
    model: MODEL_ARGUMENT = None,
    split: Annotated[
        str,
        typer.Option(help="train, gallery or query; test: the dataset's own queries and gallery."),
    ] = "train",
    decision: Annotated[
        str | None,
        typer.Option(
            help="fixed, group, thresholds, prevalence or deepmar; the model's own if left out."
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="course: a random query of each person; market: of each camera too."),
    ] = "course",
    cameras: Annotated[
        str | None,
        typer.Option(help="ignored, or cross: matches within a camera do not count."),
    ] = None,
    features: FEATURES = None,
    metric: METRIC = None,
    kind: KIND = None,
    average_precision: Annotated[
        str, typer.Option("--ap", help="plain, or trapezoid as in Market-1501's Matlab code.")
    ] = "plain",
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Score k-reciprocal re-ranking too, on its own line.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the random queries.", min=0)] = 0,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror images.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML report with plots and ranked strips.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a model's attributes and re-identification on persons it was not trained on."""
    from passerby.calibration import choose_distance
    from passerby.evaluation import EvaluationProtocol
    from passerby.evaluation import evaluate as score
    from passerby.files import check_writable
    from passerby.inference import RuntimeModel
    from passerby.ranking import Reranking
    from passerby.ranking.query_scores import check_average_precision
    from passerby.reporting.retrieval_tables import retrieval_tables
    from passerby.reporting.tables import attribute_tables

    if report is not None:
        from passerby.reporting.html_report import check_installed, write_report

        check_installed()
        check_writable(report)
    runtime = RuntimeModel.load(model)
    rule = runtime.info.decision_by(decision)
    asked = EvaluationProtocol.named(protocol, cameras, seed)
    variant = check_average_precision(average_precision)
    distance, calibration = choose_distance(runtime.info, features, metric, kind)
    people, gallery = _people(runtime, data, split, asked, flip)
    found = score(
        people,
        gallery,
        protocol=asked,
        distance=distance,
        calibration=calibration,
        decision=rule,
        average_precision=variant,
        reranking=Reranking() if rerank else None,
    )
    if found.retrieval is None:
        say("Nobody appears in two crops: re-identification is not scored.")
    elif calibration is None:
        say(
            "The distance is not calibrated, so there are neither answer sets nor averages over "
            "crops of one person: see passerby calibrate."
        )
    if report is not None:
        answer_sets = [] if found.retrieval is None else found.retrieval.answer_sets
        write_report(
            report,
            title=runtime.info.name,
            attributes=found.attributes,
            pooled=found.attributes_pooled,
            retrieval=found.retrieval,
            queries=found.queries,
            gallery=found.gallery,
            threshold=answer_sets[0].threshold if answer_sets else None,
        )
        say(f"Report written to {report}.")
    if json:
        print_json(found.to_dict())
        return
    if found.attributes is not None:
        for table in attribute_tables(found.attributes, found.attributes_pooled):
            out.print(table)
    if found.retrieval is not None:
        for table in retrieval_tables(found.retrieval, found.queries):
            out.print(table)


def _people(
    runtime: "RuntimeModel", data: Path, split: str, protocol: "EvaluationProtocol", flip: bool
) -> tuple["Embeddings", "Embeddings | None"]:
    """Embed what is to be scored: one split of the data, or its queries and its gallery.

    All that can be wrong with the crops is looked at before the long work.
    """
    from passerby.datasets import read_crops
    from passerby.inference.leakage import is_training_data, is_unlabelled_data, leave_out_seen

    def chosen(name: str) -> "Crops":
        everyone = read_crops(data, name)
        crops = leave_out_seen(everyone, runtime.info)
        if crops.fingerprint == runtime.info.calibration_data:
            say("The distances were calibrated on these very persons: they look too good on them.")
        if is_unlabelled_data(everyone, runtime.info):
            say(
                f"The model learned from the crops of {name}, though not from their annotation: "
                "these persons are not strangers to it."
            )
        elif not is_training_data(everyone, runtime.info):
            say(f"The model was not trained on a part of these data: all of {name} is scored.")
        return crops

    def embedded(crops: "Crops") -> "Embeddings":
        with progress_bar("Embedding") as progress:
            return runtime.embed(crops, flip=flip, progress=progress)

    if split == "test":
        queries, gallery = chosen("query"), chosen("gallery")
        protocol.check(queries, gallery)
        return embedded(queries), embedded(gallery)
    people = chosen(split)
    protocol.check(people)
    return embedded(people), None
