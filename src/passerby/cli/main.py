"""The command `passerby`."""

import io
import os
import signal
import sys
from typing import Annotated

import typer

from passerby.cli import (
    calibrate,
    data,
    demo,
    embed,
    evaluate,
    explain,
    export,
    gallery,
    model,
    predict,
    rank,
    reproduce,
    serve,
    train,
)
from passerby.cli.console import complain, name_options, out
from passerby.errors import InputError
from passerby.files import explain as explained

_INTERRUPTED = 128 + signal.SIGINT

app = typer.Typer(
    name="passerby",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def passerby(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    """Recognise what pedestrians look like, and find the same pedestrian again."""
    if version:
        from passerby import __version__

        out.print(__version__)
        raise typer.Exit


app.command()(demo.demo)
app.add_typer(data.app, name="data")
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(predict.predict)
app.command()(explain.explain)
app.command()(embed.embed)
app.command()(rank.rank)
app.command()(calibrate.calibrate)
app.command()(export.export)
app.command()(reproduce.reproduce)
app.add_typer(gallery.app, name="gallery")
app.add_typer(model.app, name="model")
app.command()(serve.serve)


def main() -> None:
    """Run the command line; exit with 0, 1 (Passerby failed) or 2 (the input was wrong)."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # a shell that closed them (>&-) leaves none
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal that cannot show a dash still gets the figures
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as stop:
        # Typer turns Ctrl-C into an exit without a word
        if stop.code == _INTERRUPTED:
            complain("Stopped.")
        raise
    except InputError as error:
        complain(name_options(str(error)))
        sys.exit(2)
    except KeyboardInterrupt:
        complain("Stopped.")
        sys.exit(_INTERRUPTED)
    except OSError as error:
        sentence = explained(error)
        if sentence is None:
            raise
        complain(str(sentence))
        sys.exit(2)


if __name__ == "__main__":
    main()
