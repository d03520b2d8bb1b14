"""`passerby reproduce`."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from passerby.cli.console import say
from passerby.cli.extras import require
from passerby.errors import InputError

if TYPE_CHECKING:
    from passerby.reporting.reproduction import PlannedRun


def reproduce(
    data: Annotated[Path, typer.Option(help="An annotated dataset.")],
    target: Annotated[Path, typer.Option("--out", help="The folder for the tables.")],
    splits: Annotated[
        list[int] | None, typer.Option("--split", help="Seed of a split; may be repeated.")
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Take the recipes for CPUs.")] = False,
    weights: Annotated[
        str | None, typer.Option(help="ImageNet weights of the backbone, a safetensors file.")
    ] = None,
    budget: Annotated[
        float, typer.Option(help="Shorten every phase to this fraction of its epochs.")
    ] = 1.0,
    runs: Annotated[
        Path | None, typer.Option(help="Folder of the runs; OUT/runs if left out.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value of every recipe."),
    ] = None,
    no_training: Annotated[
        bool, typer.Option("--no-training", help="Score finished runs; leave out the others.")
    ] = False,
) -> None:
    """Make the course report's two tables again: train what is missing, score, compare.

    Interrupted, the same command goes on where it was. Rows of runs that are gone are kept.
    """
    require("train")
    from passerby.cli.train import train_with_progress
    from passerby.files import check_writable, write_json, write_text
    from passerby.reporting.reproduction import Plan, planned_runs
    from passerby.reporting.reproduction import reproduce as reproduce_tables
    from passerby.reporting.reproduction_page import reproduction_html, reproduction_markdown
    from passerby.training import load_recipe

    plan = Plan(
        data=data,
        runs=runs or target / "runs",
        splits=tuple(dict.fromkeys(splits or (0,))),
        cpu=cpu,
        weights=weights,
        budget=budget,
        overrides=tuple(overrides or ()),
        train=not no_training,
    )
    page = target / "reproduction.md"
    for name in ("reproduction.json", "reproduction.html", page.name):
        check_writable(target / name)
    # a recipe that does not fit would otherwise be found after hours
    for split in plan.splits:
        for run in planned_runs(plan, split):
            load_recipe(run.recipe, list(run.overrides))

    def train(run: "PlannedRun") -> None:
        recipe = load_recipe(run.recipe, list(run.overrides)).shorten(plan.budget)
        say(f"{run.folder.name}: {run.title}")
        train_with_progress(recipe, data, run.folder, resume=True)

    results = reproduce_tables(plan, train, say, _earlier(target / "reproduction.json"))
    # as it was typed, but for where things lie
    command = " ".join(["passerby", *(shlex.quote(_named(a)) for a in sys.argv[1:])])
    text = reproduction_markdown(results, command)
    write_json(target / "reproduction.json", {"command": command, **results})
    write_text(target / "reproduction.html", reproduction_html(results, command))
    write_text(page, text)
    say(f"Tables written to {page}, and as JSON and HTML beside it.")


def _earlier(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        earlier: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = earlier["persons"], earlier["table1"], earlier["table2"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is damaged: remove it, or choose another folder.") from None
    return earlier


def _named(argument: str) -> str:
    """Return a file's or folder's name without where it lies."""
    return Path(argument).name if "/" in argument and "=" not in argument else argument
