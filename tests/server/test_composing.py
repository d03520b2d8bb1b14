import pytest

from passerby.data.query_language import parse_query
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.server.composing import compose_where
from passerby.server.filter_form import filter_groups


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, None),
        ({"is-gender": [""], "where": ["  "], "from": [""], "top_k": ["3"]}, None),
        ({"is-gender": ["yes"]}, "gender = female"),
        ({"is-gender": ["no"]}, "gender = male"),
        ({"is-hat": ["yes"]}, "hat"),
        ({"is-hat": ["no"]}, "not hat"),
        ({"is-up": ["no"]}, "up = long"),
        ({"is-clothes": ["no"]}, "clothes = dress"),
        ({"is-age": ["old"]}, "age = old"),
        ({"is-upper colour": ["upred"]}, '"upper colour" = red'),
        (
            {"is-upper colour": ["upred", "upblue", "upred"]},
            '"upper colour" in (red, blue)',
        ),
        ({"is-lower colour": ["downmulticolor"]}, '"lower colour" = multicolor'),
        ({"camera": ["3"]}, "camera = 3"),
        ({"camera": ["north gate"]}, 'camera = "north gate"'),
        ({"camera": ["1) or (camera = 2"]}, 'camera = "1) or (camera = 2"'),
        ({"camera": ["3", ""]}, "camera in (3, unknown)"),
        ({"camera": ["unknown"]}, 'camera = "unknown"'),
        ({"camera": ["""it's "north" gate"""]}, 'camera = "it\'s ""north"" gate"'),
        ({"from": ["2026-11-01T08:30"]}, "time >= 2026-11-01T08:30:00"),
        ({"until": ["2026-11-01T08:30+02:00"]}, "time <= 2026-11-01T06:30:00"),
        ({"where": ["hat or bag"]}, "hat or bag"),
        (
            {"where": ["hat or bag"], "camera": ["1"], "is-hair": ["yes"], "is-bag": ["no"]},
            "not bag and hair = long and camera = 1 and (hat or bag)",
        ),
    ],
)
def test_descriptions_by_hand(fields: dict, where: str | None) -> None:
    assert compose_where(fields, MARKET1501_ATTRIBUTES) == where
    if where is not None:
        parse_query(where, MARKET1501_ATTRIBUTES)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"is-gender": ["1 = 1"]}, "Gender: tick one of female, male, or none"),
        ({"is-gender": ["yes", "no"]}, "Gender: tick one of"),
        ({"is-upper colour": ["upred", "red) or (true"]}, "Upper colour: tick one of black"),
        ({"camera": ["a\0b"]}, "Camera: tick some"),
        ({"from": ["2026-11-01' or '1'='1"]}, "Taken from: .* is not a time"),
        ({"until": ["0001-01-01T00:00+14:00"]}, "Taken until: .* is not a time"),
    ],
)
def test_what_the_form_does_not_offer(fields: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        compose_where(fields, MARKET1501_ATTRIBUTES)


def test_every_tick_is_understood_and_means_its_attribute() -> None:
    seen = set()
    for group in filter_groups(MARKET1501_ATTRIBUTES):
        for tick in group.ticks:
            condition = parse_query(tick.condition, MARKET1501_ATTRIBUTES)
            seen |= condition.attributes()
        values = [tick.value for tick in group.ticks]
        if group.several:
            condition = parse_query(group.condition(values), MARKET1501_ATTRIBUTES)
            assert len(condition.attributes()) == len(values)
    assert seen == set(MARKET1501_ATTRIBUTES.names)


def test_the_form_has_the_order_of_the_schema() -> None:
    fields = [group.field for group in filter_groups(MARKET1501_ATTRIBUTES)]
    assert fields == [field.name for field in MARKET1501_ATTRIBUTES.fields]
    assert filter_groups(None) == ()
