import base64
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from passerby.calibration.calibration import Calibration
from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.evaluation.attributes import AttributeReport, evaluate_attributes
from passerby.evaluation.retrieval import RetrievalReport, evaluate_retrieval
from passerby.inference import Decision, Embeddings
from passerby.ranking.distance import Distance
from passerby.ranking.query_scores import QueryScores
from passerby.reporting.html_report import write_report
from passerby.reporting.plots import cmc_plot, compact, f1_plot
from passerby.reporting.ranked_lists import choose_queries, picture
from passerby.reporting.slices import slices

VOID = {"br", "img", "link", "meta"}
PLANE = Distance(features="embedding", metric="euclidean")


class Element:
    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: list[Element | str] = []

    @property
    def classes(self) -> list[str]:
        return (self.attributes.get("class") or "").split()

    @property
    def text(self) -> str:
        return " ".join(self._raw.split())

    @property
    def _raw(self) -> str:
        if self.tag == "br":
            return " "
        return "".join(c if isinstance(c, str) else c._raw for c in self.children)

    def all(self, tag: str, name: str | None = None) -> "list[Element]":
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if child.tag == tag and (name is None or name in child.classes):
                    found.append(child)
                found += child.all(tag, name)
        return found


class Page(HTMLParser):
    """A strict reader: every element is closed in its place, no id is given twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.ids: list[str] = []
        self._open = [self.root]
        self.feed(text)
        self.close()
        assert len(self._open) == 1
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(element.attributes) == len(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def section(self, name: str) -> Element:
        (found,) = (s for s in self.root.all("section") if s.attributes.get("id") == name)
        return found

    @property
    def sections(self) -> list[str | None]:
        return [section.attributes["id"] for section in self.root.all("section")]


def rows_of(table: Element) -> list[list[str]]:
    return [
        [cell.text for cell in row.children if isinstance(cell, Element)] for row in table.all("tr")
    ]


def on_a_line(crops: Crops, places: Sequence[float]) -> Embeddings:
    """Crops whose distances are the differences of their places."""
    vectors = np.array([[place, 1.0] for place in places], np.float32)
    attributes = np.full((len(crops), len(MARKET1501_ATTRIBUTES)), 0.5, np.float32)
    return Embeddings(crops, vectors, attributes, MARKET1501_ATTRIBUTES, "fingerprint-of-a-model")


@pytest.fixture(scope="module")
def toy(toy_data: Path) -> Crops:
    return read_crops(toy_data, "train")


@pytest.fixture
def by_hand(toy: Crops) -> tuple[Embeddings, Embeddings]:
    """One query of person 7 in camera 1 and five crops at the distances 1 to 5.

    They are: wrong, junk, right, the same camera, a distractor.
    """
    some = toy.without_labels()[:6].replace(
        person=["7", "8", "", "7", "7", ""],
        role=["", "", "junk", "", "", "distractor"],
        camera=[1, 2, 2, 2, 1, 3],
    )
    people = on_a_line(some, [0, 1, 2, 3, 4, 5])
    return people.of_rows(np.arange(1)), people.of_rows(np.arange(1, 6))


@pytest.fixture(scope="module")
def everything(toy: Crops) -> dict[str, object]:
    """All that a report may hold, with vectors that tell persons apart, though not well."""
    generator = np.random.default_rng(0)
    assert toy.labels is not None
    persons = toy.person_codes
    centres = generator.normal(size=(persons.max() + 1, 8))
    vectors = (centres[persons] + generator.normal(size=(len(toy), 8))).astype(np.float32)
    noise = generator.normal(0, 0.3, toy.labels.shape)
    probabilities = np.clip(toy.labels * 0.4 + 0.3 + noise, 0, 1).astype(np.float32)
    people = Embeddings(
        toy, vectors, probabilities, MARKET1501_ATTRIBUTES, "fingerprint-of-a-model"
    )
    asked = np.unique(persons, return_index=True)[1]
    queries = people.of_rows(asked)
    gallery = people.of_rows(np.setdiff1d(np.arange(len(toy)), asked))
    calibration = Calibration(
        distances=(0.0, 2.0, 4.0, 6.0, 8.0),
        same=(0.0, 0.3, 0.7, 0.9, 1.0),
        different=(0.0, 0.01, 0.2, 0.6, 1.0),
        crops_per_person=5,
        persons=10,
    )
    return {
        "title": "Toy people",
        "attributes": evaluate_attributes(people, Decision("fixed"), resamples=20),
        "pooled": evaluate_attributes(people, Decision("group"), resamples=0),
        "retrieval": evaluate_retrieval(queries, gallery, PLANE, calibration, resamples=20),
        "queries": queries,
        "gallery": gallery,
        "threshold": 3.0,
    }


NOTHING = dict.fromkeys(("attributes", "pooled", "retrieval", "queries", "gallery", "threshold"))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    def write(**parts: object) -> str:
        target = tmp_path / "report.html"
        write_report(target, **({"title": "A title"} | NOTHING | parts))  # type: ignore[arg-type]
        return target.read_text(encoding="utf-8")

    return write


def cross_camera(queries: Embeddings, gallery: Embeddings) -> RetrievalReport:
    return evaluate_retrieval(queries, gallery, PLANE, leave_out_same_camera=True, resamples=0)


def strip_of(page: Page) -> list[Element]:
    (strip,) = page.root.all("ul", "strip")
    return strip.all("li")


def test_right_wrong_and_what_does_not_count_by_hand(
    by_hand: tuple[Embeddings, Embeddings], written: Callable[..., str]
) -> None:
    queries, gallery = by_hand
    retrieval = cross_camera(queries, gallery)
    page = Page(written(retrieval=retrieval, queries=queries, gallery=gallery, threshold=3.5))
    items = strip_of(page)
    expected = ["query", "wrong", "ignored", "right", "cut", "ignored", "wrong"]
    assert [item.classes for item in items] == [[name] for name in expected]
    assert [item.text for item in items] == [
        "query",
        "✗ 1 1",
        "– junk 2",
        "✓ 2 3",
        "threshold 3.5",
        "– same camera 4",
        "✗ 3 5",
    ]
    names = [path.name for path in gallery.crops.paths]
    described = [image.attributes["alt"] for item in items for image in item.all("img")]
    assert described == [
        f"query {queries.crops.paths[0].name}",
        f"wrong answer, rank 1: {names[0]}",
        f"does not count, junk: {names[1]}",
        f"right answer, rank 2: {names[2]}",
        f"does not count, same camera: {names[3]}",
        f"wrong answer, rank 3: {names[4]}",
    ]
    (heading,) = page.section("strips").all("h4")
    assert "person 7, average precision 0.500, first right answer at rank 2" in heading.text
    assert "keep it as carefully as the data" in page.root.all("footer")[0].text


def test_within_one_camera_all_crops_of_the_person_are_right(
    by_hand: tuple[Embeddings, Embeddings], written: Callable[..., str]
) -> None:
    queries, gallery = by_hand
    retrieval = evaluate_retrieval(queries, gallery, PLANE, resamples=0)
    items = strip_of(Page(written(retrieval=retrieval, queries=queries, gallery=gallery)))
    expected = ["query", "wrong", "ignored", "right", "right", "wrong"]
    assert [item.classes for item in items] == [[name] for name in expected]


@pytest.mark.parametrize(
    ("threshold", "place", "note"),
    [
        (0.5, 1, "The answer set is empty."),
        (1.0, 2, None),
        (4.99, 5, None),
        (5.0, 6, None),
        (None, None, None),
    ],
)
def test_the_line_stands_where_the_threshold_cuts(
    by_hand: tuple[Embeddings, Embeddings],
    written: Callable[..., str],
    threshold: float | None,
    place: int | None,
    note: str | None,
) -> None:
    queries, gallery = by_hand
    retrieval = cross_camera(queries, gallery)
    parts = {"retrieval": retrieval, "queries": queries, "gallery": gallery}
    page = Page(written(threshold=threshold, **parts))
    lines = [i for i, item in enumerate(strip_of(page)) if "cut" in item.classes]
    assert lines == ([] if place is None else [place])
    assert [p.text for p in page.section("strips").all("p", "note")] == ([note] if note else [])


def test_a_threshold_beyond_the_shown_answers_is_said_in_words(
    toy: Crops, written: Callable[..., str]
) -> None:
    some = toy[:13].replace(person=[1, 1, *range(2, 13)])
    people = on_a_line(some, range(13))
    queries, gallery = people.of_rows(np.arange(1)), people.of_rows(np.arange(1, 13))
    retrieval = evaluate_retrieval(queries, gallery, PLANE, resamples=0)
    parts = {"retrieval": retrieval, "queries": queries, "gallery": gallery}
    page = Page(written(threshold=10.5, **parts))
    assert len(strip_of(page)) == 1 + 10
    assert not page.root.all("li", "cut")
    (note,) = page.section("strips").all("p", "note")
    assert note.text.startswith("The threshold 10.5 lies beyond")


def test_hostile_names_are_text(
    by_hand: tuple[Embeddings, Embeddings], written: Callable[..., str], tmp_path: Path
) -> None:
    name = "a<b>&\"c'\u202e\n\udcff.jpg"
    shown = "a<b>&\"c'\ufffd\ufffd\ufffd.jpg"
    queries, gallery = by_hand
    hostile = tmp_path / name
    hostile.write_bytes(queries.crops.paths[0].read_bytes())
    queries = replace(queries, crops=queries.crops.replace(paths=(hostile,)))
    retrieval = replace(cross_camera(queries, gallery), protocol="<script>p</script>")
    title = "</title><script>alert(1)</script>"
    page = Page(written(title=title, retrieval=retrieval, queries=queries, gallery=gallery))
    assert not page.root.all("script")
    assert not page.root.all("b")
    assert page.root.all("h1")[0].text == page.root.all("title")[0].text == title
    (image,) = strip_of(page)[0].all("img")
    assert image.attributes["alt"] == f"query {shown}"
    assert image.attributes["title"] == shown
    assert page.section("strips").all("h4")[0].text.startswith(shown)


def test_pictures_are_small_jpegs_inside_the_page(
    by_hand: tuple[Embeddings, Embeddings], written: Callable[..., str]
) -> None:
    queries, gallery = by_hand
    retrieval = cross_camera(queries, gallery)
    page = Page(written(retrieval=retrieval, queries=queries, gallery=gallery))
    images = page.root.all("img")
    assert len(images) == 6
    for image in images:
        kind, _, content = (image.attributes["src"] or "").partition(",")
        assert kind == "data:image/jpeg;base64"
        height, width = simplejpeg.decode_jpeg_header(base64.b64decode(content))[:2]
        assert (str(height), str(width)) == (image.attributes["height"], image.attributes["width"])
        assert height == 128


def test_a_picture_keeps_its_shape_within_limits(tmp_path: Path) -> None:
    for shape, expected in (((64, 32), (128, 64)), ((50, 400), (24, 192)), ((900, 10), (128, 1))):
        file = tmp_path / f"{shape[1]}.jpg"
        file.write_bytes(simplejpeg.encode_jpeg(np.zeros((*shape, 3), np.uint8)))
        small = picture(Crops([file]), 0)
        assert (small.height, small.width) == expected


def test_pictures_that_cannot_be_read_leave_a_box(
    by_hand: tuple[Embeddings, Embeddings], written: Callable[..., str], tmp_path: Path
) -> None:
    queries, gallery = by_hand
    damaged, gone = tmp_path / "damaged.jpg", tmp_path / "gone.jpg"
    damaged.write_bytes(gallery.crops.paths[0].read_bytes()[:200])
    paths = (damaged, *gallery.crops.paths[1:4], gone)
    gallery = replace(gallery, crops=gallery.crops.replace(paths=paths))
    retrieval = cross_camera(queries, gallery)
    page = Page(written(retrieval=retrieval, queries=queries, gallery=gallery))
    boxes = page.root.all("span", "missing")
    assert [box.text for box in boxes] == ["no image"] * 2
    assert [box.attributes["aria-label"] for box in boxes] == [
        "wrong answer, rank 1: damaged.jpg (the image cannot be read)",
        "wrong answer, rank 3: gone.jpg (the image cannot be read)",
    ]
    assert len(page.root.all("img")) == 4


def test_a_whole_report_says_what_was_found(
    everything: dict[str, object], written: Callable[..., str]
) -> None:
    page = Page(written(**everything))
    assert page.sections == ["retrieval", "plots", "slices", "strips", "attributes"]
    links = [link.attributes["href"] for link in page.root.all("nav")[0].all("a")]
    assert links == [f"#{name}" for name in page.sections]
    retrieval, attributes = everything["retrieval"], everything["attributes"]
    assert isinstance(retrieval, RetrievalReport)
    assert isinstance(attributes, AttributeReport)

    facts = page.root.all("header")[0].text
    for expected in (
        "embedding euclidean",
        "fingerprint-of-a-model",
        f"{retrieval.gallery} crops",
        "24 of 24 persons; 0 skipped",
        f"{attributes.crops} crops of 24 persons; decision rule fixed",
    ):
        assert expected in facts

    figures, sets = page.section("retrieval").all("table")
    found = {row[0]: row[1:3] for row in rows_of(figures)[1:]}
    assert list(found) == ["top-1", "top-5", "top-10", "mAP (plain)", "mINP"]
    low, high = retrieval.intervals["map"]
    assert found["mAP (plain)"] == [f"{retrieval.metrics['map']:.3f}", f"{low:.3f} – {high:.3f}"]
    assert [row[0] for row in rows_of(sets)[1:]] == [s.rule for s in retrieval.answer_sets]
    assert rows_of(sets)[-1][1] == "–"
    described = {term.text.split(" (")[0] for term in page.section("retrieval").all("dt")}
    assert described == set(rows_of(sets)[0])

    assert retrieval.reliability is not None
    assert f"{retrieval.reliability.error:.4f}" in page.section("plots").all("figcaption")[1].text
    assert len(page.section("plots").all("svg")) == 2

    averages, each = page.section("attributes").all("table")
    f1 = {row[0]: row[1] for row in rows_of(averages)}["F1"]
    low, high = attributes.intervals["macro.f1"]
    assert f1 == f"{attributes.macro['f1']:.3f} {low:.3f} – {high:.3f}"
    values = {row[0]: row[1:] for row in rows_of(each)[1:]}
    assert list(values) == list(attributes.per_attribute)
    undefined = attributes.undefined[0]
    assert values[undefined][1:5] == ["–"] * 4
    pooled = everything["pooled"]
    assert isinstance(pooled, AttributeReport)
    assert f"same person: F1 {pooled.macro['f1']:.3f} (all)" in page.section("attributes").text
    gain = attributes.per_attribute["hat"]["gain"]
    assert values["hat"][-1] == f"{gain:+.3f}"


def test_the_page_needs_nothing_else(
    everything: dict[str, object], written: Callable[..., str]
) -> None:
    text = written(**everything)
    assert set(re.findall(r"\w+://[^\"'\s<]+", text)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert text.startswith("<!DOCTYPE html>")
    assert text.count("<!DOCTYPE") == 1
    page = Page(text)
    assert not page.root.all("script") + page.root.all("link")
    for name in ("src", "href", "xlink:href"):
        for tag in ("img", "a", "use", "image"):
            for element in page.root.all(tag):
                target = element.attributes.get(name)
                if target is not None and target.startswith("#"):
                    assert target[1:] in page.ids
                else:
                    assert target is None or target.startswith("data:image/jpeg")
    assert not re.search(r"#01020[345]", text)


def test_the_same_report_is_the_same_file(
    everything: dict[str, object], written: Callable[..., str]
) -> None:
    import matplotlib

    first = written(**everything)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False, "svg.hashsalt": None}):
        assert written(**everything) == first


@pytest.mark.parametrize(
    ("left_out", "sections"),
    [
        (("attributes",), ["retrieval", "plots", "slices", "strips"]),
        (("queries", "gallery"), ["retrieval", "plots", "slices", "attributes"]),
        (("retrieval",), ["attributes"]),
        (("retrieval", "queries", "gallery", "attributes"), []),
    ],
)
def test_what_is_missing_is_left_out(
    everything: dict[str, object],
    written: Callable[..., str],
    left_out: tuple[str, ...],
    sections: list[str],
) -> None:
    page = Page(written(**(everything | dict.fromkeys(left_out))))
    assert page.sections == sections
    assert bool(page.root.all("footer")) == ("strips" in sections)
    assert len(page.root.all("nav")) == bool(sections)


def test_a_bare_report_has_no_empty_parts(
    everything: dict[str, object], written: Callable[..., str]
) -> None:
    retrieval, attributes = everything["retrieval"], everything["attributes"]
    assert isinstance(retrieval, RetrievalReport)
    assert isinstance(attributes, AttributeReport)
    bare = replace(retrieval, intervals={}, slices={}, answer_sets=[], reliability=None)
    page = Page(written(retrieval=bare, attributes=replace(attributes, intervals={})))
    assert page.sections == ["retrieval", "plots", "attributes"]
    (figures,) = page.section("retrieval").all("table")
    assert rows_of(figures)[0] == ["figure", "value", "meaning"]
    assert len(page.section("plots").all("svg")) == 1
    assert "interval" not in page.section("attributes").text


def test_a_reliability_of_too_few_pairs_is_said_in_words(
    everything: dict[str, object], written: Callable[..., str]
) -> None:
    retrieval = everything["retrieval"]
    assert isinstance(retrieval, RetrievalReport)
    assert retrieval.reliability is not None
    empty = replace(retrieval.reliability, said=(), found=(), pairs=())
    page = Page(written(retrieval=replace(retrieval, reliability=empty)))
    assert "too few pairs" in page.section("plots").text


def test_slices_begin_with_the_largest_gap_and_name_who_is_worse_off(
    everything: dict[str, object], written: Callable[..., str]
) -> None:
    def side(queries: int, mean_ap: float) -> dict[str, float]:
        return {"queries": queries, "top1": 0.5, "map": mean_ap}

    retrieval, queries = everything["retrieval"], everything["queries"]
    assert isinstance(retrieval, RetrievalReport)
    assert isinstance(queries, Embeddings)
    retrieval = replace(
        retrieval,
        slices={
            "backpack": {"with": side(40, 0.6), "without": side(60, 0.5)},
            "hat": {"with": side(100, 0.5)},
            "gender": {"with": side(50, 0.75), "without": side(50, 0.25)},
            "old": {"with": side(3, 0.25), "without": side(97, 0.5)},
            "upred": {"with": side(50, 0.5), "without": side(50, 0.5)},
        },
    )
    table = Page(written(retrieval=retrieval, queries=queries)).section("slices").all("table")[0]
    assert [row[:6] for row in rows_of(table)[2:]] == [
        ["female", "male", "0.500", "50", "0.500", "0.750"],
        ["old", "old", "0.250 (few)", "3", "0.500", "0.250"],
        ["backpack", "no backpack", "0.100", "40", "0.500", "0.600"],
        ["red top", "–", "0.000", "50", "0.500", "0.500"],
        ["hat", "–", "–", "100", "0.500", "0.500"],
    ]
    assert rows_of(table)[-1][6:] == ["0", "–", "–"]
    assert [row.worse for row in slices(retrieval)[:2]] == ["not gender", "old"]


def scores_of(precisions: Sequence[float]) -> QueryScores:
    ap = np.array(precisions)
    right = np.where(np.isnan(ap), 0, 1)
    return QueryScores(np.arange(len(ap)), right, right, ap, ap)


def test_queries_are_chosen_from_the_worst_the_middle_and_the_rest() -> None:
    ap = np.linspace(1, 0, 101)
    ap[3] = np.nan
    groups = choose_queries(scores_of(ap.tolist()))
    worst, median, drawn = (rows.tolist() for _, rows in groups)
    assert worst == list(range(100, 92, -1))
    assert median == list(range(54, 46, -1))
    assert len(set(drawn)) == 8
    assert not set(drawn) & {*worst, *median, 3}
    again = choose_queries(scores_of(ap.tolist()))
    assert [rows.tolist() for _, rows in again] == [worst, median, drawn]
    assert [title for title, _ in groups] == [
        "The worst 8 by average precision",
        "8 around the median",
        "8 of the others, drawn at random (seed 0)",
    ]


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (2, [1, 1]), (3, [1, 1, 1]), (10, [3, 3, 3]), (24, [8, 8, 8])]
)
def test_few_queries_are_shared_out(count: int, sizes: list[int]) -> None:
    groups = choose_queries(scores_of(np.linspace(0, 1, count).tolist()))
    assert [len(rows) for _, rows in groups] == sizes
    assert len(np.unique(np.concatenate([rows for _, rows in groups]))) == sum(sizes)


def test_names_in_plots_are_text_and_not_formulas() -> None:
    figures = {"positives": 0.25, "f1": None}
    plot = f1_plot({"$<x>_2$ & y": figures, "b": figures | {"f1": 0.5}})
    (svg,) = Page(plot).root.all("svg")
    texts = [text.text for text in svg.all("text")]
    assert "$<x>_2$ & y" in texts
    assert texts.count("undefined") == 1


def test_a_plot_of_one_rank_can_be_drawn() -> None:
    assert "rises from 0.500 for 1 answer" in cmc_plot([0.5])


def test_numbers_on_plots_are_short() -> None:
    assert [compact(n) for n in (7, 999, 12_345, 3_000_000)] == ["7", "999", "12.3k", "3M"]


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_what_is_not_installed_is_named(
    module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"needs {module}.*passerby\[train\]"):
        write_report(tmp_path / "r.html", title="t", **NOTHING)  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_queries_of_another_report_are_refused(
    everything: dict[str, object], by_hand: tuple[Embeddings, Embeddings], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="report of these queries"):
        write_report(tmp_path / "r.html", **(everything | {"queries": by_hand[0]}))  # type: ignore[arg-type]


def test_importing_it_loads_neither_matplotlib_nor_jinja() -> None:
    code = (
        "import sys, passerby.reporting.html_report; "
        "print({'matplotlib', 'jinja2', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
