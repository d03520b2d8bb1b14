"""`passerby rank`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.console import print_json, progress_bar, say
from passerby.cli.distances import FEATURES, KIND, METRIC
from passerby.cli.model_option import MODEL
from passerby.cli.skipping import skip_or_stop

if TYPE_CHECKING:
    from passerby.data.crops import Crops
    from passerby.inference import Embeddings, RuntimeModel


def rank(
    queries: Annotated[Path, typer.Option(help="One crop, a folder, a dataset, or embeddings.")],
    gallery: Annotated[Path, typer.Option(help="A folder, a dataset, or embeddings.")],
    model: MODEL = None,
    target: Annotated[Path, typer.Option("--out", help="The file to write.")] = Path(
        "reid_test.txt"
    ),
    beta: Annotated[
        float | None, typer.Option(help="Threshold of the best F-beta; 2 if nothing is given.")
    ] = None,
    recall: Annotated[float | None, typer.Option(help="Threshold for this recall.")] = None,
    false_match_rate: Annotated[
        float | None, typer.Option(help="Threshold for this fraction of the wrong crops.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Largest distance of an answer.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Number of answers.", min=1)] = None,
    gap: Annotated[bool, typer.Option("--gap", help="Cut at the largest gap.")] = False,
    features: FEATURES = None,
    metric: METRIC = None,
    kind: KIND = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror images.")] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out crops that cannot be decoded.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with distances.")
    ] = False,
) -> None:
    """Find each query's person in a gallery: its answer set, nearest first, possibly empty."""
    from passerby.calibration import AnswerRule, choose_distance, find_answer_sets
    from passerby.data.crops import Crops
    from passerby.files import check_no_input, check_writable, write_text
    from passerby.inference import RuntimeModel, find_model
    from passerby.reporting.rankings import check_names, ranking_json, ranking_text

    rule = AnswerRule.chosen(
        beta=beta,
        recall=recall,
        false_match_rate=false_match_rate,
        threshold=threshold,
        top_k=top_k,
        gap=gap,
    )
    paths = {"query": queries, "gallery": gallery}
    check_writable(target)
    folder = find_model(model)
    check_no_input(target, folder.iterdir())
    runtime = RuntimeModel.load(folder)
    distance, calibration = choose_distance(runtime.info, features, metric, kind)
    # all that can be wrong is looked at before the long work
    sources = {part: _read(runtime, path, part, flip) for part, path in paths.items()}
    for part, source in sources.items():
        crops = source if isinstance(source, Crops) else source.crops
        check_names(crops, part)
        check_no_input(target, crops.paths)
    limit = rule.threshold(calibration, len(sources["gallery"]))
    asked, searched = (
        _embedded(runtime, sources[part], part, flip, skip_broken) for part in ("query", "gallery")
    )
    with progress_bar("Ranking", "queries") as progress:
        ranking = find_answer_sets(asked, searched, distance, rule, limit, progress=progress)
    write_text(target, ranking_text(ranking))
    empty = sum(1 for rows, _ in ranking if not len(rows))
    cut = "" if limit is None else f", at most {limit:.4g} away"
    say(
        f"Answer sets of {len(ranking)} queries written to {target}: "
        f"{len(ranking.rows) / len(ranking):.1f} crops each on average ({distance.name}{cut}), "
        f"{empty} empty."
    )
    if json:
        print_json(ranking_json(ranking, distance, calibration, limit, runtime.info.name))


def _read(runtime: "RuntimeModel", source: Path, part: str, flip: bool) -> "Crops | Embeddings":
    from passerby.datasets import read_crops
    from passerby.errors import InputError
    from passerby.inference import is_embeddings, read_embeddings

    if not is_embeddings(source):
        # of a whole dataset its own queries and gallery
        return read_crops(source, "train" if source.is_file() else part)
    stored = read_embeddings(source)
    if stored.model != runtime.info.fingerprint:
        raise InputError(
            f"{source} was embedded with another model ({stored.model[:8]}…) than "
            f"{runtime.info.name} ({runtime.info.fingerprint[:8]}…): embed its crops again, or "
            "rank with the model that made it."
        )
    if stored.flip != flip:
        raise InputError(
            f"{source} was embedded with{'' if stored.flip else 'out'} --flip: "
            f"{'give it here too' if stored.flip else 'leave it out here too'}, or embed again."
        )
    return stored


def _embedded(
    runtime: "RuntimeModel",
    source: "Crops | Embeddings",
    part: str,
    flip: bool,
    skip_broken: bool,
) -> "Embeddings":
    from passerby.inference import Embeddings

    if isinstance(source, Embeddings):
        return source
    with progress_bar(f"Embedding ({part})") as progress:
        return runtime.embed(
            source, flip=flip, on_broken=skip_or_stop(skip_broken), progress=progress
        )
