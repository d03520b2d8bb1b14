import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.data.schema import MARKET1501_ATTRIBUTES
from passerby.errors import InputError

ROW = dict.fromkeys(MARKET1501_ATTRIBUTES.columns, 1)


def positives(row: dict[str, int]) -> set[str]:
    return {
        a
        for a, label in zip(
            MARKET1501_ATTRIBUTES.names, MARKET1501_ATTRIBUTES.encode(row), strict=True
        )
        if label
    }


def rows() -> st.SearchStrategy[dict[str, int]]:
    binary = [f.column for f in MARKET1501_ATTRIBUTES.fields if hasattr(f, "present")]
    upper, lower = (
        list(MARKET1501_ATTRIBUTES.fields[-2].columns),
        list(MARKET1501_ATTRIBUTES.fields[-1].columns),
    )
    return st.builds(
        lambda age, two, up, down: (
            ROW | {"age": age} | dict.fromkeys([*two, *filter(None, (up, down))], 2)
        ),
        st.integers(1, 4),
        st.sets(st.sampled_from(binary)),
        st.sampled_from([None, *upper]),
        st.sampled_from([None, *lower]),
    )


def test_the_course_has_32_attributes_in_27_columns() -> None:
    assert len(MARKET1501_ATTRIBUTES) == len(set(MARKET1501_ATTRIBUTES.names)) == 32
    assert len(MARKET1501_ATTRIBUTES.columns) == 27
    assert len(MARKET1501_ATTRIBUTES.phrases) == 32
    assert [w.stop - w.start for w in MARKET1501_ATTRIBUTES.groups.values()] == [4, 9, 10]


def test_groups_point_at_their_attributes() -> None:
    assert MARKET1501_ATTRIBUTES.names[MARKET1501_ATTRIBUTES.groups["age"]] == (
        "young",
        "teenager",
        "adult",
        "old",
    )
    assert MARKET1501_ATTRIBUTES.names[MARKET1501_ATTRIBUTES.groups["upcolor"]][0] == "upblack"
    assert (
        MARKET1501_ATTRIBUTES.names[MARKET1501_ATTRIBUTES.groups["upcolor"]][-1] == "upmulticolor"
    )
    assert (
        MARKET1501_ATTRIBUTES.names[MARKET1501_ATTRIBUTES.groups["downcolor"]][-1]
        == "downmulticolor"
    )


def test_an_annotation_row_by_hand() -> None:
    row = ROW | {"age": 3, "gender": 2, "backpack": 2, "upred": 2, "downblue": 2, "clothes": 2}
    assert positives(row) == {"adult", "gender", "backpack", "upred", "downblue", "clothes"}


def test_no_colour_means_multicolor() -> None:
    assert positives(ROW) == {"young", "upmulticolor", "downmulticolor"}


@given(rows())
def test_decode_is_the_inverse_of_encode(row: dict[str, int]) -> None:
    assert MARKET1501_ATTRIBUTES.decode(MARKET1501_ATTRIBUTES.encode(row)) == row


@given(rows())
def test_each_group_has_exactly_one_label(row: dict[str, int]) -> None:
    labels = MARKET1501_ATTRIBUTES.encode(row)
    assert all(labels[where].sum() == 1 for where in MARKET1501_ATTRIBUTES.groups.values())


def test_decode_takes_the_highest_score_in_a_group() -> None:
    scores = np.full(32, 0.1)
    scores[MARKET1501_ATTRIBUTES.index("old")] = 0.3
    scores[MARKET1501_ATTRIBUTES.index("downmulticolor")] = 0.2
    scores[MARKET1501_ATTRIBUTES.index("upgreen")] = 0.4
    row = MARKET1501_ATTRIBUTES.decode(np.zeros(32, bool), scores)
    assert row == ROW | {"age": 4, "upgreen": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": 5}, "age is 5: write a whole number from 1 to 4"),
        ({"age": 0}, "age is 0"),
        ({"hat": 3}, "hat is 3: write a whole number from 1 to 2"),
        ({"upred": 0}, "upred is 0"),
        ({"upred": 2, "upblue": 2}, "upred and upblue are both 2, but at most one upcolor may be"),
    ],
)
def test_values_out_of_range(change: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MARKET1501_ATTRIBUTES.encode(ROW | change)


def test_a_missing_column() -> None:
    with pytest.raises(InputError, match="column 'hat' is missing"):
        MARKET1501_ATTRIBUTES.encode({c: 1 for c in MARKET1501_ATTRIBUTES.columns if c != "hat"})


def test_an_unknown_attribute() -> None:
    with pytest.raises(InputError, match="'upcyan' is not an attribute of the course-32 schema"):
        MARKET1501_ATTRIBUTES.index("upcyan")
