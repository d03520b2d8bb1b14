"""What `passerby gallery` prints."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from passerby.gallery.answers import AnswerSet
from passerby.gallery.audit import Entry

_SHOWN = 6
"""Attributes named of each answer."""


def answer_tables(found: AnswerSet) -> Iterator[Table | str]:
    """Yield an answer set as a table, and what it was chosen from."""
    if found.answers:
        yield _answers(found)
    cut = "" if found.threshold is None else f" at most {found.threshold:.3f} away"
    more = ", and more that are not shown" if found.cut_off else ""
    how = "" if found.exact else ", by the index"
    yield f"{len(found.answers):,} of {found.searched:,} crops searched{cut}{more}{how}."


def _answers(found: AnswerSet) -> Table:
    photo = found.answers[0].distance is not None
    table = Table(title="answer set")
    columns = ("", "same person", "distance") if photo else ("", "fits")
    for column in columns:
        table.add_column(column, justify="right")
    for column in ("person", "camera", "time", "source", "crop"):
        table.add_column(column)
    for column in ("agree", "disagree") if photo else ():
        table.add_column(column)
    for place, answer in enumerate(found.answers, start=1):
        sure = (
            [_percent(answer.probability), f"{answer.distance:.3f}"]
            if photo
            else [_percent(answer.score)]
        )
        known = (answer.person, answer.camera, _minute(answer.time), answer.source)
        opinion = [_few(answer.agree), _few(answer.disagree)] if photo else []
        name = answer.path or answer.hash[:12]
        table.add_row(str(place), *sure, *map(_text, known), name, *opinion)
    return table


def rows_table(rows: Sequence[dict[str, Any]], count: int) -> Table:
    """Return the crops that are about to be erased, the first of `count`."""
    title = f"{count:,} crops" + (f", the newest {len(rows)}" if count > len(rows) else "")
    table = Table(title=title)
    for column in ("person", "camera", "time", "source", "added", "crop"):
        table.add_column(column)
    for row in rows:
        known = (row["person"], row["camera"], _minute(row["time"]), row["source"])
        table.add_row(*map(_text, known), _minute(row["added"]), row["path"] or row["hash"][:12])
    return table


def info_table(info: dict[str, Any]) -> Table:
    """Return what `Gallery.info` says."""
    table = Table(title=info["gallery"], show_header=False)
    model, kept = info["model"], info["retention_days"]
    table.add_row("crops", f"{info['rows']:,}")
    table.add_row("known persons", f"{info['persons']:,}")
    for title in ("cameras", "sources"):
        counts = ", ".join(f"{name}: {count:,}" for name, count in info[title].items())
        table.add_row(f"{title} (crops)", counts or "–")
    for title in ("taken", "added"):
        table.add_row(title, " to ".join(info[title]) if info[title] else "–")
    table.add_row("images", info["images"])
    table.add_row("kept for", "no limit" if kept is None else f"{kept} days")
    calibrated = "" if model["calibrated"] else ", not calibrated"
    table.add_row("model", f"{model['name']} ({model['fingerprint'][:12]}…{calibrated})")
    index = info["index"]
    table.add_row("index", "none" if index is None else f"recall {index['recall']:.3f}")
    if info["bytes"] is not None:
        table.add_row("size", f"{info['bytes'] / 1e6:,.1f} MB")
    return table


def audit_table(entries: Sequence[Entry]) -> Table:
    """Return the audit log."""
    table = Table(title="audit log")
    for column in ("time", "who", "operation", "crops", "reason"):
        table.add_column(column, justify="right" if column == "crops" else "left")
    for entry in entries:
        cells = (entry.time[:19], entry.who, entry.operation, f"{entry.rows:,}", entry.reason)
        table.add_row(*map(_text, cells))
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _minute(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _text(value: object) -> str:
    return "–" if value is None else str(value)


def _few(names: Sequence[str]) -> str:
    more = f" +{len(names) - _SHOWN}" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
