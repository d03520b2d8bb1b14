"""`passerby serve`."""

from typing import Annotated

import typer

from passerby.cli.console import say
from passerby.cli.extras import require
from passerby.cli.model_option import BACKEND, DEVICE, GALLERY_MODEL


def serve(
    gallery: Annotated[str, typer.Argument(help="A gallery's folder or URI.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65_535)] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="PASSERBY_TOKEN",
            show_envvar=True,
            help="What clients have to show; other users of this machine can read it here, but "
            "not in the environment.",
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            help="Address that a proxy asks from, which says in X-Forwarded-For for whom: clients "
            "then have limits of their own."
        ),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1e6,
            help="GB that the vectors may take in memory, where searches are fast; 0 holds none "
            "there, most of the free memory if left out.",
        ),
    ] = None,
    model: GALLERY_MODEL = None,
    backend: BACKEND = "onnxruntime",
    device: DEVICE = "cpu",
) -> None:
    """Serve a gallery: an HTTP API and web pages, on this machine only unless there is a token."""
    require("gallery")
    from passerby.gallery import Gallery
    from passerby.inference import RuntimeModel
    from passerby.server import check_binding, create_app
    from passerby.server.running import listen, run

    check_binding(host, token, proxy)
    opened = Gallery.open(
        gallery,
        None if model is None else RuntimeModel.load(model, backend=backend, device=device),
        backend=backend,
        device=device,
    )
    # a model that is not there any more is noticed now
    name = opened.model.info.name
    with listen(host, port) as sock:
        loaded = opened.load(limit=None if memory is None else int(memory * 1e9))
        days = opened.settings.retention_days
        kept = "until they are erased" if days is None else f"for {days} days"
        shown = f"[{host}]" if ":" in host else host
        say(
            f"{gallery}: {len(opened):,} crops, embedded by {name}, kept {kept}; "
            f"{'vectors in memory' if loaded else 'searches read the table'}.\n"
            f"Serving http://{shown}:{sock.getsockname()[1]}; "
            f"{'the token is' if token else 'no token is'} asked for. Ctrl-C stops."
        )
        try:
            run(create_app(opened, token=token), sock, proxy)
        except KeyboardInterrupt:
            say("Stopped.")
