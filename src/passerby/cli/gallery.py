"""`passerby gallery`: a searchable gallery."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.console import err, out, print_json, progress_bar, say
from passerby.cli.data_options import ROOT
from passerby.cli.extras import require
from passerby.cli.model_option import BACKEND, DEVICE, GALLERY_MODEL, MODEL
from passerby.cli.ray_option import RAY, WORKERS, opened_cluster
from passerby.cli.skipping import skip_or_stop

if TYPE_CHECKING:
    from passerby.gallery import Gallery
    from passerby.gallery.erasing import Erased

app = typer.Typer(
    help="Put crops into a gallery, search it, and erase people for good.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

GALLERY = Annotated[str, typer.Argument(help="The gallery's folder, or a URI such as s3://….")]
REASON = Annotated[str | None, typer.Option(help="Why, for the audit log.")]
WHERE = Annotated[
    str | None,
    typer.Option(help="Such as 'gender = female and upred and not hat and camera in (1, 3)'."),
]
YES = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SKIP = Annotated[
    bool, typer.Option("--skip-broken", help="Leave out crops that cannot be decoded.")
]


@app.command()
def create(
    gallery: GALLERY,
    model: MODEL = None,
    images: Annotated[
        str, typer.Option(help="thumbnails: keep small copies; paths: keep where crops lie.")
    ] = "thumbnails",
    keep_for: Annotated[
        str | None,
        typer.Option(help="Retention in days: `passerby serve` purges older crops: 30d, 8w, 1y."),
    ] = None,
    reason: REASON = None,
) -> None:
    """Make an empty gallery for the vectors of one model."""
    require("gallery")
    from passerby.errors import InputError
    from passerby.gallery import Gallery
    from passerby.gallery.retention import retention_days
    from passerby.inference import RuntimeModel

    if images not in ("thumbnails", "paths"):
        raise InputError(f"--images is {images!r}: choose thumbnails or paths.")
    days = None if keep_for is None else retention_days(keep_for)
    Gallery.create(
        gallery,
        RuntimeModel.load(model),
        model_source=_lasting(model),
        images=images,  # type: ignore[arg-type]
        retention_days=days,
        reason=reason,
    )
    say(f"Gallery {gallery} made. Next: passerby gallery add {gallery} FOLDER")


@app.command()
def add(
    gallery: GALLERY,
    places: Annotated[
        list[Path], typer.Argument(metavar="FOLDER|FILE|MANIFEST...", help="Crops to add.")
    ],
    pattern: Annotated[
        str | None,
        typer.Option(
            help="What file names say, such as '{source}_cam{camera}_{time:%Y%m%d-%H%M%S}_*.jpg' "
            "or 'cam{camera}/{track}/*.jpg'; Market-style names and manifests need none."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Where the crops come from, if they do not say.")
    ] = None,
    root: ROOT = None,
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken",
            help="Leave out crops that cannot be decoded or are not like --pattern.",
        ),
    ] = False,
    model: GALLERY_MODEL = None,
    backend: BACKEND = "onnxruntime",
    device: DEVICE = "cpu",
    ray: RAY = None,
    workers: WORKERS = None,
    reason: REASON = None,
    json: JSON = False,
) -> None:
    """Add crops; each is added once, however often it is given."""
    require("gallery")
    from passerby.datasets.finding import find_crops
    from passerby.errors import InputError

    store = _opened(gallery, model, backend, device)
    on_broken = skip_or_stop(skip_broken)
    unlike: list[str] = []

    def skip_name(error: InputError) -> None:
        say(f"Skipped: {error}")
        unlike.append(str(error))

    for place in places if pattern is None else ():
        _say_what_is_not_read(place)
    crops = find_crops(
        places, pattern, source, root=root, on_broken=skip_name if skip_broken else None
    )
    with opened_cluster(ray, workers) as cluster, progress_bar("Adding") as progress:
        try:
            added = store.add(
                crops, on_broken=on_broken, progress=progress, reason=reason, cluster=cluster
            )
        except KeyboardInterrupt:
            say("Interrupted: what was added stays; the same command adds the rest.")
            raise
        except InputError as error:
            raise InputError(f"{error} What was added before stays.") from None
    if store.needs_new_index:
        say("Many crops are newer than the index: building it anew.")
        store.build_index()
    skipped = unlike + added.broken
    if json:
        print_json({"added": added.rows, "known": added.known, "skipped": skipped})
    left_out = f", {len(skipped):,} skipped" if skipped else ""
    say(f"{_crops(added.rows)} added, {added.known:,} known already{left_out}.")


@app.command()
def search(
    gallery: GALLERY,
    images: Annotated[
        list[Path] | None,
        typer.Option("--image", help="A crop of whom to look for; several of the same person."),
    ] = None,
    where: WHERE = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Number of answers; 20 by description alone, if not given.", min=1),
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Threshold of the best F-beta; 2 if nothing is given.")
    ] = None,
    recall: Annotated[float | None, typer.Option(help="Threshold for this recall.")] = None,
    false_match_rate: Annotated[
        float | None, typer.Option(help="Threshold for this fraction of the wrong crops.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Largest distance of an answer.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Do without the index.")] = False,
    model: GALLERY_MODEL = None,
    reason: REASON = None,
    json: JSON = False,
) -> None:
    """Find a person by photo, by description, or by both: an answer set, the likeliest first."""
    require("gallery")
    from passerby.calibration import AnswerRule
    from passerby.reporting.gallery_tables import answer_tables

    cuts = {
        "top_k": top_k,
        "beta": beta,
        "recall": recall,
        "false_match_rate": false_match_rate,
        "threshold": threshold,
    }
    rule = AnswerRule.chosen(**cuts) if any(v is not None for v in cuts.values()) else None
    store = _opened(gallery, model)
    found = store.search(images or [], where, rule, exact=exact, reason=reason)
    if json:
        print_json(found.to_dict())
        return
    for part in answer_tables(found, store.settings.schema_):
        out.print(part)


@app.command()
def forget(
    gallery: GALLERY,
    images: Annotated[
        list[Path] | None, typer.Option("--image", help="The crop with this very content.")
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="All crops of the person of exactly this name.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Of --person, where several datasets have that name.")
    ] = None,
    where: WHERE = None,
    hashes: Annotated[
        list[str] | None, typer.Option("--hash", help="The crop with this hash, of 64 digits.")
    ] = None,
    yes: YES = False,
    reason: REASON = None,
    json: JSON = False,
) -> None:
    """Erase crops for good: rows and bytes; every file is searched for what was erased."""
    require("gallery")
    store = _opened(gallery, None)
    condition = store.filter_of(
        images=images or [], person=person, dataset=dataset, where=where, hashes=hashes or []
    )
    _erase(store, condition, "forget", yes, reason, json)


@app.command()
def purge(
    gallery: GALLERY,
    older_than: Annotated[
        str | None,
        typer.Option(help="Age, such as 12h, 30d, 8w or 1y; the gallery's retention if left out."),
    ] = None,
    yes: YES = False,
    reason: REASON = None,
    json: JSON = False,
) -> None:
    """Erase crops that were taken, or added, longer ago than an age."""
    require("gallery")
    from datetime import timedelta

    from passerby.errors import InputError
    from passerby.gallery import parse_age

    store = _opened(gallery, None)
    days = store.settings.retention_days
    if older_than is not None:
        age = parse_age(older_than)
    elif days is not None:
        age = timedelta(days=days)
    else:
        raise InputError(f"{gallery} has no retention of its own: give --older-than.")
    _erase(store, store.filter_of(older=age), "purge", yes, reason, json)


@app.command()
def info(gallery: GALLERY, json: JSON = False) -> None:
    """Say what is stored, by which model, and for how long."""
    require("gallery")
    from passerby.reporting.gallery_tables import info_table

    found = _opened(gallery, None).info()
    if json:
        print_json(found)
    else:
        out.print(info_table(found))


@app.command()
def log(gallery: GALLERY, json: JSON = False) -> None:
    """Print the audit log: who did what when, with how many crops, and why."""
    require("gallery")
    from dataclasses import asdict

    from passerby.reporting.gallery_tables import audit_table

    entries = _opened(gallery, None).audit()
    if json:
        print_json({"entries": [asdict(entry) for entry in entries]})
    else:
        out.print(audit_table(entries))
    if not entries or entries[0].operation != "create":
        say("The log does not begin with the making of the gallery: a part of it is missing.")


@app.command()
def index(gallery: GALLERY, json: JSON = False) -> None:
    """Build an index for a large gallery; what it loses against exact search is measured."""
    require("gallery")
    from dataclasses import asdict

    built = _opened(gallery, None).build_index()
    if json:
        print_json({"index": None if built is None else asdict(built)})
    if built is None:
        say("Exact search is as fast on this gallery: no index is kept.")
        return
    say(
        f"Index built: {built.speed:.1f} times as fast as exact search, finding "
        f"{built.recall:.1%} of its nearest 20 ({built.probes} of {built.partitions} parts read)."
    )


@app.command()
def reindex(
    gallery: GALLERY,
    model: MODEL = None,
    skip_broken: SKIP = False,
    reason: REASON = None,
    json: JSON = False,
) -> None:
    """Embed all crops again, by another model."""
    require("gallery")
    from passerby.inference import RuntimeModel

    store = _opened(gallery, None)
    before = len(store)
    with progress_bar("Embedding") as progress:
        rows = store.reindex(
            RuntimeModel.load(model),
            _lasting(model),
            on_broken=skip_or_stop(skip_broken),
            progress=progress,
            reason=reason,
        )
    if json:
        print_json({"rows": rows, "lost": before - rows})
    say(f"{_crops(rows)} embedded by {store.settings.model_name}.")
    if rows < before:
        say(f"{_crops(before - rows)} could not be read and left the gallery.")


@app.command()
def export(
    gallery: GALLERY,
    target: Annotated[
        Path, typer.Option("--out", help=".csv, or .parquet with embeddings.")
    ] = Path("gallery.csv"),
    where: WHERE = None,
    reason: REASON = None,
    json: JSON = False,
) -> None:
    """Write the gallery's table to a file."""
    require("gallery")
    rows = _opened(gallery, None).export(target, where, reason)
    if json:
        print_json({"rows": rows, "file": str(target)})
    say(f"{_crops(rows)} written to {target}.")


@app.command()
def repair(gallery: GALLERY, reason: REASON = None, json: JSON = False) -> None:
    """Take out what cannot be read any more after a file was damaged."""
    require("gallery")
    lost = _opened(gallery, None).repair(reason)
    if json:
        print_json({"lost": lost})
    if lost:
        say(f"{_crops(lost)} could not be read and left the gallery: add them again.")
    else:
        say("All crops can be read.")


def _say_what_is_not_read(place: Path) -> None:
    """Say of a folder whose layout tells more than its files' names that only these are read."""
    from passerby.datasets import known_datasets

    if not place.is_dir():
        return
    layouts = {"person_folders": "{person}/*.jpg", "track_folders": "{camera}/{track}/*.jpg"}
    for name, pattern in layouts.items():
        dataset = known_datasets()[name]
        if dataset.recognizes(place):
            say(
                f"{place} looks like {dataset.title}, but names of folders are not read here: "
                f"--pattern '{pattern}' says what they are."
            )
            return


def _opened(
    gallery: str, model: str | None, backend: str = "onnxruntime", device: str = "cpu"
) -> "Gallery":
    from passerby.gallery import Gallery
    from passerby.inference import RuntimeModel

    loaded: RuntimeModel | None = None
    if model is not None:
        loaded = RuntimeModel.load(model, backend=backend, device=device)
    opened = Gallery.open(gallery, loaded, backend=backend, device=device)
    if opened.finished_interrupted:
        say("What an interrupted command had begun was finished first.")
    return opened


def _erase(
    gallery: "Gallery", condition: str, operation: str, yes: bool, reason: str | None, json: bool
) -> None:
    from passerby.errors import InputError
    from passerby.reporting.gallery_tables import rows_table

    count = gallery.count(condition)
    if not count:
        if json:
            print_json({"rows": 0, "scanned": False, "twins": []})
        say("The gallery has no such crop: nothing is erased.")
        return
    if not yes:
        err.print(rows_table(gallery.rows(condition), count))
        try:
            agreed = typer.confirm(f"Erase {_crops(count)} for good?", err=True)
        except typer.Abort:
            raise InputError("Nobody said yes, so nothing is erased: give --yes.") from None
        if not agreed:
            say("Nothing is erased.")
            return
    erased = gallery.erase(
        condition,
        expected=count,
        operation=operation,  # type: ignore[arg-type]
        reason=reason,
    )
    _report(erased, gallery, json)


def _report(erased: "Erased", gallery: "Gallery", json: bool) -> None:
    if json:
        print_json({"rows": erased.rows, "scanned": erased.scanned, "twins": list(erased.twins)})
    proof = (
        "nothing of them is left in any file of the gallery"
        if erased.scanned
        else "what the storage itself keeps of earlier versions is not known here"
    )
    say(f"{_crops(erased.rows)} erased; {proof}. {_crops(len(gallery))} left.")
    if gallery.settings.images == "paths":
        say("The image files themselves were not touched: they are yours to delete.")
    for twin in erased.twins:
        say(
            "Another file of the very same picture stays; to erase it too: "
            f"passerby gallery forget {gallery.where} --hash {twin}"
        )


def _crops(count: int) -> str:
    return f"{count:,} crop" + ("" if count == 1 else "s")


def _lasting(model: str | None) -> str | None:
    """Return a model's name as it can be found from anywhere."""
    return str(Path(model).resolve()) if model is not None and Path(model).exists() else model
