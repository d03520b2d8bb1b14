import pytest

from passerby.data.schema import MOST_ATTRIBUTES, Attribute, Schema
from passerby.errors import InputError

SCHEMA = Schema(
    (
        Attribute("helmet"),
        Attribute("red", "red top", "upper colour"),
        Attribute("blue", "blue top", "upper colour"),
        Attribute("Female", "female", absent="male"),
    ),
    name="workers",
)


def test_what_is_left_out_is_derived() -> None:
    helmet, red, _, female = SCHEMA.attributes
    assert (helmet.phrase, helmet.group, helmet.absent) == ("helmet", "", "not helmet")
    assert red.absent == "not red top"
    assert female.absent == "male"


def test_names_phrases_and_groups() -> None:
    assert len(SCHEMA) == 4
    assert SCHEMA.names == ("helmet", "red", "blue", "Female")
    assert SCHEMA.phrases == ("helmet", "red top", "blue top", "female")
    assert SCHEMA.groups == {"upper colour": slice(1, 3)}
    assert [SCHEMA.index(name) for name in SCHEMA.names] == [0, 1, 2, 3]


def test_a_group_is_one_question() -> None:
    assert [tuple(field) for field in SCHEMA.fields] == [
        ("helmet", slice(0, 1), False),
        ("upper colour", slice(1, 3), True),
        ("Female", slice(3, 4), False),
    ]


def test_schemas_are_equal_by_content() -> None:
    again = Schema.from_dict(SCHEMA.to_dict())
    assert again == SCHEMA
    assert hash(again) == hash(SCHEMA)
    assert again.name == "workers"
    assert Schema(SCHEMA.attributes, "others") == SCHEMA
    assert Schema(SCHEMA.attributes[:1]) != SCHEMA
    assert Schema.of(["Female"]) != Schema((Attribute("Female", absent="male"),))


@pytest.mark.parametrize("name", ["", " hat", "hat ", "h\nat", "h" * 81])
def test_what_cannot_name_an_attribute(name: str) -> None:
    with pytest.raises(
        InputError, match="not a name of an attribute|begins or ends with a blank|has no name"
    ):
        Attribute(name)


@pytest.mark.parametrize("name", ["Skirt&Dress", "Age18-60", "path", "kurze Hose", "帽子"])
def test_other_text_names_an_attribute(name: str) -> None:
    assert Schema.of([name]).names == (name,)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ((), "has no attributes"),
        ((Attribute("hat"), Attribute("hat", "a hat")), "'hat' is named twice"),
        ((Attribute("old", group="age"),), "group 'age' must hold two attributes or more"),
        (
            (Attribute("old", group="age"), Attribute("hat"), Attribute("young", group="age")),
            "'age' must hold two attributes or more, one after the other",
        ),
        (tuple(Attribute(str(i)) for i in range(MOST_ATTRIBUTES + 1)), "1,001 attributes, more"),
    ],
)
def test_what_is_not_a_schema(attributes: tuple[Attribute, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Schema(attributes)


@pytest.mark.parametrize(
    "values",
    [{}, {"attributes": 3}, {"attributes": ["hat"]}, {"attributes": [{"name": "a", "size": 1}]}],
)
def test_json_that_is_not_a_schema(values: dict) -> None:
    with pytest.raises(InputError, match="not a schema of attributes"):
        Schema.from_dict(values)


def test_an_unknown_attribute() -> None:
    with pytest.raises(InputError, match="'cap' is not an attribute of the workers schema: choose"):
        SCHEMA.index("cap")
