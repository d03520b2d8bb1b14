import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.data.schema import COURSE
from passerby.errors import InputError

ROW = dict.fromkeys(COURSE.columns, 1)


def positives(row: dict[str, int]) -> set[str]:
    return {a for a, label in zip(COURSE.attributes, COURSE.encode(row), strict=True) if label}


def rows() -> st.SearchStrategy[dict[str, int]]:
    binary = [f.column for f in COURSE.fields if hasattr(f, "present")]
    upper, lower = (list(COURSE.fields[-2].columns), list(COURSE.fields[-1].columns))
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
    assert len(COURSE) == len(set(COURSE.attributes)) == 32
    assert len(COURSE.columns) == 27
    assert len(COURSE.words) == 32
    assert [w.stop - w.start for w in COURSE.groups.values()] == [4, 9, 10]


def test_groups_point_at_their_attributes() -> None:
    assert COURSE.attributes[COURSE.groups["age"]] == ("young", "teenager", "adult", "old")
    assert COURSE.attributes[COURSE.groups["upcolor"]][0] == "upblack"
    assert COURSE.attributes[COURSE.groups["upcolor"]][-1] == "upmulticolor"
    assert COURSE.attributes[COURSE.groups["downcolor"]][-1] == "downmulticolor"


def test_an_annotation_row_by_hand() -> None:
    row = ROW | {"age": 3, "gender": 2, "backpack": 2, "upred": 2, "downblue": 2, "clothes": 2}
    assert positives(row) == {"adult", "gender", "backpack", "upred", "downblue", "clothes"}


def test_no_colour_means_multicolor() -> None:
    assert positives(ROW) == {"young", "upmulticolor", "downmulticolor"}


@given(rows())
def test_decode_is_the_inverse_of_encode(row: dict[str, int]) -> None:
    assert COURSE.decode(COURSE.encode(row)) == row


@given(rows())
def test_each_group_has_exactly_one_label(row: dict[str, int]) -> None:
    labels = COURSE.encode(row)
    assert all(labels[where].sum() == 1 for where in COURSE.groups.values())


def test_decode_takes_the_highest_score_in_a_group() -> None:
    scores = np.full(32, 0.1)
    scores[COURSE.index("old")] = 0.3
    scores[COURSE.index("downmulticolor")] = 0.2
    scores[COURSE.index("upgreen")] = 0.4
    row = COURSE.decode(np.zeros(32, bool), scores)
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
        COURSE.encode(ROW | change)


def test_a_missing_column() -> None:
    with pytest.raises(InputError, match="column 'hat' is missing"):
        COURSE.encode({c: 1 for c in COURSE.columns if c != "hat"})


def test_an_unknown_attribute() -> None:
    with pytest.raises(InputError, match="'upcyan' is not an attribute of the course-32 schema"):
        COURSE.index("upcyan")
