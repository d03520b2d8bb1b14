"""Embedding more crops than fit into memory, or than anyone wants to embed twice."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from passerby.data.crops import Crops
from passerby.data.suspicions import describe_suspicions
from passerby.errors import InputError
from passerby.files import exclusive_lock, explain_errors
from passerby.inference.embedding_store import is_embeddings, read_embeddings
from passerby.inference.embeddings import Embeddings
from passerby.inference.runtime_model import (
    OnBroken,
    OnRemark,
    Progress,
    RuntimeModel,
    check_some_readable,
    find_sameness,
    report_broken,
)
from passerby.inference.unfinished import Unfinished

if TYPE_CHECKING:
    from passerby.inference.cluster import Cluster


def embed_to_folder(
    model: RuntimeModel,
    crops: Crops,
    folder: Path | str,
    *,
    flip: bool = False,
    batch_size: int = 64,
    on_broken: OnBroken | None = None,
    on_remark: OnRemark | None = None,
    progress: Progress | None = None,
    cluster: "Cluster | None" = None,
) -> Embeddings:
    """Do as `RuntimeModel.embed`, with the rows on disk from the start.

    The work is done in `.NAME.partial` beside the folder, which appears whole at the end. After
    an interruption, of whatever kind, the same call goes on where it stopped: with the same
    model, flip, and files in the same order up to there; otherwise it starts anew.

    Args:
        model: the model.
        crops: any crops, at least one.
        folder: where the embeddings go; earlier embeddings there are replaced.
        flip: as in `RuntimeModel.embed`.
        batch_size: as in `RuntimeModel.embed`.
        on_broken: as in `RuntimeModel.embed`; crops found broken before an interruption are
            reported again.
        on_remark: as in `RuntimeModel.embed`.
        progress: called with (crops done, all crops).
        cluster: whose workers embed, instead of this process.

    Returns:
        The embeddings as `read_embeddings` opens them.

    Raises:
        InputError: something else, or another process, is in the folder's place, it cannot be
            written to, a crop cannot be decoded, or, with `on_broken`, none can.
    """
    out = Path(folder).resolve()
    if out.exists() and not is_embeddings(out):
        raise InputError(f"{out} exists and holds no embeddings: choose another place.")
    if not len(crops):
        raise InputError("There are no crops to embed: give at least one.")
    with explain_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = out.with_name(f".{out.name}.lock")
        with exclusive_lock(lock, f"Another process is embedding into {out}"):
            partial = out.with_name(f".{out.name}.partial")
            with (
                Unfinished(partial, crops, model.info, flip) as unfinished,
                ExitStack() as stopping,
            ):
                report_broken(map(InputError, unfinished.broken), on_broken)
                if unfinished.done and progress:
                    progress(unfinished.done, len(crops))
                rest = crops[unfinished.done :]
                suspicions: list[tuple[str, str]] = []
                if cluster is None:
                    batches = model.embed_batches(rest, flip=flip, batch_size=batch_size)
                else:
                    batches = cluster.embed_batches(model, rest, flip=flip, batch_size=batch_size)
                stopping.enter_context(closing(batches))
                for batch in batches:
                    report_broken(batch.broken.values(), on_broken)
                    start = unfinished.done
                    suspicions += [
                        (crops.paths[start + row].name, kind)
                        for row, kind in batch.suspicions.items()
                    ]
                    unfinished.add(batch)
                    if progress:
                        progress(unfinished.done, len(crops))
                check_some_readable(unfinished.rows, len(crops))
            unfinished.publish(out)
    found = read_embeddings(out)
    if on_remark:
        for sentence in (
            *describe_suspicions(suspicions, len(crops)),
            *find_sameness(found.vectors),
        ):
            on_remark(sentence)
    return found
