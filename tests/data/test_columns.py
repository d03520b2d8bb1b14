from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.data import Crops
from passerby.data.columns import (
    COLUMNS,
    NUMBER,
    TEXT,
    Column,
    gallery_columns,
    parse_value,
    register_column,
)
from passerby.errors import InputError


@pytest.fixture
def height() -> Iterator[Column]:
    """A column that somebody declares outside the package."""
    column = Column("height", NUMBER, "how tall the person is, in metres")
    register_column(column)
    yield column
    del COLUMNS["height"]


def test_text_is_kept_exactly() -> None:
    crops = Crops("abc", person=["0002", "2", None])
    assert crops.person.tolist() == ["0002", "2", ""]
    assert Crops("a", camera=[7]).camera.tolist() == ["7"]


def test_a_time_without_a_zone_is_utc() -> None:
    moment = parse_value("time", "2026-11-01T09:30:00+01:00", "here")
    assert moment == datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
    assert parse_value("time", "2026-11-01T08:30:00", "here") == moment
    (stored,) = Crops("a", time=[moment]).time
    assert stored == np.datetime64("2026-11-01T08:30:00")


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("time", "noon", "here: time is 'noon': write it like 2026-11-01T08:30:00"),
        ("box", "1 2 3", "box is '1 2 3': write left, top, width and height in pixels"),
        ("box", "1 2 0 4", "write left, top, width and height"),
        ("box", "1 2 nan 4", "write left, top, width and height"),
        ("person", "a\nb", "leave out line breaks, control characters"),
        ("person", "caf\udce9", "other encodings"),
        ("camera", "c" * 201, "write at most 200 characters"),
    ],
)
def test_values_that_are_not_like_their_column(column: str, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_value(column, text, "here")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "box"])
def test_nothing_is_unknown_in_every_column(name: str) -> None:
    kind = COLUMNS[name].kind
    values = kind.array([kind.parse("")], 1)
    assert not kind.known(values).any()
    assert kind.to_python(values[0]) is None
    assert kind.format(values[0]) == ""


@given(st.lists(st.integers(0, 2**31 - 1), min_size=4, max_size=4).filter(lambda b: b[2] and b[3]))
def test_a_box_is_read_as_it_is_written(box: list[int]) -> None:
    kind = COLUMNS["box"].kind
    (stored,) = kind.array([kind.parse(" ".join(map(str, box)))], 1)
    assert stored.tolist() == box
    assert kind.parse(kind.format(stored)) == tuple(box)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_as_it_is_written(number: float) -> None:
    assert NUMBER.parse(NUMBER.format(number)) == number


def test_whole_numbers_are_written_without_a_point() -> None:
    assert (NUMBER.format(12_345_678.0), NUMBER.format(0.1)) == ("12345678", "0.1")


def test_a_registered_column_is_a_column_of_crops(height: Column) -> None:
    crops = Crops("ab", height=[1.75, None])
    assert crops.height[0] == 1.75
    assert np.isnan(crops[1:].height[0])
    assert height in gallery_columns()
    assert parse_value("height", "1.8", "here") == 1.8
    with pytest.raises(InputError, match="height is 'tall': write a number"):
        parse_value("height", "tall", "here")


@pytest.mark.parametrize(
    "name", ["person", "path", "split", "Height", "two words", "größe", "a0007", "_rowid", "not"]
)
def test_names_that_a_column_cannot_have(name: str) -> None:
    before = dict(COLUMNS)
    with pytest.raises(
        ValueError, match="already|is not a name of small letters|a word of the query"
    ):
        register_column(Column(name, TEXT, "about"))
    assert before == COLUMNS


def test_unknown_columns_are_refused() -> None:
    unknown: dict[str, Any] = {"height": [1]}
    with pytest.raises(ValueError, match="crops have no column 'height': known are"):
        Crops("a", **unknown)
