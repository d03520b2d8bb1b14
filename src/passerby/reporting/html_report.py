"""An evaluation as one HTML file that needs nothing else: figures, plots and pictures."""

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from passerby.errors import InputError
from passerby.evaluation.attributes import LABEL_BASED, AttributeReport
from passerby.evaluation.retrieval import RetrievalReport
from passerby.files import write_text
from passerby.inference.embeddings import Embeddings
from passerby.reporting.plots import cmc_plot, f1_plot, reliability_plot
from passerby.reporting.ranked_lists import ranked_lists
from passerby.reporting.slices import FEW, slices

if TYPE_CHECKING:
    from jinja2 import Environment


def write_report(
    target: Path,
    *,
    title: str,
    attributes: AttributeReport | None,
    pooled: AttributeReport | None,
    retrieval: RetrievalReport | None,
    queries: Embeddings | None,
    gallery: Embeddings | None,
    threshold: float | None,
) -> None:
    """Write an evaluation as one self-contained HTML file; what is None is left out.

    Args:
        target: the file, whole or not at all.
        title: the page's heading.
        attributes: figures of the attributes.
        pooled: the same, averaged over crops that probably show one person.
        retrieval: figures of the retrieval.
        queries, gallery: what `retrieval` scored, for pictures of ranked answers; both or none.
        threshold: largest distance of an answer, shown in the pictures.

    Raises:
        InputError: jinja2 or matplotlib is not installed, or `target` cannot be written to.
    """
    check_installed()
    strips = None
    if retrieval is not None and queries is not None and gallery is not None:
        if len(queries) != len(retrieval.scores.persons):
            raise ValueError("retrieval must be the report of these queries")
        strips = ranked_lists(retrieval, queries, gallery, threshold)
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            attributes=attributes,
            pooled=pooled,
            retrieval=retrieval,
            model=None if queries is None else queries.model,
            threshold=threshold,
            strips=strips,
            slices=[] if retrieval is None else slices(retrieval, queries),
        )
    )
    write_text(target, page)


def check_installed() -> None:
    """Check that what the report is made with is installed.

    Raises:
        InputError: it is not.
    """
    for module in ("jinja2", "matplotlib"):
        if find_spec(module) is None:
            raise InputError(
                f"The HTML report needs {module}, which is not installed: "
                "pip install 'passerby[train]' (in a clone: pip install '.[train]')."
            )


def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    def drawn(plot: str) -> Markup:
        # matplotlib has escaped what it wrote
        return Markup(plot)

    folder = files("passerby.reporting") / "templates"
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    environment.globals.update(
        few=FEW,
        label_based=LABEL_BASED,
        cmc_plot=lambda cmc: drawn(cmc_plot(cmc)),
        reliability_plot=lambda reliability: drawn(reliability_plot(reliability)),
        f1_plot=lambda per_attribute: drawn(f1_plot(per_attribute)),
    )
    return environment


def _figure(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else f"{value:{form}}"
