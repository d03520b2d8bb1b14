from datetime import UTC, datetime
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.data.conditions import ColumnCondition, Condition, Present, Probability, quote
from passerby.data.query_language import parse_query, quote_name
from passerby.data.schema import Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.gallery.filters import decide_presence
from passerby.inference import Decision

ROWS: list[dict[str, Any]] = [
    # hash, camera, person, time, source, and the attributes that are not 0.1
    {"hash": "woman", "camera": "1", "gender": 0.9, "upred": 0.8, "time": (1, 8), "source": "a"},
    {
        "hash": "man",
        "camera": "3",
        "upblue": 0.7,
        "backpack": 0.6,
        "time": (2, 0),
        "source": "it's",
    },
    {"hash": "hat", "camera": "2", "hat": 0.95, "upred": 0.5, "person": "7", "time": (3, 23)},
    {"hash": "unknown", "camera": None, "backpack": 0.5, "downblack": 0.4, "source": 'say "hi"'},
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    schema = pa.schema(
        [
            ("hash", pa.string()),
            ("camera", pa.string()),
            ("person", pa.string()),
            ("time", pa.timestamp("us", tz="UTC")),
            ("source", pa.string()),
            *((name, pa.float32()) for name in MARKET1501_ATTRIBUTES.names),
        ]
    )
    rows = []
    for row in ROWS:
        full = {
            "camera": None,
            "person": None,
            "source": None,
            **dict.fromkeys(MARKET1501_ATTRIBUTES.names, 0.1),
        }
        day = row.get("time")
        moment = None if day is None else datetime(2026, 11, day[0], day[1], 30, tzinfo=UTC)
        rows.append({**full, **row, "time": moment})
    store = lancedb.connect(tmp_path_factory.mktemp("store"))
    return store.create_table("crops", pa.Table.from_pylist(rows, schema))


EXPECTED = "an attribute or dataset, person, camera, track, time, source or box is expected at"
NAMES = {name: name for name in MARKET1501_ATTRIBUTES.names}


def parsed(text: str, decision: Decision | None = None) -> Condition:
    present = decide_presence(MARKET1501_ATTRIBUTES, decision or Decision("fixed"))
    return parse_query(text, MARKET1501_ATTRIBUTES, present)


def found(table: Any, text: str, decision: Decision | None = None) -> set[str]:
    sql = parsed(text, decision).sql(NAMES)
    return {row["hash"] for row in table.search().where(sql).limit(100).to_list()}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("upred", {"woman", "hat"}),
        ("UPRED", {"woman", "hat"}),
        ("not upred", {"man", "unknown"}),
        ("gender = female and upred and not hat", {"woman"}),
        (
            "gender = female and upred and not hat and camera in (1,3) and time >= 2026-11-01",
            {"woman"},
        ),
        ("female", {"woman"}),
        ("male", {"man", "hat", "unknown"}),
        ("gender != female", {"man", "hat", "unknown"}),
        ("hair = short", {"woman", "man", "hat", "unknown"}),
        ("hair = 'long hair'", set()),
        ("hat = yes or backpack = true", {"man", "hat", "unknown"}),
        ("hat = no and backpack = no", {"woman"}),
        ('"upper colour" = red', {"woman", "hat"}),
        ("upper_colour in (red, blue)", {"woman", "hat", "man"}),
        ("upper_colour not in (red, blue)", {"unknown"}),
        ("lower_colour = multicolor", set()),
        ("backpack >= 0.5", {"man", "unknown"}),
        ("backpack > 0.55", {"man"}),
        ("hat < 0.5 and upred > 0.4", {"woman"}),
        ("camera = 3", {"man"}),
        ("camera != 3", {"woman", "hat", "unknown"}),
        ("not camera = 3", {"woman", "hat", "unknown"}),
        ("camera in (1, 2)", {"woman", "hat"}),
        ("camera not in (1, 2)", {"man", "unknown"}),
        ("camera = unknown", {"unknown"}),
        ("camera != unknown", {"woman", "man", "hat"}),
        ("person = 7", {"hat"}),
        ("person = -1", set()),
        ("time = 2026-11-02", {"man"}),
        ("time != 2026-11-02", {"woman", "hat", "unknown"}),
        ("time >= 2026-11-02", {"man", "hat"}),
        ("time > 2026-11-02", {"hat"}),
        ("time <= 2026-11-02", {"woman", "man"}),
        ("time < 2026-11-02", {"woman"}),
        ("time in (2026-11-01, 2026-11-03)", {"woman", "hat"}),
        ("time < 2026-11-01T09:00", {"woman"}),
        ("time < 2026-11-01T09:00+02:00", set()),
        ("time > 2026-11-02T00:29:59Z and time < '2026-11-02 00:31'", {"man"}),
        ('source = "it\'s"', {"man"}),
        ("source = 'say \"hi\"'", {"unknown"}),
        ("source in ('a', 'b')", {"woman"}),
        ("source = 'a'' OR 1=1'", set()),
        ("camera = 1 or camera = 2 and hat", {"woman", "hat"}),
        ("(camera = 1 or camera = 2) and hat", {"hat"}),
        ("not (camera = 1 or camera = 2)", {"man", "unknown"}),
        ("not not hat", {"hat"}),
    ],
)
def test_what_is_found(table: Any, text: str, names: set[str] | None) -> None:
    if names is None:
        with pytest.raises(InputError, match="is expected at"):
            found(table, text)
    else:
        assert found(table, text) == names


def test_the_decision_rule_says_what_is_present(table: Any) -> None:
    thresholds = [0.5] * 32
    thresholds[MARKET1501_ATTRIBUTES.index("upred")] = 0.6
    assert found(table, "upred", Decision("thresholds", tuple(thresholds))) == {"woman"}
    # the most probable lower colour, the first of equals; 0.4 is the most of its crop
    assert found(table, "downblack", Decision("group")) == {"woman", "man", "hat", "unknown"}
    assert found(table, "downbrown", Decision("group")) == set()
    assert found(table, "upred", Decision("group")) == {"woman", "hat"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`where` is empty: describe whom you look for"),
        ("   ", "`where` is empty"),
        ("upredd", "'upredd' is not known: did you mean 'upred'?"),
        ("kamera = 3", "'kamera' is not known: did you mean 'camera'?"),
        ("xyzzyq", "'xyzzyq' is not known: known are young, teenager"),
        ("gender = femal", "gender is never 'femal': did you mean 'female'?"),
        ("upper_colour = mauve", "upper colour is never 'mauve': known are"),
        ("gender < female", "a probability from 0 to 1 is expected at 'female'"),
        ("upper_colour < red", "upper.colour has no order"),
        ("upper_colour", "'=', '<', '>' or 'in' is expected at its end"),
        ("gender =", "a value of gender is expected at its end"),
        ("camera", "'=', '<', '>' or 'in' is expected at its end"),
        ("camera > 1", "camera has no order"),
        ("camera in 3", r"'\(' is expected at '3'"),
        ("camera in (3", r"',' or '\)' is expected at its end"),
        ("camera in ()", "a name, in quotes if it is not one word"),
        ("camera not 3", "'in' is expected at '3'"),
        ("time > yesterday", "a date such as 2026-11-01"),
        ("time > 2026-13-01", "a date such as 2026-11-01"),
        ("time > 2026-11-01T25:00", "a date such as 2026-11-01"),
        ("time = 9999-12-31", "no day follows 9999-12-31"),
        ("backpack > 1.5", "a probability from 0 to 1"),
        ("backpack > much", "a probability from 0 to 1"),
        ("source < 'a'", "source has no order"),
        ("source = 'a\tb'", "holds characters that cannot be searched for"),
        ("(hat", r"'\)' is expected at its end"),
        ("hat)", r"'and', 'or' or the end is expected at '\)'"),
        (
            "hat or or bag",
            f"{EXPECTED} 'or bag'",
        ),
        ("female > 0.5", "female stands for itself"),
        ("hat & bag", "combine conditions with and, or, not"),
        (
            "hat and",
            f"{EXPECTED} its end",
        ),
        ("hat; drop table crops", "'; drop tab' cannot be read"),
        ("hat -- comment", "'-- comment' cannot be read"),
        (
            "1 = 1",
            f"{EXPECTED} '1 = 1'",
        ),
        ("(" * 60 + "hat" + ")" * 60, "nested more than 50 times"),
        ("not " * 60 + "hat", "nested more than 50 times"),
        ("hat or " * 400 + "hat", "characters long"),
        ("vector = 3", "'vector' is not known"),
        ("hash = 'a'", "'hash' is not known"),
    ],
)
def test_what_is_not_understood(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parsed(text)


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_understood_or_refused_with_a_sentence(text: str) -> None:
    try:
        sql = parsed(text, Decision("group")).sql(NAMES)
    except InputError:
        return
    assert sql.count("(") == sql.count(")") > 0


@given(
    st.lists(st.sampled_from(["hat", "and", "or", "not", "(", ")", "camera", "=", "1", "in", ","]))
)
@settings(max_examples=300, deadline=None)
def test_any_words_of_the_language_are_understood_or_refused(words: list[str]) -> None:
    try:
        sql = parsed(" ".join(words)).sql(NAMES)
    except InputError:
        return
    assert sql.count("(") == sql.count(")")


HOSTILE = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=30)


@given(HOSTILE)
@settings(max_examples=150, deadline=None)
def test_a_quoted_text_finds_itself_and_nothing_else(table: Any, text: str) -> None:
    """Whatever is asked for, it is compared, not executed."""
    if not text.isprintable():
        return
    sql = f"(source IS NOT NULL AND source = {quote(text)})"
    names = {row["source"] for row in table.search().where(sql).limit(100).to_list()}
    assert names <= {text}


@given(HOSTILE.filter(lambda text: text.isprintable() and text == text.strip() != ""))
@settings(max_examples=150, deadline=None)
def test_any_name_can_be_asked_for(name: str) -> None:
    assert parse_query(quote_name(name), Schema.of([name])) == Present(name)
    quoted = quote_name(name) if quote_name(name) != name else f'"{name}"'
    assert parse_query(f"person = {quoted}", None) == ColumnCondition("person", "=", name)


@pytest.mark.parametrize("name", ["camera", "not", "unknown", 'it\'s "north"', "Skirt&Dress"])
def test_names_that_need_quotes(name: str) -> None:
    assert quote_name(name) != name
    assert parse_query(quote_name(name), Schema.of([name])) == Present(name)


def test_nested_negations_stay_short() -> None:
    """The database would take exponential time over them."""
    names = {"hat": "a0000", "bag": "a0001"}
    schema = Schema.of(["hat", "bag"])
    hat = parse_query("hat", schema).sql(names)
    assert parse_query("not " * 48 + "hat", schema).sql(names) == hat
    assert parse_query("not " * 47 + "hat", schema).sql(names) == f"(NOT {hat})"
    nested = "hat"
    for _ in range(20):
        nested = f"not (bag and {nested})"
    # half of the bags are negated, and the negations of all others cancel out
    assert parse_query(nested, schema).sql(names).count("NOT") == 10


def test_groups_have_no_order() -> None:
    with pytest.raises(InputError, match="age has no order: use = or !="):
        parse_query("age > 0.5", MARKET1501_ATTRIBUTES)


def test_names_that_differ_in_capitals_alone() -> None:
    schema = Schema.of(["hat", "Hat", "HELMET"])
    for asked, found in (("hat", "hat"), ("Hat", "Hat"), ("HAT", "hat"), ("helmet", "HELMET")):
        assert parse_query(asked, schema) == Present(found)
    assert parse_query("Hat > 0.5", schema) == Probability("Hat", ">", 0.5)


COLUMNS = {name: np.array([0.25, 1.0]) for name in MARKET1501_ATTRIBUTES.names}


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("hat", [0.25, 1]),
        ("not hat", [0.75, 0]),
        ("hat and bag", [0.0625, 1]),
        ("hat or bag", [1 - 0.75**2, 1]),
        ("hat and camera = 3", [0.25, 1]),
        ("hat or camera = 3", [0.25, 1]),
        ("not (hat and bag)", [1 - 0.0625, 0]),
        ("not camera = 3 and hat", [0.25, 1]),
        ("hat > 0.9", [0.25, 1]),
        ("hat < 0.9", [0.75, 0]),
    ],
)
def test_scores_by_hand(text: str, score: list[float]) -> None:
    condition = parsed(text)
    assert condition.attributes() <= set(COLUMNS)
    np.testing.assert_allclose(condition.score(COLUMNS), score)


def test_a_description_without_attributes_scores_everything_alike() -> None:
    assert parsed("camera = 3 or time > 2026-01-01").score(COLUMNS) == 1
