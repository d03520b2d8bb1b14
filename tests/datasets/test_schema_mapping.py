from pathlib import Path

import numpy as np
import pytest
import yaml

from passerby.data.crops import Crops, attribute_frequencies, concatenate
from passerby.data.schema import Schema
from passerby.datasets import read_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.datasets.pa100k import PA100K_ATTRIBUTES
from passerby.datasets.peta_attributes import PETA_ATTRIBUTES
from passerby.datasets.schema_mapping import SchemaMapping, find_mapping
from passerby.errors import InputError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SHIPPED = ("peta-to-market1501", "pa100k-to-market1501")
PETA_COLOURS = [
    *("Black", "Blue", "Brown", "Green", "Grey", "Orange"),
    *("Pink", "Purple", "Red", "White", "Yellow"),
]


def crops_with(schema: Schema, *rows: str) -> Crops:
    """Crops that have the attributes of one row each, separated by blanks, and no others."""
    labels = np.zeros((len(rows), len(schema)), np.float32)
    for row, names in zip(labels, rows, strict=True):
        row[[schema.index(name) for name in names.split()]] = 1
    return Crops([f"{i}.jpg" for i in range(len(rows))], labels=labels, schema=schema)


def mapped(schema: Schema, names: str) -> dict[str, float]:
    """What a crop with these attributes has in Market-1501; unknown ones are left out."""
    mapping = find_mapping(schema, MARKET1501_ATTRIBUTES)
    assert mapping is not None
    crops = mapping.apply(crops_with(schema, names))
    assert crops.schema == MARKET1501_ATTRIBUTES
    found = dict(zip(MARKET1501_ATTRIBUTES.names, crops.labels[0].tolist(), strict=True))
    return {name: value for name, value in found.items() if not np.isnan(value)}


def slow_colours(prefix: str, theirs: tuple[str, ...], worn: set[str]) -> dict:
    """A colour alone is known to be there, one of several may be; all others are not there."""
    return {
        prefix + ours: float(peta in worn)
        for ours, peta in zip(
            theirs, [t.title().replace("Gray", "Grey") for t in theirs], strict=True
        )
        if peta not in worn or len(worn) == 1
    }


def test_one_of_pa100k() -> None:
    assert mapped(
        PA100K_ATTRIBUTES,
        "Female Age18-60 Front ShoulderBag HoldObjectsInFront ShortSleeve Trousers",
    ) == {
        "old": 0,
        "backpack": 0,
        "bag": 1,
        "handbag": 0,
        "clothes": 1,
        "down": 0,
        "up": 1,
        "hat": 0,
        "gender": 1,
    }


def test_skirts_of_pa100k_are_long_or_short() -> None:
    found = mapped(PA100K_ATTRIBUTES, "Age18-60 LongSleeve Skirt&Dress")
    assert found["clothes"] == 0
    assert "down" not in found
    assert mapped(PA100K_ATTRIBUTES, "Age18-60 LongSleeve Shorts")["down"] == 1
    bare = mapped(PA100K_ATTRIBUTES, "AgeOver60 LongSleeve")
    assert not {"clothes", "down"} & set(bare)
    assert (bare["old"], bare["gender"], bare["up"]) == (1, 0, 0)


def test_one_of_peta() -> None:
    found = mapped(
        PETA_ATTRIBUTES,
        "personalFemale personalLess30 hairLong upperBodyNoSleeve lowerBodyShortSkirt "
        "upperBodyRed lowerBodyBrown carryingBackpack accessoryNothing",
    )
    colours = slow_colours(
        "up",
        ("black", "white", "red", "purple", "yellow", "gray", "blue", "green"),
        {"Red"},
    )
    colours |= slow_colours(
        "down",
        ("black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown"),
        {"Brown"},
    )
    assert found == colours | {
        "young": 0,
        "old": 0,
        "backpack": 1,
        "down": 1,
        "up": 1,
        "hair": 1,
        "hat": 0,
        "gender": 1,
    }
    assert found["upred"] == found["downbrown"] == 1


@pytest.mark.parametrize("part", ["upperBody", "lowerBody"])
def test_colours_of_peta_are_not_exclusive(part: str) -> None:
    """All sets of one and two colours, against the rule in words."""
    prefix, group_name = {
        "upperBody": ("up", "upper colour"),
        "lowerBody": ("down", "lower colour"),
    }[part]
    group = MARKET1501_ATTRIBUTES.groups[group_name]
    names = MARKET1501_ATTRIBUTES.names[group]
    ours = tuple(n.removeprefix(prefix) for n in names if not n.endswith("multicolor"))
    worn = [{first, second} for first in PETA_COLOURS for second in PETA_COLOURS]
    rows = [" ".join(part + colour for colour in colours) for colours in worn]
    mapping = SchemaMapping.load("peta-to-market1501")
    labels = mapping.apply(crops_with(PETA_ATTRIBUTES, *rows)).labels[:, group]
    for row, colours in zip(labels, worn, strict=True):
        found = {n: v for n, v in zip(names, row.tolist(), strict=True) if not np.isnan(v)}
        assert found == slow_colours(prefix, ours, colours)
        assert sum(found.values()) <= 1


def test_what_peta_says_nothing_of_is_unknown() -> None:
    found = mapped(PETA_ATTRIBUTES, "upperBodyRed")
    assert not {"young", "old", "gender", "hair", "up", "down"} & set(found)
    assert mapped(PETA_ATTRIBUTES, "hairBald personalMale personalLess15") == {
        **mapped(PETA_ATTRIBUTES, ""),
        "hair": 0,
        "gender": 0,
        "young": 1,
        "old": 0,
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_mapping_gives_a_reason_for_each_attribute(name: str) -> None:
    mapping = SchemaMapping.load(name)
    assert set(mapping.reasons) == set(MARKET1501_ATTRIBUTES.names)
    assert all(reason.endswith(".") for reason in mapping.reasons.values())
    assert {"teenager", "adult", "upmulticolor", "downmulticolor"} <= set(mapping.unknown)
    assert set(mapping.unknown) | set(mapping.conditions) == set(MARKET1501_ATTRIBUTES.names)


@pytest.mark.parametrize(
    "source", [PETA_ATTRIBUTES, PA100K_ATTRIBUTES], ids=lambda schema: schema.name
)
def test_unknown_labels_stay_unknown(source: Schema) -> None:
    mapping = find_mapping(source, MARKET1501_ATTRIBUTES)
    assert mapping is not None
    labels = np.full((3, len(source)), np.nan)
    crops = mapping.apply(Crops(["a.jpg", "b.jpg", "c.jpg"], labels=labels, schema=source))
    assert np.isnan(crops.labels).all()


def test_a_mapping_is_found_by_what_the_schemas_hold() -> None:
    renamed = Schema(PETA_ATTRIBUTES.attributes, "something else")
    found = find_mapping(renamed, MARKET1501_ATTRIBUTES)
    assert found is not None
    assert found.name == "peta-to-market1501.yaml"
    assert find_mapping(MARKET1501_ATTRIBUTES, PETA_ATTRIBUTES) is None
    assert find_mapping(Schema.of(["helmet"]), MARKET1501_ATTRIBUTES) is None
    by_name = find_mapping(Schema.of(["helmet", "hat"]), MARKET1501_ATTRIBUTES)
    assert by_name is not None
    assert list(by_name.conditions) == ["hat"]


def test_the_rest_of_the_crops_stays(tmp_path: Path) -> None:
    mapping = SchemaMapping.load("pa100k-to-market1501")
    crops = crops_with(PA100K_ATTRIBUTES, "Hat", "Female").replace(person=["a", "b"])
    after = mapping.apply(crops)
    assert after.paths == crops.paths
    assert after.person.tolist() == ["a", "b"]
    with pytest.raises(InputError, match="is made for crops with attributes of pa100k only"):
        mapping.apply(after)
    with pytest.raises(InputError, match="is made for crops with attributes of pa100k only"):
        mapping.apply(crops.without_labels())


@pytest.fixture
def content() -> dict:
    """A mapping that is right: hats are hats, all else is unknown."""
    attributes = {name: {"why": "Nobody looked."} for name in MARKET1501_ATTRIBUTES.names}
    attributes["hat"] = {"is": "Hat", "why": "The same."}
    return {"source": "pa100k", "target": "market1501", "attributes": attributes}


def test_a_mapping_of_ones_own(tmp_path: Path, content: dict) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(content))
    crops = SchemaMapping.load(file).apply(crops_with(PA100K_ATTRIBUTES, "Hat", "Female"))
    hat = MARKET1501_ATTRIBUTES.index("hat")
    assert crops.labels[:, hat].tolist() == [1, 0]
    assert np.isnan(np.delete(crops.labels, hat, axis=1)).all()


@pytest.mark.parametrize(
    ("attribute", "said", "problem"),
    [
        ("hat", {"is": "Hatt", "why": "x"}, "mine.yaml, hat: 'Hatt' is not known"),
        ("hat", {"is": "Hat and", "why": "x"}, "mine.yaml, hat: 'Hat and': "),
        ("hat", {"is": "Hat", "known": "Hit", "why": "x"}, "mine.yaml, hat: 'Hit'"),
        ("hat", {"is": "camera = 1", "why": "x"}, "mine.yaml, hat: name an attribute of pa100k"),
        ("hat", {"is": "Hat"}, "mine.yaml, hat: write `why`"),
        ("hat", {"known": "Hat", "why": "x"}, "mine.yaml, hat: write `why`, `is`"),
        ("hat", {"was": "Hat", "why": "x"}, "mine.yaml, hat: write `why`"),
        ("hat", "Hat", "mine.yaml, hat: write `why`"),
        ("helmet", {"why": "x"}, "mine.yaml, helmet: it is not an attribute of market1501"),
        (7, {"why": "x"}, "mine.yaml, 7: it is not an attribute of market1501"),
    ],
)
def test_a_line_that_is_wrong(
    tmp_path: Path, content: dict, attribute: object, said: object, problem: str
) -> None:
    content["attributes"][attribute] = said
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError) as caught:
        SchemaMapping.load(tmp_path / "mine.yaml")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_a_mapping(tmp_path: Path, content: dict) -> None:
    file = tmp_path / "mine.yaml"
    wrong = {
        "mine.yaml is not a mapping": yaml.safe_dump([1]),
        "is not YAML": "source: [",
        "source is 'duke': choose from market1501": yaml.safe_dump(content | {"source": "duke"}),
        "target is ['a']: choose": yaml.safe_dump(content | {"target": ["a"]}),
        "`attributes` must name": yaml.safe_dump(content | {"attributes": []}),
    }
    for problem, text in wrong.items():
        file.write_text(text)
        with pytest.raises(InputError) as caught:
            SchemaMapping.load(file)
        assert problem in str(caught.value)
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="is not YAML"):
        SchemaMapping.load(file)
    del content["attributes"]["hair"]
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"mine\.yaml says nothing of 'hair': write what it is"):
        SchemaMapping.load(file)
    with pytest.raises(InputError, match="ships with Passerby: pa100k-to-market1501, peta-to-mark"):
        SchemaMapping.load(tmp_path / "none.yaml")


@pytest.fixture(scope="module")
def real() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"no real pedestrians at {SHARED}")
    return SHARED


@pytest.mark.real_data
def test_real_labels_of_peta(real: Path) -> None:
    """3DPeS, counted crop by crop from the names in Label.txt."""
    crops = read_crops(real / "peta" / "3DPeS")
    mapping = find_mapping(crops.schema, MARKET1501_ATTRIBUTES)
    assert mapping is not None
    labels = mapping.apply(crops).labels
    lines = (real / "peta" / "3DPeS" / "archive" / "Label.txt").read_text().splitlines()
    tokens = {line.split()[0]: set(line.split()[1:]) for line in lines}
    worn = [tokens[person] for person in crops.person]
    counts = {
        name: (int(np.nansum(column)), int((~np.isnan(column)).sum()))
        for name, column in zip(MARKET1501_ATTRIBUTES.names, labels.T, strict=True)
    }
    sexes = {"personalFemale", "personalMale"}
    assert counts["gender"] == (
        sum("personalFemale" in w for w in worn),
        sum(bool(w & sexes) for w in worn),
    )
    assert counts["hat"] == (sum("accessoryHat" in w for w in worn), 1012)
    tops = [{t for t in w if t.removeprefix("upperBody") in PETA_COLOURS} for w in worn]
    assert counts["upblack"][0] == sum(top == {"upperBodyBlack"} for top in tops)
    several = sum("upperBodyBlack" in top and len(top) > 1 for top in tops)
    assert counts["upblack"][1] == 1012 - several
    for where in MARKET1501_ATTRIBUTES.groups.values():
        assert np.nansum(labels[:, where], axis=1).max() <= 1


@pytest.mark.real_data
def test_frequencies_of_real_labels_are_like_those_of_market1501(real: Path) -> None:
    """Rough bounds: other people, other seasons; an attribute turned round would not fit."""
    subsets = ("3DPeS", "CAVIAR4REID", "CUHK", "MIT")
    sets = {
        "peta": concatenate([read_crops(real / "peta" / name) for name in subsets]),
        "pa100k": read_crops(real / "pa100k", accept_missing=True),
    }
    bounds = {
        "gender": (0.2, 0.6),
        "hair": (0.15, 0.5),
        "hat": (0, 0.1),
        "backpack": (0.05, 0.5),
        "old": (0, 0.1),
        "upblack": (0.1, 0.6),
        "downblack": (0.2, 0.7),
        "upgreen": (0, 0.1),
        "clothes": (0.7, 1),
        "bag": (0.1, 0.4),
    }
    for name, crops in sets.items():
        mapping = SchemaMapping.load(f"{name}-to-market1501")
        found = attribute_frequencies(mapping.apply(crops.replace(person=None)))
        for attribute, (least, most) in bounds.items():
            value = found[MARKET1501_ATTRIBUTES.index(attribute)]
            assert np.isnan(value) == (attribute in mapping.unknown)
            assert np.isnan(value) or least <= value <= most, (name, attribute, value)
