"""`passerby evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.console import out, print_json, progress_bar, say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT, SPLIT
from passerby.cli.distances import FEATURES, KIND, METRIC
from passerby.cli.model_option import MODEL_ARGUMENT
from passerby.cli.reading import choose_split, read_data

if TYPE_CHECKING:
    from passerby.data import Crops
    from passerby.inference import Embeddings, RuntimeModel


def evaluate(
    data: Annotated[Path, typer.Option(help="A dataset, a manifest, or a folder of crops.")],
    model: MODEL_ARGUMENT = None,
    split: SPLIT = None,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
    mapping: Annotated[
        str | None,
        typer.Option(help="A schema mapping, YAML, from the data's attributes to the model's."),
    ] = None,
    decision: Annotated[
        str | None,
        typer.Option(
            help="fixed, group, thresholds, prevalence or deepmar; the model's own if left out."
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="course: a random query of each person; market: of each camera too; the "
            "dataset's standard if left out."
        ),
    ] = None,
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
    trials: Annotated[
        int, typer.Option(help="Draw the random queries so often; means are printed.", min=1)
    ] = 1,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror images.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML report with plots and ranked lists.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a model's attributes and re-identification on persons it was not trained on."""
    from passerby.calibration import choose_matcher
    from passerby.datasets import recognize
    from passerby.evaluation import EvaluationProtocol
    from passerby.evaluation import evaluate as score
    from passerby.files import check_writable
    from passerby.inference import RuntimeModel
    from passerby.ranking import Reranking
    from passerby.ranking.query_scores import check_average_precision
    from passerby.reporting.retrieval_tables import retrieval_tables
    from passerby.reporting.tables import attribute_tables, headline

    if report is not None:
        from passerby.reporting.html_report import check_installed, write_report

        check_installed()
        check_writable(report)
    runtime = RuntimeModel.load(model)
    rule = runtime.info.decision_by(decision)
    standard = None if pattern is not None else recognize(data)
    if protocol is None:
        protocol = "market" if standard and standard.protocol == "market" else "course"
    asked = EvaluationProtocol.named(protocol, cameras, seed)
    variant = check_average_precision(average_precision)
    matcher = choose_matcher(runtime.info, features, metric, kind)
    splits = ("train",) if standard is None else standard.scored
    if split is not None:
        own = standard is not None and {"query", "gallery"} <= set(standard.splits)
        both = split == "test" and own
        splits = ("query", "gallery") if both else (choose_split(data, split, pattern=pattern),)
    # all that can be wrong with the crops is looked at before the long work
    parts = []
    for name in splits:
        crops = read_data(data, name, root, pattern, accept_missing)
        parts.append(_crops_to_score(runtime, crops, name, mapping))
    if parts[0].has_persons:
        asked.check(*parts)
    embedded = [_embedded(runtime, crops, flip) for crops in parts]
    found = score(
        *embedded,
        protocol=asked,
        distance=matcher.distance,
        calibration=matcher.calibration,
        decision=rule,
        average_precision=variant,
        reranking=Reranking() if rerank else None,
        trials=trials,
    )
    if found.retrieval is None:
        say("Nobody appears in two crops: re-identification is not scored.")
    elif matcher.calibration is None:
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
    for line in headline(found.attributes, found.retrieval):
        out.print(line, soft_wrap=True)
    if found.retrieval is not None:
        for table in retrieval_tables(found.retrieval, found.queries):
            out.print(table)
    if found.attributes is not None:
        for table in attribute_tables(found.attributes, found.attributes_pooled):
            out.print(table)


def _crops_to_score(
    runtime: "RuntimeModel", everyone: "Crops", name: str, mapping: str | None
) -> "Crops":
    """Leave out what the model was trained on, and put labels into its schema."""
    from passerby.inference.leakage import find_known_crops, leave_out_seen

    seen = runtime.seen
    crops = leave_out_seen(everyone, runtime.info, seen)
    if len(crops) == len(everyone):
        if find_known_crops(crops, seen.unlabelled).any():
            say(
                f"The model learned from the crops of {name}, though not from their annotation: "
                "these persons are not strangers to it."
            )
        else:
            say(f"The model was trained on nothing of the split {name}: all of it is scored.")
    if find_known_crops(crops, seen.calibration).any():
        say("The distances were calibrated on these very persons: they look too good on them.")
    return _mapped(runtime, crops, mapping)


def _mapped(runtime: "RuntimeModel", crops: "Crops", mapping: str | None) -> "Crops":
    from passerby.errors import InputError

    schema = runtime.schema
    if crops.schema is None or crops.schema == schema:
        if mapping is not None:
            raise InputError(
                "The data have no attributes, or those of the model, so that nothing is mapped: "
                "leave out `mapping`."
            )
        return crops
    if schema is None:
        return crops.without_labels()
    from passerby.datasets.schema_mapping import SchemaMapping, find_mapping

    found = find_mapping(crops.schema, schema) if mapping is None else SchemaMapping.load(mapping)
    if found is not None:
        say(f"Labels are mapped from {found.source} to {found.target}; see {found.name}.")
        return found.apply(crops)
    sentence = (
        f"The crops are annotated with {crops.schema.name or 'other attributes'}, not with those "
        "that the model answers, and no mapping between the two is known"
    )
    if not crops.has_persons:
        raise InputError(f"{sentence}: give one with `mapping`, or choose another model.")
    say(f"{sentence}: attributes are not scored.")
    return crops.without_labels()


def _embedded(runtime: "RuntimeModel", crops: "Crops", flip: bool) -> "Embeddings":
    with progress_bar("Embedding") as progress:
        return runtime.embed(crops, flip=flip, on_remark=say, progress=progress)
