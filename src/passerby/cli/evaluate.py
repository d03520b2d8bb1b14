"""`passerby evaluate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from passerby.cli.console import out, print_json, progress_bar, say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT, SPLIT
from passerby.cli.distances import FEATURES, KIND, METRIC
from passerby.cli.model_option import BACKEND, DEVICE, MODEL_ARGUMENT
from passerby.cli.reading import choose_split, naming, read_data

if TYPE_CHECKING:
    from passerby.calibration import Matcher
    from passerby.data import Crops
    from passerby.datasets import Dataset
    from passerby.evaluation import EvaluationProtocol, Report
    from passerby.evaluation.comparison import Comparison
    from passerby.inference import Embeddings, RuntimeModel
    from passerby.inference.decision import Decision
    from passerby.ranking import Distance
    from passerby.ranking.query_scores import AveragePrecision


@dataclass(frozen=True)
class _Asked:
    """How a model is scored, whatever the dataset."""

    split: str | None
    root: Path | None
    pattern: str | None
    accept_missing: bool
    mapping: str | None
    decision: str | None
    protocol: str | None
    cameras: str | None
    features: str | None
    metric: str | None
    kind: str | None
    average_precision: "AveragePrecision"
    rerank: bool
    seed: int
    trials: int
    flip: bool


def evaluate(
    data: Annotated[
        list[Path],
        typer.Option(
            help="A dataset, a manifest, or a folder of crops; may be given again, for one table."
        ),
    ],
    model: MODEL_ARGUMENT = None,
    backend: BACKEND = "onnxruntime",
    device: DEVICE = "cpu",
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
    compare: Annotated[
        str | None,
        typer.Option(help="Another model: how far the two are apart on the same queries."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML report with plots and ranked lists.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a model's attributes and re-identification on persons it was not trained on."""
    from passerby.data.crops import concatenate
    from passerby.datasets.joining import Source
    from passerby.errors import InputError
    from passerby.files import check_writable
    from passerby.inference import RuntimeModel
    from passerby.inference.leakage import check_copies
    from passerby.ranking.query_scores import check_average_precision

    if report is not None:
        from passerby.reporting.html_report import check_installed

        check_installed()
        check_writable(report)
        if len(data) > 1:
            raise InputError("A report is about one dataset: give --data once.")
    asked = _Asked(
        split, root, pattern, accept_missing, mapping, decision, protocol, cameras, features,
        metric, kind, check_average_precision(average_precision), rerank, seed, trials, flip,
    )  # fmt: skip
    runtime = RuntimeModel.load(model, backend=backend, device=device)
    other = None if compare is None else RuntimeModel.load(compare, backend=backend, device=device)
    if other is not None and other.info == runtime.info:
        raise InputError("`compare` is the model itself: give another one.")
    # all that can be wrong with any of the data is looked at before the long work
    tasks = {}
    for title, place in _titles(data).items():
        with naming(title if len(data) > 1 else None):
            tasks[title] = _Task.of(runtime, other, place, asked, several=len(data) > 1)
    if len(data) > 1:
        check_copies([Source(title, concatenate(task.parts)) for title, task in tasks.items()])
    results = {}
    for title, task in tasks.items():
        with naming(title if len(data) > 1 else None):
            results[title] = _scored(runtime, other, task, asked)
    if len(data) > 1:
        _tell_several(results, json=json)
        return
    (single,) = results.values()
    _tell(runtime, *single, report, json=json)


def _titles(places: list[Path]) -> dict[str, Path]:
    """Return what each place is called: the last part of its path that tells it apart."""
    from passerby.datasets.joining import short_titles
    from passerby.errors import InputError

    if len({place.resolve() for place in places}) < len(places):
        raise InputError("The same place is given twice as --data: give each once.")
    return dict(zip(short_titles(list(map(str, places))), places, strict=True))


@dataclass(frozen=True)
class _Task:
    """What is scored on one dataset: the crops of a split, or queries and gallery."""

    parts: "list[Crops]"
    protocol: "EvaluationProtocol"
    decision: "Decision | None"
    matcher: "Matcher"
    others: "Distance | None"
    trials: int

    @classmethod
    def of(
        cls,
        runtime: "RuntimeModel",
        other: "RuntimeModel | None",
        data: Path,
        asked: _Asked,
        *,
        several: bool,
    ) -> "_Task":
        from passerby.calibration import choose_matcher
        from passerby.datasets import recognize
        from passerby.errors import InputError
        from passerby.evaluation import EvaluationProtocol
        from passerby.evaluation.evaluate import check_annotated

        rule = runtime.info.decision_by(asked.decision)
        standard = None if asked.pattern is not None else recognize(data)
        protocol = asked.protocol
        if protocol is None:
            protocol = "market" if standard and standard.protocol == "market" else "course"
        how = EvaluationProtocol.named(protocol, asked.cameras, asked.seed)
        matcher = choose_matcher(runtime.info, asked.features, asked.metric, asked.kind)
        parts = []
        for name in _splits(standard, data, asked):
            crops = read_data(data, name, asked.root, asked.pattern, asked.accept_missing)
            parts.append(_crops_to_score(runtime, other, crops, name, asked.mapping))
        named = check_annotated(parts[0], parts[-1])
        if other is not None and not named:
            raise InputError(
                "`compare` compares how persons are found, but these crops name none: leave it out."
            )
        others = None
        if other is not None:
            with naming("The other model"):
                found = choose_matcher(other.info, asked.features, asked.metric, asked.kind)
                others = found.distance
        if parts[0].has_persons:
            how.check(*parts)
        # of several datasets those with queries of their own have nothing to draw
        trials = 1 if several and len(parts) > 1 else asked.trials
        return cls(parts, how, rule, matcher, others, trials)


def _scored(
    runtime: "RuntimeModel", other: "RuntimeModel | None", task: _Task, asked: _Asked
) -> "tuple[Report, Comparison | None]":
    """Score one model on one dataset, and how far another one is from it."""
    from passerby.evaluation import evaluate as score
    from passerby.evaluation.comparison import compare
    from passerby.ranking import Reranking

    found = score(
        *(_embedded(runtime, crops, asked.flip) for crops in task.parts),
        protocol=task.protocol,
        distance=task.matcher.distance,
        calibration=task.matcher.calibration,
        decision=task.decision,
        average_precision=asked.average_precision,
        reranking=Reranking() if asked.rerank else None,
        trials=task.trials,
    )
    if found.retrieval is None:
        say("Nobody appears in two crops: re-identification is not scored.")
    elif task.matcher.calibration is None:
        say(
            "The distance is not calibrated, so there are neither answer sets nor averages over "
            "crops of one person: see passerby calibrate."
        )
    if other is None or found.retrieval is None:
        return found, None
    theirs = score(
        *(_embedded(other, crops.without_labels(), asked.flip) for crops in task.parts),
        protocol=task.protocol,
        distance=task.others,
        average_precision=asked.average_precision,
        resamples=0,
    )
    assert theirs.retrieval is not None
    return found, compare(found.retrieval, theirs.retrieval)


def _splits(standard: "Dataset | None", data: Path, asked: _Asked) -> tuple[str, ...]:
    if asked.split is None:
        return ("train",) if standard is None else standard.scored
    own = standard is not None and {"query", "gallery"} <= set(standard.splits)
    if asked.split == "test" and own:
        return ("query", "gallery")
    return (choose_split(data, asked.split, pattern=asked.pattern),)


def _tell(
    runtime: "RuntimeModel",
    found: "Report",
    compared: "Comparison | None",
    report: Path | None,
    *,
    json: bool,
) -> None:
    from passerby.reporting.retrieval_tables import comparison_line, retrieval_tables
    from passerby.reporting.tables import attribute_tables, headline

    if report is not None:
        from passerby.reporting.html_report import write_report

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
        print_json(_as_dict(found, compared))
        return
    for line in headline(found.attributes, found.retrieval):
        out.print(line, soft_wrap=True)
    if compared is not None:
        out.print(comparison_line(compared), soft_wrap=True)
    if found.retrieval is not None:
        for table in retrieval_tables(found.retrieval, found.queries):
            out.print(table)
    if found.attributes is not None:
        for table in attribute_tables(found.attributes, found.attributes_pooled):
            out.print(table)


def _tell_several(results: "dict[str, tuple[Report, Comparison | None]]", *, json: bool) -> None:
    from passerby.reporting.tables import sets_table

    if json:
        print_json({"sets": {title: _as_dict(*result) for title, result in results.items()}})
        return
    out.print(sets_table(results))


def _as_dict(found: "Report", compared: "Comparison | None") -> dict[str, Any]:
    more = {} if compared is None else {"compared": compared.to_dict()}
    return {**found.to_dict(), **more}


def _crops_to_score(
    runtime: "RuntimeModel",
    other: "RuntimeModel | None",
    everyone: "Crops",
    name: str,
    mapping: str | None,
) -> "Crops":
    """Leave out what the models were trained on, and put labels into the schema of the first."""
    from passerby.inference.leakage import find_known_crops, leave_out_seen

    seen = runtime.seen
    crops = leave_out_seen(everyone, runtime.info, seen)
    if find_known_crops(crops, seen.unlabelled).any():
        say(
            f"The model learned from the crops of {name}, though not from their annotation: "
            "these persons are not strangers to it."
        )
    elif len(crops) == len(everyone):
        say(f"The model was trained on nothing of the split {name}: all of it is scored.")
    if find_known_crops(crops, seen.calibration).any():
        say("The distances were calibrated on these very persons: they look too good on them.")
    if other is not None:
        mine = len(crops)
        with naming("The other model"):
            crops = leave_out_seen(crops, other.info, other.seen)
        if len(crops) < mine:
            say(
                f"Both models are scored without {mine - len(crops):,} crops of the split {name}: "
                "the other model was trained or calibrated on their persons."
            )
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
        say(found.sentence)
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
