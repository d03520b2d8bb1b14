"""`passerby embed`."""

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import progress_bar, say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT, SPLIT
from passerby.cli.model_option import BACKEND, DEVICE, MODEL
from passerby.cli.ray_option import RAY, WORKERS, opened_cluster
from passerby.cli.reading import choose_split, read_data
from passerby.cli.skipping import skip_or_stop


def embed(
    crops: Annotated[Path, typer.Argument(help="A folder of crops, or one image.")],
    target: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    model: MODEL = None,
    backend: BACKEND = "onnxruntime",
    device: DEVICE = "cpu",
    split: SPLIT = None,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror images.")] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out crops that cannot be decoded.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(help="Crops that the model sees at once.", min=1, max=65_536)
    ] = 64,
    ray: RAY = None,
    workers: WORKERS = None,
) -> None:
    """Write embeddings and attributes of many crops; goes on after an interruption."""
    from passerby.inference import RuntimeModel, embed_to_folder

    part = choose_split(crops, split, "gallery", "test", pattern=pattern)
    found = read_data(crops, part, root, pattern, accept_missing)
    runtime = RuntimeModel.load(model, backend=backend, device=device)
    with opened_cluster(ray, workers) as cluster, progress_bar("Embedding") as progress:
        try:
            embeddings = embed_to_folder(
                runtime,
                found,
                target,
                flip=flip,
                batch_size=batch_size,
                on_broken=skip_or_stop(skip_broken),
                on_remark=say,
                progress=progress,
                cluster=cluster,
            )
        except KeyboardInterrupt:
            say("Interrupted: the same command goes on after the last finished crop.")
            raise
    skipped = len(found) - len(embeddings)
    say(
        f"Embeddings of {len(embeddings)} crops written to {target}"
        + (f"; {skipped} skipped." if skipped else ".")
    )
