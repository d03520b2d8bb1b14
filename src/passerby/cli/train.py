"""`passerby train`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.console import name_options, progress_bar, say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT
from passerby.cli.extras import require

if TYPE_CHECKING:
    from passerby.training.log import EpochRow
    from passerby.training.recipe import Recipe
    from passerby.training.sources import Data


def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, or a YAML file.")],
    data: Annotated[
        list[Path],
        typer.Option(
            help="An annotated dataset; may be given again, for several at once. Of a recipe that "
            "names its datasets, the folder in which they lie."
        ),
    ],
    run: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the recipe."),
    ] = None,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
) -> None:
    """Train a model as a recipe says."""
    require("train")
    from passerby.datasets.joining import read_source
    from passerby.errors import InputError
    from passerby.training import load_recipe
    from passerby.training.run import is_first_process

    wanted = load_recipe(recipe, overrides)
    if wanted.data.sets or len(data) > 1:
        if root is not None or pattern is not None:
            raise InputError(
                "`root` and `pattern` are for a single dataset: say them in the recipe's "
                "data.sets, or convert that dataset to a manifest first."
            )
        if accept_missing:
            wanted = wanted.accepting_missing()
    given: Sequence[Data] = data
    if not wanted.data.sets:
        given = [
            read_source(path, root=root, pattern=pattern, accept_missing=accept_missing)
            for path in data
        ]
    train_with_progress(wanted, given, run, resume)
    if not is_first_process():
        return
    say(f"The model is in {run / 'model'}.")
    if wanted.data.held_out_persons:
        sets = [data[0] / entry.path for entry in wanted.data.sets] or data
        say(f"Next: passerby evaluate {run} {' '.join(f'--data {one}' for one in sets)}")
    elif not wanted.data.calibration_persons:
        say(
            f"Next: passerby calibrate {run} --data PERSONS (whom it was not trained on), before "
            "thresholds or answer sets are used."
        )


def train_with_progress(
    recipe: "Recipe", data: "Data | Sequence[Data]", run: Path, resume: bool
) -> None:
    """Train, and show how far it is, the loss and the time left."""
    from passerby.training import Listener
    from passerby.training import train as train_model

    title = recipe.name

    with progress_bar(title, "steps") as bar:

        def on_epoch(row: "EpochRow") -> None:
            say(
                f"epoch {row.epoch}/{recipe.epochs}  loss {row.loss:.4f}  "
                f"{row.crops_per_second:.0f} crops/s  {row.seconds:.0f} s"
            )

        def on_step(done: int, total: int, loss: float) -> None:
            bar(done, total, f"{title}  loss {loss:.4f}")

        def on_decode(done: int, total: int) -> None:
            bar(done, total, "Decoding crops")

        def tell(sentence: str) -> None:
            say(name_options(sentence))

        listener = Listener(tell, on_decode, on_step, on_epoch)
        try:
            train_model(recipe, data, run, resume=resume, listener=listener)
        except KeyboardInterrupt:
            say("Interrupted: the same command with --resume continues after the last whole epoch.")
            raise
