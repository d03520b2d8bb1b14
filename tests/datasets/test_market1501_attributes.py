from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.datasets.market1501_attributes import (
    COLUMNS,
    MARKET1501_ATTRIBUTES,
    annotation_csv,
    decode,
    encode,
    read_annotation_csv,
    read_market_mat,
)
from passerby.datasets.problems import Problems
from passerby.errors import InputError

HEADER = ["id", *COLUMNS]
ROW = ["7", "2", *["1"] * 26]
CODES = dict.fromkeys(COLUMNS, 1)


def positives(row: dict[str, int]) -> set[str]:
    return {a for a, label in zip(MARKET1501_ATTRIBUTES.names, encode(row), strict=True) if label}


def rows() -> st.SearchStrategy[dict[str, int]]:
    # without age come nine yes-or-no columns, eight upper colours and nine lower ones
    binary, upper, lower = COLUMNS[1:10], COLUMNS[10:18], COLUMNS[18:]
    return st.builds(
        lambda age, two, up, down: (
            CODES | {"age": age} | dict.fromkeys([*two, *filter(None, (up, down))], 2)
        ),
        st.integers(1, 4),
        st.sets(st.sampled_from(binary)),
        st.sampled_from([None, *upper]),
        st.sampled_from([None, *lower]),
    )


def test_there_are_32_attributes_in_27_columns() -> None:
    assert len(MARKET1501_ATTRIBUTES) == len(set(MARKET1501_ATTRIBUTES.names)) == 32
    assert len(COLUMNS) == 27
    assert len(MARKET1501_ATTRIBUTES.phrases) == 32
    assert [w.stop - w.start for w in MARKET1501_ATTRIBUTES.groups.values()] == [4, 9, 10]


def test_groups_point_at_their_attributes() -> None:
    assert MARKET1501_ATTRIBUTES.names[MARKET1501_ATTRIBUTES.groups["age"]] == (
        "young",
        "teenager",
        "adult",
        "old",
    )
    assert MARKET1501_ATTRIBUTES.names[MARKET1501_ATTRIBUTES.groups["upper colour"]][0] == "upblack"
    assert (
        MARKET1501_ATTRIBUTES.names[MARKET1501_ATTRIBUTES.groups["upper colour"]][-1]
        == "upmulticolor"
    )
    assert (
        MARKET1501_ATTRIBUTES.names[MARKET1501_ATTRIBUTES.groups["lower colour"]][-1]
        == "downmulticolor"
    )


def test_an_annotation_row_by_hand() -> None:
    row = CODES | {"age": 3, "gender": 2, "backpack": 2, "upred": 2, "downblue": 2, "clothes": 2}
    assert positives(row) == {"adult", "gender", "backpack", "upred", "downblue", "clothes"}


def test_no_colour_means_multicolor() -> None:
    assert positives(CODES) == {"young", "upmulticolor", "downmulticolor"}


@given(rows())
def test_decode_is_the_inverse_of_encode(row: dict[str, int]) -> None:
    assert decode(encode(row)) == row


@given(rows())
def test_each_group_has_exactly_one_label(row: dict[str, int]) -> None:
    labels = encode(row)
    assert all(labels[where].sum() == 1 for where in MARKET1501_ATTRIBUTES.groups.values())


def test_decode_takes_the_highest_score_in_a_group() -> None:
    scores = np.full(32, 0.1)
    scores[MARKET1501_ATTRIBUTES.index("old")] = 0.3
    scores[MARKET1501_ATTRIBUTES.index("downmulticolor")] = 0.2
    scores[MARKET1501_ATTRIBUTES.index("upgreen")] = 0.4
    row = decode(np.zeros(32, bool), scores)
    assert row == CODES | {"age": 4, "upgreen": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": 5}, "age is 5: write a whole number from 1 to 4"),
        ({"age": 0}, "age is 0"),
        ({"hat": 3}, "hat is 3: write a whole number from 1 to 2"),
        ({"upred": 0}, "upred is 0"),
        (
            {"upred": 2, "upblue": 2},
            "upred and upblue are both 2, but at most one upper colour may be",
        ),
    ],
)
def test_values_out_of_range(change: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode(CODES | change)


def test_a_missing_column() -> None:
    with pytest.raises(InputError, match="column 'hat' is missing"):
        encode({c: 1 for c in COLUMNS if c != "hat"})


def read(path: Path, lines: list[list[str]]) -> tuple[dict, list[str]]:
    path.write_text("\n".join(",".join(cells) for cells in lines) + "\n")
    problems = Problems()
    return read_annotation_csv(path, problems).labels, problems.found


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    order = [3, 1, 0, *range(27, 3, -1), 2]
    labels, problems = read(
        tmp_path / "a.csv", [[HEADER[i] for i in order], [ROW[i] for i in order]]
    )
    assert not problems
    assert list(labels) == [7]
    named = dict(zip(MARKET1501_ATTRIBUTES.names, labels[7], strict=True))
    assert {name for name, label in named.items() if label} == {
        "teenager",
        "upmulticolor",
        "downmulticolor",
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty: it needs a header"),
        ([HEADER], "is empty: it needs a header and one row per person"),
        ([HEADER[:5] + HEADER[6:], ROW[1:]], "no column clothes: add it to the first line"),
        ([[*HEADER, "hat"], [*ROW, "1"]], "column hat occurs twice: keep one"),
        ([HEADER, ROW, ROW], "line 3: person 7 occurs twice: keep one row"),
        ([HEADER, ["8", "5", *ROW[2:]]], "line 2: age is 5: write a whole number from 1 to 4"),
        ([HEADER, ["8", "2", "3", *ROW[3:]]], "line 2: backpack is 3: write a whole number"),
        ([HEADER, ["8", "2", "yes", *ROW[3:]]], "line 2: backpack is 'yes': write a whole number"),
        ([HEADER, ROW[:-1]], "line 2: 27 values for 28 columns"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, lines: list[list[str]], message: str) -> None:
    _, problems = read(tmp_path / "a.csv", lines)
    assert len(problems) == 1
    assert message in problems[0]
    assert "a.csv" in problems[0]


def test_good_rows_survive_bad_ones(tmp_path: Path) -> None:
    labels, problems = read(
        tmp_path / "a.csv", [HEADER, ["x", *ROW[1:]], ROW, ["9", "9", *ROW[2:]]]
    )
    assert list(labels) == [7]
    assert len(problems) == 2


def test_a_binary_file_is_no_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        read_annotation_csv(path, Problems())


def test_csv_text() -> None:
    row = dict(zip(COLUMNS, range(27), strict=True))
    lines = annotation_csv([("a.jpg", row)], COLUMNS).splitlines()
    assert lines[0] == ",".join(HEADER)
    assert lines[1] == "a.jpg," + ",".join(map(str, range(27)))


def market(drop: str = "") -> dict[str, dict[str, list]]:
    def part(columns: list[str], persons: list[str], red: list[int]) -> dict[str, list]:
        fields = {c: red if c == "upred" else [1] * len(persons) for c in columns if c != drop}
        return fields | {"image_index": persons}

    columns = list(COLUMNS)
    return {
        "train": part(columns, ["0002", "0007"], [1, 2]),
        "test": part(columns[::-1], ["0001", "0003"], [2, 1]),
    }


def test_market_fields_are_matched_by_name(tmp_path: Path, write_mat: Callable) -> None:
    path = write_mat(tmp_path / "market_attribute.mat", market())
    red = MARKET1501_ATTRIBUTES.index("upred")
    for part, expected in (("train", {2: False, 7: True}), ("test", {1: True, 3: False})):
        labels = read_market_mat(path, part, Problems()).labels
        assert {person: bool(row[red]) for person, row in labels.items()} == expected


def test_a_market_field_is_missing(tmp_path: Path, write_mat: Callable) -> None:
    problems = Problems()
    path = write_mat(tmp_path / "m.mat", market(drop="hat"))
    assert read_market_mat(path, "train", problems).labels == {}
    assert "train: no field hat" in problems.found[0]


@pytest.mark.parametrize("content", [b"", b"MATLAB", bytes(range(256)) * 4])
def test_a_broken_mat(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.mat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.mat is not Market-1501_Attribute's"):
        read_market_mat(path, "train", Problems())


def test_the_official_file_agrees_with_its_published_counts(market_mat: Path) -> None:
    problems = Problems()
    train = read_market_mat(market_mat, "train", problems).labels
    test = read_market_mat(market_mat, "test", problems).labels
    assert not problems.found
    assert (len(train), len(test)) == (751, 750)
    purple, multicolor = (
        MARKET1501_ATTRIBUTES.index("downpurple"),
        MARKET1501_ATTRIBUTES.index("upmulticolor"),
    )
    counts = np.sum(list(test.values()), axis=0)
    assert counts[purple] == 0
    assert counts[multicolor] == 69


@pytest.mark.parametrize("values", [[1], [1, 1.5], [1, float("nan")], [1, 1, 1]])
def test_a_mat_of_another_structure(
    tmp_path: Path, write_mat: Callable, values: list[float]
) -> None:
    parts = market()
    parts["train"]["hat"] = values
    path = write_mat(tmp_path / "m.mat", parts)
    with pytest.raises(InputError, match="not columns of whole numbers, one for each person"):
        read_market_mat(path, "train", Problems())


def test_a_field_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",".join(HEADER) + "\n" + "1" * 200_000)
    with pytest.raises(InputError, match="is not a CSV file"):
        read_annotation_csv(path, Problems())
