"""`passerby rank`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.console import print_json, progress_bar, say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT
from passerby.cli.distances import FEATURES, KIND, METRIC
from passerby.cli.model_option import BACKEND, DEVICE, MODEL
from passerby.cli.reading import choose_split, read_data
from passerby.cli.skipping import skip_or_stop

if TYPE_CHECKING:
    from passerby.data.crops import Crops
    from passerby.inference import Embeddings, RuntimeModel


def rank(
    queries: Annotated[Path, typer.Option(help="One crop, a folder, a dataset, or embeddings.")],
    gallery: Annotated[Path, typer.Option(help="A folder, a dataset, or embeddings.")],
    model: MODEL = None,
    backend: BACKEND = "onnxruntime",
    device: DEVICE = "cpu",
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
    leave_out_copies: Annotated[
        bool,
        typer.Option(
            "--leave-out-copies",
            help="A gallery crop that is a query's file, byte for byte, is not its answer.",
        ),
    ] = False,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with distances.")
    ] = False,
) -> None:
    """Find each query's person in a gallery: its answer set, nearest first, possibly empty."""
    from passerby.calibration import AnswerRule, choose_matcher
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
    runtime = RuntimeModel.load(folder, backend=backend, device=device)
    matcher = choose_matcher(runtime.info, features, metric, kind)
    # all that can be wrong is looked at before the long work
    sources: dict[str, Crops | Embeddings] = {}
    for part, path in paths.items():
        sources[part] = _stored(runtime, path, flip) or read_data(
            path,
            choose_split(path, None, part, "test", pattern=pattern),
            root,
            pattern,
            accept_missing,
        )
        crops = _crops_of(sources[part])
        check_names(crops, part)
        check_no_input(target, crops.paths)
    copies = _find_copies(_crops_of(sources["query"]), _crops_of(sources["gallery"]))
    if copies and not leave_out_copies:
        say(
            f"{len(copies):,} of {len(sources['query']):,} queries lie in the gallery byte for "
            "byte, so they find themselves: --leave-out-copies leaves these out."
        )
    limit = rule.threshold(matcher.calibration, len(sources["gallery"]))
    asked, searched = (
        _embedded(runtime, sources[part], part, flip, skip_broken) for part in ("query", "gallery")
    )
    with progress_bar("Ranking", "queries") as progress:
        ranking = matcher.find_answer_sets(
            asked, searched, rule, leave_out_copies=leave_out_copies, progress=progress
        )
    write_text(target, ranking_text(ranking))
    empty = sum(1 for rows, _ in ranking if not len(rows))
    cut = "" if limit is None else f", at most {limit:.4g} away"
    asked_for = "1 query" if len(ranking) == 1 else f"{len(ranking):,} queries"
    say(
        f"Answer sets of {asked_for} written to {target}: "
        f"{len(ranking.rows) / len(ranking):.1f} crops each on average "
        f"({matcher.distance.name}{cut}), {empty} empty."
    )
    if json:
        print_json(ranking_json(ranking, matcher, limit, runtime.info.name))


def _crops_of(source: "Crops | Embeddings") -> "Crops":
    from passerby.data.crops import Crops

    return source if isinstance(source, Crops) else source.crops


def _find_copies(queries: "Crops", gallery: "Crops") -> list[int]:
    """Return the queries whose files lie in the gallery under other names."""
    from passerby.errors import InputError
    from passerby.ranking.copies import find_copies

    try:
        return find_copies(queries, gallery)
    except InputError:
        # a broken file is named when it is decoded; stored embeddings outlive their files
        return []


def _stored(runtime: "RuntimeModel", source: Path, flip: bool) -> "Embeddings | None":
    """Return embeddings that lie on disk; None if these are crops."""
    from passerby.errors import InputError
    from passerby.inference import is_embeddings, read_embeddings

    if not is_embeddings(source):
        return None
    stored = read_embeddings(source)
    own = runtime.info.vector_fingerprint
    if stored.model != own:
        raise InputError(
            f"{source} was embedded with another model ({stored.model[:8]}…) than "
            f"{runtime.info.name} ({own[:8]}…): embed its crops again, or rank with the model that "
            "made it."
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
            source,
            flip=flip,
            on_broken=skip_or_stop(skip_broken),
            on_remark=say,
            progress=progress,
        )
