from pathlib import Path

import numpy as np
import pytest

from passerby.data import Attribute, Crops, Schema
from passerby.data.crops import concatenate
from passerby.datasets.joining import Source, in_schema, join, read_source
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.datasets.pa100k import PA100K_ATTRIBUTES
from passerby.datasets.schema_mapping import SchemaMapping
from passerby.errors import InputError


def crops(prefix: str, **columns: list[str] | None) -> Crops:
    return Crops([f"{prefix}{n}.jpg" for n in range(2)], **columns)


def labelled(prefix: str, schema: Schema, *present: str) -> Crops:
    labels = np.zeros((2, len(schema)), np.float32)
    labels[0, [schema.index(name) for name in present]] = 1
    return Crops([f"{prefix}{n}.jpg" for n in range(2)], labels=labels, schema=schema)


def test_persons_and_cameras_of_two_datasets_stay_apart() -> None:
    one = crops("a", person=["7", "8"], camera=["1", "1"])
    other = crops("b", person=["7", "7"], camera=["1", "2"])
    together = concatenate([s.crops for s in join([Source("x/site", one), Source("y", other)])])
    assert together.dataset.tolist() == ["site", "site", "y", "y"]
    assert together.person_count == 3


def test_two_folders_of_one_layout_are_two_datasets() -> None:
    parts = [crops(name, person=["7", "8"], dataset=["course"] * 2) for name in "ab"]
    found = join([Source("data/a", parts[0]), Source("data/b", parts[1])])
    assert [set(source.crops.dataset) for source in found] == [
        {"course in a"},
        {"course in b"},
    ]
    same_end = join([Source("a/data", parts[0]), Source("b/data", parts[1])])
    assert [source.title for source in same_end] == ["a/data", "b/data"]


def test_labels_are_mapped_to_a_common_schema() -> None:
    market = labelled("a", MARKET1501_ATTRIBUTES, "hat", "gender")
    pa100k = labelled("b", PA100K_ATTRIBUTES, "Hat", "Backpack")
    for sources in ([market, pa100k], [pa100k, market]):
        found = join([Source(part.paths[0].name, part) for part in sources])
        assert all(source.crops.schema == MARKET1501_ATTRIBUTES for source in found)
    mapped = found[0].crops
    hat, hair = (mapped.labels[:, MARKET1501_ATTRIBUTES.index(n)] for n in ("hat", "hair"))
    assert hat.tolist() == [1, 0]
    assert np.isnan(hair).all()
    with pytest.raises(
        InputError, match=r"market1501-attributes; pa100k\) cannot all be mapped to peta"
    ):
        join([Source("a", market), Source("b", pa100k)], "peta")
    with pytest.raises(InputError, match="data.attributes is 'par': choose from market1501"):
        join([Source("a", market), Source("b", pa100k)], "par")


def test_a_mapping_of_ones_own() -> None:
    """It is used, whatever the first schema is, and refused where it does not fit."""
    mapping = SchemaMapping.load("pa100k-to-market1501")
    pa100k, same = (labelled(name, PA100K_ATTRIBUTES, "Hat") for name in "ab")
    found = join([Source("a", pa100k, mapping=mapping), Source("b", same)])
    assert all(source.crops.schema == MARKET1501_ATTRIBUTES for source in found)
    assert in_schema(Source("a", pa100k, mapping=mapping)).crops.schema == MARKET1501_ATTRIBUTES
    assert in_schema(Source("a", pa100k)).crops.schema == PA100K_ATTRIBUTES
    helmets = labelled("c", Schema((Attribute("helmet"),)), "helmet")
    for wrong, message in (
        (helmets, "The mapping of c is made for .*, but its attributes are helmet: give another"),
        (crops("c", person=["1", "2"]), "c has no attributes, so that nothing is mapped"),
    ):
        source = Source("c", wrong, mapping=mapping)
        with pytest.raises(InputError, match=message):
            in_schema(source, "market1501")
        with pytest.raises(InputError, match=message):
            join([Source("a", pa100k), source])
    with pytest.raises(InputError, match="leads to market1501.*, not to peta: give one that does"):
        in_schema(Source("a", pa100k, mapping=mapping), "peta")


def test_sets_without_attributes_fit_to_any() -> None:
    schema = Schema((Attribute("helmet"),))
    with_labels = labelled("a", schema, "helmet")
    found = join([Source("a", with_labels), Source("b", crops("b", person=["1", "2"]))])
    together = concatenate([source.crops for source in found])
    assert together.schema == schema
    assert np.isnan(together.labels[2:]).all()


def test_attributes_without_a_mapping() -> None:
    one, other = (labelled(n, Schema((Attribute(n),)), n) for n in "ab")
    with pytest.raises(
        InputError, match=r"\(a; b\) have no name in common, and cannot be mapped to each oth"
    ):
        join([Source("x", one), Source("y", other)])


def test_attributes_of_the_same_name_are_the_same() -> None:
    """Those of one's own are learned beside the others', and are unknown there."""
    market = labelled("a", MARKET1501_ATTRIBUTES, "hat")
    mine = labelled("b", Schema.of(["helmet", "hat"]), "helmet")
    vests = labelled("c", Schema.of(["vest", "helmet"]), "vest", "helmet")
    pa100k = labelled("d", PA100K_ATTRIBUTES, "Hat")
    sources = [Source(part.paths[0].name, part) for part in (vests, market, mine, pa100k)]
    together = concatenate([source.crops for source in join(sources)])
    schema = together.schema
    assert schema.names == (*MARKET1501_ATTRIBUTES.names, "helmet", "vest")
    assert schema.groups == MARKET1501_ATTRIBUTES.groups
    unknown = np.nan
    expected = {
        "hat": [unknown, unknown, 1, 0, 0, 0, 1, 0],
        "helmet": [1, 0, unknown, unknown, 1, 0, unknown, unknown],
        "vest": [1, 0, *[unknown] * 6],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(together.labels[:, schema.index(name)], values)


def test_of_ones_own_attributes_only_those_of_the_schema_that_is_asked_for() -> None:
    mine = labelled("b", Schema.of(["helmet", "hat"]), "helmet")
    found = in_schema(Source("b", mine), "market1501")
    assert found.crops.schema == MARKET1501_ATTRIBUTES
    assert found.crops.labels[:, MARKET1501_ATTRIBUTES.index("hat")].tolist() == [0, 0]
    assert found.remarks == ("Attributes of the same name are the same: hat. Left out: helmet.",)
    market = labelled("a", MARKET1501_ATTRIBUTES, "hat")
    first, second = join([Source("a", market), Source("b", mine)], "market1501")
    assert (first.remarks, second.remarks) == ((), found.remarks)
    other = in_schema(Source("c", labelled("c", Schema.of(["helmet"]), "helmet")), "market1501")
    assert other.crops.labels is None
    assert "Its attributes (helmet) cannot be mapped to market1501" in other.remarks[0]


def test_groups_that_differ() -> None:
    one = Schema((Attribute("child", group="age"), Attribute("adult", group="age")))
    more = Schema((*one.attributes, Attribute("old", group="age")))
    apart = Schema.of(["child", "hat"])
    assert one.joined(Schema.of(["hat"])).names == ("child", "adult", "hat")
    assert Schema.of(["hat"]).joined(one).groups == {"age": slice(1, 3)}
    for other in (more, apart):
        for pair in ((one, other), (other, one)):
            with pytest.raises(InputError, match="excludes others in one schema than in the other"):
                pair[0].joined(pair[1])


def test_a_file_in_two_datasets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x and y hold the same file, .*a0.jpg: give each crop"):
        join([Source("x", crops("a")), Source("y", crops("a"))])


def test_several_splits_are_read_together(toy_data: Path) -> None:
    source = read_source(toy_data, ("train", "gallery"))
    assert len(source.crops) == len(read_source(toy_data).crops) + len(
        read_source(toy_data, ("gallery",)).crops
    )
    assert "academic research" in source.terms
