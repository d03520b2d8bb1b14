"""Plots as inline SVG that take their colours from the page, light or dark."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

from passerby.evaluation.retrieval import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FIRST, _SECOND = "#010203", "#010204", "#010205"
_COLOURS = {_INK: "currentColor", _FIRST: "var(--first)", _SECOND: "var(--second)"}
"""Drawn in a colour that nothing else has, then replaced by what the style sheet sets."""

_WIDTH = 5.0
"""Inches; about as wide as a phone, so that letters stay readable there."""

_STYLE = {
    "svg.hashsalt": "passerby",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": _INK,
    "font.size": 10,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _INK,
    "grid.alpha": 0.15,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


def cmc_plot(cmc: Sequence[float]) -> str:
    """Return the cumulative match curve.

    Args:
        cmc: fraction of queries with a right answer among the first k, for k from 1 on.
    """
    with _axes(height=3.2) as (figure, axes):
        axes.step(range(1, len(cmc) + 1), cmc, where="post", color=_FIRST, linewidth=2)
        axes.set(xlim=(1, max(2, len(cmc))), ylim=(0, 1.02))
        axes.set_xticks([1, *range(10, len(cmc) + 1, 10)])
        axes.set(xlabel="first k answers", ylabel="queries with a right one")
        last = len(cmc)
        described = f"The curve rises from {cmc[0]:.3f} for 1 answer to {cmc[-1]:.3f} for {last}."
        return _svg(figure, "cmc", described)


def reliability_plot(reliability: Reliability) -> str:
    """Return what was found against what was said, with the number of pairs at each point."""
    with _axes(height=4.2) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle="--")
        axes.plot(reliability.said, reliability.found, "o-", color=_FIRST, linewidth=2)
        for said, found, pairs in zip(
            reliability.said, reliability.found, reliability.pairs, strict=True
        ):
            # outwards from the dashed line, which the letters would cross otherwise
            above = found >= said
            axes.annotate(
                compact(pairs),
                (said, found),
                xytext=(-6, 6) if above else (6, -6),
                textcoords="offset points",
                ha="right" if above and said > 0.1 else "left",
                va="bottom" if above else "top",
                fontsize=8,
            )
        axes.set(xlim=(-0.02, 1.05), ylim=(-0.08, 1.08))
        axes.set(xlabel="said: probability of one person", ylabel="found: fraction of one person")
        return _svg(figure, "reliability", "The nearer to the dashed diagonal, the more reliable.")


def f1_plot(per_attribute: Mapping[str, Mapping[str, float | None]]) -> str:
    """Return bars of each attribute's F1 beside the frequency of its positives.

    Args:
        per_attribute: as in an `AttributeReport`; the most frequent attribute comes first.
    """
    rows = sorted(per_attribute.items(), key=lambda row: -(row[1]["positives"] or 0))
    names = [name for name, _ in rows]
    with _axes(height=0.9 + 0.27 * len(rows)) as (figure, axes):
        for place, (_, values) in enumerate(rows):
            f1, positives = values["f1"], values["positives"] or 0
            if f1 is None:
                axes.text(0.01, place - 0.2, "undefined", va="center", fontsize=8)
            axes.barh(place - 0.2, f1 or 0, 0.4, color=_FIRST, label="F1" if not place else None)
            label = None if place else "frequency of positives"
            axes.barh(place + 0.2, positives, 0.4, color=_SECOND, label=label)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlim=(0, 1), ylim=(len(names) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper center", ncols=2)
        return _svg(figure, "f1", "The table of attributes above holds the same figures.")


def compact(count: int) -> str:
    """Return a number in at most four characters before its unit, e.g. 12.3k."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


@contextmanager
def _axes(height: float) -> "Iterator[tuple[Figure, Axes]]":
    """Yield an empty plot in the page's style, whatever the user's own settings are."""
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(_STYLE, after_reset=True):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.add_subplot()


def _svg(figure: "Figure", name: str, described: str) -> str:
    """Return an SVG element whose ids no other plot of the page has."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    # the XML declaration and the document type have no place inside HTML
    text = stream.getvalue().partition("<svg")[2]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    for drawn, wanted in _COLOURS.items():
        text = text.replace(drawn, wanted)
    return f'<svg role="img" aria-label="{escape(described)}"{text}'
