from dataclasses import replace

import pytest

from passerby.toy import Appearance, draw_people
from passerby.toy.fabric import Fabric

HEADER = (
    "age,backpack,bag,handbag,clothes,down,up,hair,hat,gender,"
    "upblack,upwhite,upred,uppurple,upyellow,upgray,upblue,upgreen,"
    "downblack,downwhite,downpink,downpurple,downyellow,downgray,downblue,downgreen,downbrown"
)
COLUMNS = HEADER.split(",")

PEOPLE = draw_people(200, seed=4)


def in_upper(person: Appearance, name: str) -> Appearance:
    fabric = replace(person.upper.fabric, name=name)
    return replace(person, upper=replace(person.upper, fabric=fabric))


def test_annotation_has_the_course_columns_in_order() -> None:
    for person in PEOPLE:
        assert list(person.annotation) == COLUMNS


def test_annotation_values_are_in_range() -> None:
    for person in PEOPLE:
        row = person.annotation
        assert row.pop("age") in (1, 2, 3, 4)
        assert set(row.values()) <= {1, 2}


def test_annotation_names_the_colour_or_none_of_patterned_clothes() -> None:
    for person in PEOPLE:
        row = person.annotation
        assert [name for name in COLUMNS[10:18] if row[name] == 2] == worn(
            "up", person.upper.fabric
        )
        assert [name for name in COLUMNS[18:] if row[name] == 2] == worn(
            "down", person.lower.fabric
        )


def worn(prefix: str, fabric: Fabric) -> list[str]:
    assert (fabric.name == "multicolor") == (not fabric.plain)
    return [prefix + fabric.name] if fabric.plain else []


def test_annotation_says_what_the_person_wears() -> None:
    person = in_upper(PEOPLE[0], "red")
    person = replace(
        person,
        age="old",
        female=True,
        backpack=None,
        hair=replace(person.hair, long=True),
        lower=replace(person.lower, dress=True, short=False),
        upper=replace(person.upper, short_sleeves=True),
    )
    row = person.annotation
    assert row["age"] == 4
    assert row["gender"] == 2
    assert row["backpack"] == 1
    assert row["hair"] == 2
    assert row["clothes"] == 1
    assert row["down"] == 1
    assert row["up"] == 2
    assert row["upred"] == 2
    assert row["upwhite"] == 1


def test_a_colour_outside_the_group_is_refused() -> None:
    with pytest.raises(ValueError, match="'pink' is not a colour of the group 'up'"):
        _ = in_upper(PEOPLE[0], "pink").annotation
