"""The command `passerby`."""

import sys

import typer

from passerby.cli import data, demo, evaluate, predict, train
from passerby.cli.console import complain
from passerby.errors import InputError
from passerby.files import explain

app = typer.Typer(
    name="passerby",
    help="Recognise what pedestrians look like, and find the same pedestrian again.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.add_typer(data.app, name="data")
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(predict.predict)


def main() -> None:
    """Run the command line; exit with 0, 1 (Passerby failed) or 2 (the input was wrong)."""
    try:
        app()
    except InputError as error:
        complain(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        complain("Stopped.")
        sys.exit(130)
    except OSError as error:
        explained = explain(error)
        if explained is None:
            raise
        complain(str(explained))
        sys.exit(2)


if __name__ == "__main__":
    main()
