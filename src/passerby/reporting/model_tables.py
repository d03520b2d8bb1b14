"""What a model file is, for people: what it answers, and what it learned from."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from passerby.calibration import read_matchers
from passerby.inference.model_info import ModelInfo


def model_summary(info: ModelInfo) -> dict[str, Any]:
    """Return the object that `passerby model show --json` prints."""
    training = info.training
    height, width = info.preprocessing.size
    return {
        "name": info.name,
        "tasks": list(info.tasks),
        "embedding_size": info.embedding_size,
        "attributes": [] if info.schema_ is None else list(info.schema_.names),
        "decision": info.decision.rule,
        "height": height,
        "width": width,
        "precision": info.precision,
        "distances": [matcher.distance.name for matcher in read_matchers(info)],
        "epochs": training.epochs,
        "finished": training.finished,
        "learned_from": [one.model_dump(mode="json") for one in training.learned_from],
        "held_out_persons": sum(map(len, training.held_out_persons.values())),
        "fingerprint": info.fingerprint,
    }


def model_tables(info: ModelInfo) -> Iterator[Table | str]:
    """Yield what `passerby model show` prints."""
    summary = model_summary(info)
    table = Table(show_header=False, title=info.name)
    attributes = summary["attributes"]
    for name, value in (
        ("embedding", f"{info.embedding_size} numbers" if "identity" in info.tasks else "–"),
        (
            "attributes",
            f"{len(attributes)}, decided by {info.decision.rule}" if attributes else "–",
        ),
        ("crops", f"{summary['height']}×{summary['width']} pixels"),
        ("calibrated distances", "; ".join(summary["distances"]) or "none"),
        ("trained", f"{summary['epochs']} epochs, {summary['finished'][:10]}".strip(", ")),
        ("held-out persons", f"{summary['held_out_persons']:,}"),
        ("fingerprint", info.fingerprint[:16]),
    ):
        table.add_row(name, value)
    yield table
    if not info.training.learned_from:
        yield "What it learned from is not known."
        return
    origin = Table(title="learned from")
    for name in ("dataset", "crops", "with attributes", "persons", "terms of use"):
        origin.add_column(name, justify="left" if name in ("dataset", "terms of use") else "right")
    for one in info.training.learned_from:
        counts = (f"{one.crops:,}", f"{one.labelled:,}", f"{one.persons:,}" if one.persons else "–")
        origin.add_row(one.name, *counts, one.terms or "none known")
    yield origin
