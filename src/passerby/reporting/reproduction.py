"""The course report's two tables, made again: which runs they take, and what these score."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passerby.calibration import choose_matcher
from passerby.data.crops import Crops
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.evaluation import EvaluationProtocol, evaluate_attributes, evaluate_retrieval
from passerby.inference import Decision, Embeddings, RuntimeModel
from passerby.inference.leakage import has_training_crops, leave_out_seen
from passerby.inference.model_info import ModelInfo

PUBLISHED_TABLE_1 = {
    "the report": {"precision": 0.593, "recall": 0.549, "f1": 0.553},
    "the report, with attention": {"precision": 0.574, "recall": 0.530, "f1": 0.536},
}
PUBLISHED_TABLE_2 = {
    "the report": {"top1": 0.787, "top5": 0.94, "map": 0.523},
    "the report, weighted": {"top1": 0.78, "top5": 0.94, "map": 0.523},
}

_COURSE_PERSONS = 751
_REPORT_BACKBONE = "resnet50"
_DISTANCES = (
    ("attributes", "euclidean", "plain"),
    ("logits", "normalized_euclidean", "plain"),
    ("logits", "normalized_euclidean", "weighted"),
    ("logits", "normalized_euclidean", "learned"),
)
_EMBEDDING = ("embedding", "normalized_euclidean", "plain")


@dataclass(frozen=True)
class Plan:
    """Which runs a reproduction takes.

    Attributes:
        data: an annotated dataset.
        runs: folder of the runs; finished ones are only scored.
        splits: seeds of the splits.
        cpu: take the recipes for CPUs.
        weights: of the backbone, as a recipe's `model.weights`; the recipe's own if None.
        budget: fraction of each phase's epochs, in (0, 1].
        overrides: further `key=value` for every recipe.
        train: whether missing runs are trained or left out.
    """

    data: Path
    runs: Path
    splits: Sequence[int] = (0,)
    cpu: bool = False
    weights: str | None = None
    budget: float = 1.0
    overrides: Sequence[str] = ()
    train: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 1:
            raise InputError(f"The budget is {self.budget}: choose a fraction above 0 and up to 1.")


@dataclass(frozen=True)
class PlannedRun:
    """One run.

    Attributes:
        title: what the tables call it.
        recipe: name of a shipped one.
        folder: of the run.
        overrides: `key=value` for the recipe.
        table: 1 or 2.
    """

    title: str
    recipe: str
    folder: Path
    overrides: tuple[str, ...]
    table: int


def planned_runs(plan: Plan, split: int) -> Iterator[PlannedRun]:
    """Yield the runs of one split in the order in which they are to be trained."""
    suffix = "-cpu" if plan.cpu else ""
    seeds = (f"data.seed={split}", f"seed={split}")
    weights = () if plan.weights is None else (f"model.weights={plan.weights}",)

    def run(title: str, recipe: str, *overrides: str, table: int) -> PlannedRun:
        folder = plan.runs / f"{recipe}{suffix}-{split}"
        settings = (*seeds, *overrides, *plan.overrides)
        return PlannedRun(title, f"{recipe}{suffix}", folder, settings, table)

    base = run("attributes", "course-attributes", *weights, table=1)
    yield base
    yield run("attributes, with attention", "course-attention", *weights, table=1)
    yield run("attribute vectors", "course-reid", f"model.weights={base.folder}", table=2)
    yield run("embeddings", "apr", *weights, table=2)


def reproduce(
    plan: Plan,
    train: Callable[[PlannedRun], None],
    say: Callable[[str], None],
    earlier: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train what is missing and score everything.

    Args:
        plan: what to reproduce.
        train: trains a planned run.
        say: told what goes on.
        earlier: what this returned before; rows of runs that are gone are taken from it.

    Returns:
        JSON: "table1" and "table2", lists of rows; "published"; "budget"; "kept", the folders of
        runs whose earlier rows were taken; "missing", those that were left out.

    Raises:
        InputError: the data or a recipe is not as it has to be, or nothing is there to be scored.
    """
    rows: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    missing: list[str] = []
    kept: list[str] = []
    crops = read_crops(plan.data)
    if crops.labels is None:
        raise InputError(f"{plan.data} has no attribute annotations: give an annotated dataset.")
    for split in plan.splits:
        for run in planned_runs(plan, split):
            if plan.train:
                train(run)
            if not (run.folder / "model").is_dir():
                before = _earlier_rows(earlier, run, split, crops.person_count)
                rows[run.table] += before
                (kept if before else missing).append(run.folder.name)
                continue
            say(f"Scoring {run.folder.name}")
            model = RuntimeModel.load(run.folder)
            if not has_training_crops(crops, model.seen):
                raise InputError(
                    f"{run.folder} was trained on other data than {plan.data}: give the same data, "
                    "or another folder of `runs`."
                )
            people = model.embed(leave_out_seen(crops, model.info, model.seen))
            score = _attribute_rows if run.table == 1 else _retrieval_rows
            rows[run.table] += [
                {"title": run.title, "split": split, **_provenance(model.info, crops), **row}
                for row in score(people, model.info, split)
            ]
    if not rows[1] and not rows[2]:
        raise InputError(f"There is no finished run in {plan.runs}: train them first.")
    return {
        "published": {"table1": PUBLISHED_TABLE_1, "table2": PUBLISHED_TABLE_2},
        "table1": rows[1],
        "table2": rows[2],
        "budget": plan.budget,
        "persons": crops.person_count,
        "missing": missing,
        "kept": kept,
    }


def _earlier_rows(
    earlier: dict[str, Any] | None, run: PlannedRun, split: int, persons: int
) -> list[dict[str, Any]]:
    if earlier is None or earlier["persons"] != persons:
        return []
    rows = earlier[f"table{run.table}"]
    return [row for row in rows if row["recipe"] == run.recipe and row["split"] == split]


def deviations(results: dict[str, Any]) -> list[str]:
    """Return in which ways the runs differ from the report's, a sentence each."""
    found = [
        "The report's split of 600 and 151 persons is not known: ours are drawn by seed "
        f"({', '.join(str(s) for s in _values(results, 'split'))})."
    ]
    found.append(
        f"{', '.join(str(n) for n in _values(results, 'training_persons'))} persons are trained "
        "on, the report's 600: the others of the 600 are kept back to estimate weights and "
        "thresholds on."
    )
    if results["persons"] != _COURSE_PERSONS:
        found.append(
            f"These are other data, of {results['persons']} persons, than the report's: the "
            "figures cannot be compared."
        )
    if results["budget"] < 1:
        found.append(
            f"--budget {results['budget']:g}: every phase was shortened to that part of its epochs."
        )
    backbones = [b for b in _values(results, "backbone") if not b.startswith(_REPORT_BACKBONE)]
    if backbones:
        found.append(f"The backbone is {', '.join(backbones)}, the report's a ResNet-50.")
    sizes = [f"{height}×{width}" for height, width in _values(results, "size")]
    found.append(f"Crops are resized to {', '.join(sizes)} pixels; the report does not say.")
    for row in {row["recipe"]: row for row in _rows(results)}.values():
        report = (
            "50 after the attribute model's" if row["recipe"].startswith("course-reid") else 150
        )
        if row["recipe"].startswith("course"):
            found.append(f"{row['recipe']}: {row['epochs']} epochs, the report's took {report}.")
        else:
            found.append(
                f"{row['recipe']}: {row['epochs']} epochs; the report trained no embeddings."
            )
    if any(row["recipe"].startswith("course-reid") for row in _rows(results)):
        found.append(
            "course-reid also pulls the attribute vectors of one person together (triplets); what "
            "the report fine-tuned with, and how it weighted, is not said."
        )
    if results["kept"]:
        found.append(f"Scored by an earlier call, their runs gone: {', '.join(results['kept'])}.")
    if results["missing"]:
        found.append(f"Left out, since they are not trained: {', '.join(results['missing'])}.")
    return found


def _attribute_rows(people: Embeddings, info: ModelInfo, split: int) -> Iterator[dict[str, Any]]:
    report = evaluate_attributes(people, Decision("fixed"))
    yield {"rule": "fixed 0.5, as in the report", **report.to_dict()}


def _retrieval_rows(people: Embeddings, info: ModelInfo, split: int) -> Iterator[dict[str, Any]]:
    distances = _DISTANCES if info.name.startswith("course") else (_EMBEDDING,)
    for features, metric, kind in distances:
        matcher = choose_matcher(info, features, metric, kind)
        queries, gallery = EvaluationProtocol.named("course", seed=split).split(people.crops)
        yield evaluate_retrieval(
            people.of_rows(queries),
            people.of_rows(gallery),
            matcher.distance,
            matcher.calibration,
            protocol="course",
        ).to_dict()


def _provenance(info: ModelInfo, crops: Crops) -> dict[str, Any]:
    training = info.training
    return {
        "recipe": info.name,
        "backbone": info.architecture.get("backbone", "unknown"),
        "size": list(info.preprocessing.size),
        "epochs": training.epochs,
        "training_persons": sum(map(len, training.persons.values())),
        "minutes": round(training.seconds / 60, 1),
        "machine": training.machine,
        "versions": training.versions,
    }


def _rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [*results["table1"], *results["table2"]]


def _values(results: dict[str, Any], name: str) -> list[Any]:
    """Return the different values of a column, in order."""
    found: list[Any] = []
    for row in _rows(results):
        if row[name] not in found:
            found.append(row[name])
    return found
