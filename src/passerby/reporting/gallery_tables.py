"""What `passerby gallery` prints."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from passerby.data.columns import gallery_columns
from passerby.data.schema import Schema
from passerby.gallery.answers import Answer, AnswerSet
from passerby.gallery.audit import Entry

_FIRST = ("person", "camera", "time", "source")
"""Columns that come first."""

_SHOWN = 4
"""Attributes named of each answer."""


def answer_tables(found: AnswerSet, schema: Schema | None) -> Iterator[Table | str]:
    """Yield an answer set as a table, and what it was chosen from.

    Args:
        found: the answer set.
        schema: puts attributes into words; None if there are none.
    """
    if not found.searched:
        yield "No crop of the gallery fulfils the description, or the gallery is empty."
        return
    if found.answers:
        yield _answers(found, _phrases(schema))
    cut = "" if found.threshold is None else f", at most {found.threshold:.3f} away"
    ordered = any(a.score is not None or a.distance is not None for a in found.answers)
    more = f", the {'likeliest' if ordered else 'latest'} of more" if found.cut_off else ""
    how = "" if found.exact else ", by the index"
    count = len(found.answers)
    noun = "answer" if count == 1 else "answers"
    crops = "crop" if found.searched == 1 else "crops"
    yield f"{count:,} {noun} among {found.searched:,} {crops}{cut}{more}{how}."


_FIRST_FACTS = ("person", "camera", "time")


def _answers(found: AnswerSet, words: Mapping[str, str]) -> Table:
    photo = found.answers[0].distance is not None
    table = Table(title="answers")
    for column in ("", "same\nperson", "away") if photo else ("", "fits"):
        table.add_column(column, justify="right", no_wrap=True)
    known_ = _known_columns([answer.known for answer in found.answers])
    # a narrow terminal has no room for a column each
    facts = [name for name in known_ if name in _FIRST_FACTS]
    others = [name for name in known_ if name not in _FIRST_FACTS]
    for column in facts:
        table.add_column(column, no_wrap=True)
    table.add_column(
        "crop\nin both; + here, − in the query only" if photo else "crop", min_width=20
    )
    for place, answer in enumerate(found.answers, start=1):
        sure = (
            [_percent(answer.probability), f"{answer.distance:.3f}"]
            if photo
            else [_percent(answer.score)]
        )
        known = [_fact(answer.known.get(name)) for name in facts]
        seen = [_few([words[name] for name in answer.agree]), _few(_differences(answer, words))]
        more = ", ".join(
            f"{name} {_fact(answer.known[name])}" for name in others if answer.known.get(name)
        )
        lines = [_name(answer.path, answer.hash), *filter(None, (*seen, more))]
        # what a narrow terminal has no room for is cut off
        crop = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
        table.add_row(str(place), *sure, *known, crop)
    return table


def _differences(answer: Answer, words: Mapping[str, str]) -> list[str]:
    """Say what one of the two has only: of either the first comes before the others."""
    crop = [f"+{words[name]}" for name in answer.only_crop]
    query = [f"−{words[name]}" for name in answer.only_query]
    return [*crop[:2], *query[:2], *crop[2:], *query[2:]]


def rows_table(rows: Sequence[dict[str, Any]], count: int) -> Table:
    """Return the crops that are about to be erased, the first of `count`."""
    title = f"{count:,} crops" if count != 1 else "1 crop"
    title += f", the newest {len(rows)}" if count > len(rows) else ""
    table = Table(title=title)
    facts = [*_known_columns(rows), "added"]
    for column in (*facts, "crop"):
        table.add_column(column)
    for row in rows:
        known = [_fact(row.get(name)) for name in facts]
        table.add_row(*known, _name(row["path"], row["hash"]))
    return table


def info_table(info: dict[str, Any]) -> Table:
    """Return what `Gallery.info` says."""
    table = Table(title=info["gallery"], show_header=False)
    model, kept = info["model"], info["retention_days"]
    table.add_row("crops", f"{info['rows']:,}")
    table.add_row("known persons", f"{info['persons']:,}")
    for title in ("cameras", "sources"):
        counts = ", ".join(f"{name or 'unknown'}: {count:,}" for name, count in info[title].items())
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
        table.add_column(
            column,
            justify="right" if column == "crops" else "left",
            no_wrap=column in ("time", "operation"),
        )
    for entry in entries:
        cells = (entry.time[:19], entry.who, entry.operation, f"{entry.rows:,}", entry.reason)
        table.add_row(*map(_text, cells))
    return table


def _phrases(schema: Schema | None) -> dict[str, str]:
    return {} if schema is None else dict(zip(schema.names, schema.phrases, strict=True))


def _known_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of which any row knows something."""
    names = [column.name for column in gallery_columns()]
    names.sort(key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    return [name for name in names if any(row.get(name) is not None for row in rows)]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _fact(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else _text(value)


def _name(path: str | None, value: str) -> str:
    """Return what tells crops apart; the folders are in `--json`."""
    return value[:12] if path is None else _text(Path(path).name)


def _text(value: object) -> str:
    # a terminal would obey what is not a letter
    return "–" if value is None else "".join(c if c.isprintable() else "?" for c in str(value))


def _few(names: Sequence[str]) -> str:
    more = f" +{len(names) - _SHOWN}" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
