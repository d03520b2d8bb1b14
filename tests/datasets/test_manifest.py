import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passerby.data import COLUMNS, Attribute, Column, Crops, Schema, register_column
from passerby.data.columns import NUMBER
from passerby.datasets import read_crops, recognize, survey
from passerby.datasets.manifest import write_manifest
from passerby.errors import InputError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of four images; nothing looks into them here."""
    for name in "abcd":
        (tmp_path / f"{name}.jpg").touch()
    return tmp_path


def write(place: Path, *lines: str) -> Path:
    file = place / "crops.csv"
    file.write_text("\n".join([*lines, ""]), encoding="utf-8", newline="")
    return file


def test_every_column_of_crops(place: Path) -> None:
    crops = read_crops(
        write(
            place,
            "path,person,camera,dataset,track,time,source,box,role,hat",
            "a.jpg,0002,north gate,x,7,2026-11-01T09:30:00+01:00,gate,1 2 30 40,,1",
            "b.jpg,,1,,,2026-11-01T08:30:00,,,distractor,",
        )
    )
    assert crops.paths == (place / "a.jpg", place / "b.jpg")
    assert crops.person.tolist() == ["0002", ""]
    assert crops.camera.tolist() == ["north gate", "1"]
    assert crops.dataset.tolist() == ["x", ""]
    assert crops.track.tolist() == ["7", ""]
    assert crops.source.tolist() == ["gate", ""]
    assert crops.role.tolist() == ["", "distractor"]
    assert crops.box.tolist() == [[1, 2, 30, 40], [0, 0, 0, 0]]
    # what names no zone is taken to be UTC
    assert crops.time.tolist() == [datetime(2026, 11, 1, 8, 30)] * 2
    assert crops.schema == Schema.of(["hat"])
    np.testing.assert_array_equal(crops.labels, [[1], [np.nan]])


@pytest.fixture
def height() -> Iterator[None]:
    """A column that somebody declares outside the package."""
    register_column(Column("height", NUMBER, "how tall the person is, in metres"))
    yield
    del COLUMNS["height"]


@pytest.mark.usefixtures("height")
def test_a_column_from_outside_is_read_and_written(place: Path) -> None:
    crops = read_crops(write(place, "path,height", "a.jpg,1.75", "b.jpg,"))
    np.testing.assert_array_equal(crops.height, [1.75, np.nan])
    assert crops.schema is None
    write_manifest(place / "again.csv", {"train": crops})
    np.testing.assert_array_equal(read_crops(place / "again.csv").height, [1.75, np.nan])
    with pytest.raises(InputError, match="line 2: height is 'tall': write a number"):
        read_crops(write(place, "path,height", "a.jpg,tall"))


def test_paths_alone_are_enough(place: Path) -> None:
    crops = read_crops(write(place, "path", "a.jpg", "b.jpg"))
    assert len(crops) == 2
    assert crops.person is crops.camera is crops.labels is None


@pytest.mark.parametrize("end", ["\r\n", "\n", "\n\n"])
def test_line_ends_and_a_byte_order_mark(place: Path, end: str) -> None:
    file = place / "crops.csv"
    file.write_bytes(("\ufeffpath,person\r\na.jpg,alice" + end).encode())
    assert read_crops(file).person.tolist() == ["alice"]


def test_splits_are_those_of_the_table(place: Path) -> None:
    file = write(place, "path,split,person", "a.jpg,query,1", "b.jpg,gallery,1", "c.jpg,train,2")
    assert read_crops(file).paths == (place / "c.jpg",)
    assert read_crops(file, "query").paths == (place / "a.jpg",)
    assert set(recognize(file).splits) == {"train", "query", "gallery"}
    assert recognize(file).scored == ("query", "gallery")
    with pytest.raises(InputError, match="'test' is not a split of manifest: choose from"):
        read_crops(file, "test")
    only = write(place, "path", "a.jpg")
    assert len(read_crops(only, "gallery")) == 1


@pytest.mark.parametrize(
    ("lines", "scored"),
    [
        (["a.jpg,train,1", "b.jpg,query,", "c.jpg,gallery,"], ("train",)),
        (["a.jpg,train,1", "b.jpg,val,2", "c.jpg,gallery,"], ("val",)),
        (["a.jpg,train,1", "b.jpg,test,2", "c.jpg,val,3"], ("test",)),
        (["a.jpg,train,", "b.jpg,test,"], ("test",)),
        (["a.jpg,gallery,"], ("gallery",)),
    ],
)
def test_splits_whose_persons_are_known_are_scored(
    place: Path, lines: list[str], scored: tuple[str, ...]
) -> None:
    assert recognize(write(place, "path,split,person", *lines)).scored == scored


def test_a_folder_that_holds_one(place: Path) -> None:
    write(place, "path", "a.jpg")
    assert recognize(place).name == "manifest"
    assert len(read_crops(place)) == 1
    (place / "manifest.csv").write_text("path\nb.jpg\n")
    with pytest.raises(InputError, match=r"holds several manifests \(crops.csv, manifest.csv\)"):
        read_crops(place)


def test_paths_may_start_elsewhere(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "tables" / "mine.csv"
    file.parent.mkdir()
    file.write_text("path\na.jpg\n")
    assert read_crops(file, root=place).paths == (place / "a.jpg",)
    (place / "0001").mkdir()
    (place / "0001" / "a.jpg").touch()
    with pytest.raises(InputError, match="is not a manifest: leave out `root`"):
        read_crops(place / "0001", root=place)


def test_files_that_are_missing(place: Path) -> None:
    file = write(place, "path", "a.jpg", "gone.jpg", "lost.jpg")
    with pytest.raises(InputError, match=r"2 of 3 files do not exist, .*gone\.jpg first"):
        read_crops(file)
    seen = survey(file, accept_missing=True)
    assert (len(seen.crops), len(seen.problems), len(seen.remarks)) == (1, 0, 1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["person", "1"], "has no column 'path', only 'person': add it"),
        (["path,person"], "is empty: it needs a header"),
        (["path,path", "a.jpg,b.jpg"], "the column path occurs twice: keep one"),
        (["path,person", "a.jpg"], "line 2: 1 values for 2 columns"),
        (["path", "a.jpg", "", "b.jpg"], "line 3: it is empty: remove it"),
        (["path,person", "a.jpg,1", ",", "b.jpg,1"], "line 3: it is empty: remove it"),
        (["path,person", ",1"], "line 2: path is empty: fill it in"),
        (["path", "a.jpg", "a.jpg"], "line 3: the same crop as in line 2, a.jpg: keep one"),
        (
            ["path,box", "a.jpg,1 2 30 40", "a.jpg,1 2 30 40"],
            "line 3: the same crop as in line 2",
        ),
        (
            ["path,person,split", "a.jpg,7,train", "b.jpg,7,test"],
            "the person '7' is in train and in test",
        ),
        (["path,split", "a.jpg,trian"], "the split 'trian' is not known: write train, val"),
        (["path,time", "a.jpg,noon"], "line 2: time is 'noon': write it like"),
        (["path,box", "a.jpg,1 2"], "line 2: box is '1 2': write left, top, width and height"),
        (["path,person", "a.jpg,x\x07y"], "line 2: person is .* leave out line breaks, control"),
        (["path,colour", "a.jpg,red"], "line 2: the attribute column 'colour' is 'red'"),
        (["path,hat,bag", "a.jpg,1,", "b.jpg,0,"], "the attribute column 'bag' holds nothing"),
        (
            ["path,hat", "a.jpg,1", "b.jpg,2"],
            r"line 3: the attribute column 'hat' is '2' \(it holds 1, 2\): write 1, 0 or nothing, "
            r"or declare its coding \(`coding: \{yes: 2, no: 1\}`\)",
        ),
        (["path,hat", "a.jpg,-1", "b.jpg,1"], r"line 2: .* is '-1' \(it holds -1, 1\)"),
        (
            ["path," + ",".join(f"a{i}" for i in range(10_000)), "a.jpg" + ",1" * 10_000],
            "has 10,000 columns that could be attributes, more than 1,000",
        ),
    ],
)
def test_tables_with_mistakes(place: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_crops(write(place, *lines))


def test_two_people_of_one_frame_are_two_crops(place: Path) -> None:
    file = write(place, "path,box", "a.jpg,0 0 30 40", "a.jpg,50 0 30 40", "a.jpg,")
    assert len(read_crops(file)) == 3


def test_one_name_in_two_datasets_is_no_leak(place: Path) -> None:
    file = write(place, "path,dataset,person,split", "a.jpg,x,7,train", "b.jpg,y,7,test")
    assert read_crops(file, "test").persons == {"y": ("7",)}


def test_numbers_as_pandas_writes_them(place: Path) -> None:
    crops = read_crops(write(place, "path,hat", "a.jpg,1.0", "b.jpg,0.0", "c.jpg,"))
    np.testing.assert_array_equal(crops.labels, [[1], [0], [np.nan]])


def test_what_is_not_a_csv_file(place: Path) -> None:
    (place / "crops.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        read_crops(place / "crops.csv")
    (place / "crops.csv").write_text('path\n"a.jpg\n')
    with pytest.raises(InputError, match="is not a CSV file"):
        read_crops(place / "crops.csv")
    (place / "crops.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_crops(place / "crops.parquet")


def test_a_schema_declares_phrases_groups_and_codings(place: Path) -> None:
    file = write(
        place,
        "path,helmet,gender,young,old,notes",
        "a.jpg,yes,2,1,0,x",
        "b.jpg,no,1,?,?,y",
        "c.jpg,?,1,0,1,",
    )
    (place / "schema.yaml").write_text(
        "attributes:\n"
        "  helmet: {yes: yes, no: no}\n"
        "  gender: {phrase: female, absent: male, yes: 2, no: 1}\n"
        "  young: {group: age}\n"
        "  old: {group: age}\n"
        "coding: {unknown: '?'}\n"
        "ignore: [notes]\n"
    )
    crops = read_crops(file)
    assert crops.schema == Schema(
        (
            Attribute("helmet"),
            Attribute("gender", "female", absent="male"),
            Attribute("young", group="age"),
            Attribute("old", group="age"),
        )
    )
    np.testing.assert_array_equal(
        crops.labels, [[1, 1, 1, 0], [0, 0, np.nan, np.nan], [np.nan, 0, 0, 1]]
    )


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("attributes: [hat]", "the column bag is not declared in schema.yaml: list it"),
        ("attributes: [hat, bag, cap]", "has no column cap, which schema.yaml declares"),
        ("attributes: [hat", "is not valid YAML"),
        ("hat", "declares no attributes"),
        ("attributes: [hat, bag]\nigmore: [x]", "unknown key 'igmore'"),
        ("attributes: {hat: {phrse: x}, bag: }", "unknown key 'phrse'"),
    ],
)
def test_schemas_with_mistakes(place: Path, schema: str, message: str) -> None:
    file = write(place, "path,hat,bag", "a.jpg,1,0")
    (place / "schema.yaml").write_text(schema)
    with pytest.raises(InputError, match=message):
        read_crops(file)


TEXT = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="\ufeff"), max_size=9
)
UNKNOWN = float("nan")


@st.composite
def splits(draw: st.DrawFn) -> dict[str, Crops]:
    """Draw crops of two splits with every column, and labels of a schema."""
    names = ["helmet", "Skirt&Dress", "Age18-60", "no", "1"]
    attributes = (
        *(Attribute(name, absent=draw(st.sampled_from(["", "none"]))) for name in names),
        Attribute("young", "kurz, jung", "age"),
        Attribute("old", group="age"),
    )
    schema = Schema(attributes)
    parts = {}
    for split in ("train", "test"):
        count = draw(st.integers(1, 4))

        def of(values: st.SearchStrategy, count: int = count) -> list:
            return draw(st.lists(values, min_size=count, max_size=count))

        labels = np.array(
            of(st.lists(st.sampled_from([0, 1, UNKNOWN]), min_size=7, max_size=7)), np.float32
        )
        # a column without any value is refused
        labels[0] = 1
        # nobody is young and old
        labels[(labels[:, -2:] == 1).all(axis=1), -1] = 0
        moments = st.none() | st.datetimes(datetime(1, 1, 2), timezones=st.just(UTC))
        sides = st.integers(1, 2**31 - 1)
        parts[split] = Crops(
            [f"{split}{i}.jpg" for i in range(count)],
            labels=labels,
            schema=schema,
            # nobody is in two splits
            person=[f"{split}{text}" if text else "" for text in of(TEXT)],
            camera=of(TEXT),
            track=of(TEXT),
            source=of(TEXT),
            dataset=of(TEXT),
            time=of(moments),
            box=of(st.none() | st.tuples(sides, sides, sides, sides)),
        )
    return parts


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(parts=splits())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_again(
    tmp_path: Path, suffix: str, parts: dict[str, Crops]
) -> None:
    target = tmp_path / f"crops{suffix}"
    (tmp_path / "schema.yaml").unlink(missing_ok=True)
    there = {
        split: crops.replace(paths=[tmp_path / path for path in crops.paths])
        for split, crops in parts.items()
    }
    for crops in there.values():
        for path in crops.paths:
            path.touch()
    write_manifest(target, there)
    for split, crops in there.items():
        again = read_crops(target, split)
        assert again.paths == crops.paths
        assert again.schema == crops.schema
        np.testing.assert_array_equal(again.labels, crops.labels)
        for name in crops.columns:
            kind = COLUMNS[name].kind
            unknown = kind.array([None] * len(crops), len(crops))
            np.testing.assert_array_equal(again.columns.get(name, unknown), crops.columns[name])


def test_columns_whose_names_are_written_otherwise(place: Path) -> None:
    with pytest.raises(InputError, match="the column 'Person' is called 'person' in manifests"):
        read_crops(write(place, "path,Person", "a.jpg,1"))
    seen = survey(write(place, "path,camra,hat", "a.jpg,1,0"))
    assert seen.crops.schema.names == ("camra", "hat")
    (remark,) = seen.remarks
    assert remark.endswith("'camra' is read as an attribute; did you mean 'camera'?")


def test_a_table_that_is_separated_otherwise(place: Path) -> None:
    with pytest.raises(InputError, match="only 'path;person': separate columns by commas"):
        read_crops(write(place, "path;person", "a.jpg;1"))


def test_no_crop_has_two_attributes_of_a_group(place: Path) -> None:
    (place / "schema.yaml").write_text(
        "attributes: {child: {group: age}, adult: {group: age}, hat: }\n"
    )
    assert len(read_crops(write(place, "path,child,adult,hat", "a.jpg,0,0,1", "b.jpg,,1,1"))) == 2
    with pytest.raises(InputError, match="line 3: child and adult hold both, but at most one of"):
        read_crops(write(place, "path,child,adult,hat", "a.jpg,0,1,1", "b.jpg,1,1,1"))


def test_another_manifest_keeps_its_meaning(place: Path) -> None:
    """A schema beside a table is read with every table there."""
    write(place, "path,hat", "a.jpg,1")
    schema = Schema((Attribute("hat", "a hat"),))
    crops = Crops([place / "a.jpg"], labels=[[1]], schema=schema)
    with pytest.raises(InputError, match="would be read with crops.csv too"):
        write_manifest(place / "other.csv", {"train": crops})
    assert not (place / "schema.yaml").exists()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            "attributes: {hat: }\ncoding: {yes: 1, no: 1}",
            "two of yes, no and unknown are written '1'",
        ),
        ("attributes: {hat: }\ncoding: {unknown: 1}", "two of yes, no and unknown are written '1'"),
        ("attributes: {hat: }\ncoding: [yes]", r"coding is \['yes'\]: write `coding:"),
        ("attributes: {hat: {phrase: [a, b]}}", "hat is .*: write phrase, group, absent"),
        ('attributes: {hat: {phrase: " "}}', r"The phrase \(hat\) ' ' of an attribute begins"),
        ('attributes: {hat: {absent: "a\\x1b[31mb"}}', r"is not a absent \(hat\) of an attribute"),
        ("attributes: {hat: }\nignore: notes", "ignore is 'notes': write a list of columns"),
        ("attributes: {hat: }\nignore: [hat]", "hat is under attributes and under ignore"),
        ("attributes: {hat: }\nignore: [nots]", "has no column nots, which schema.yaml ignores"),
        ("attributes: {hat: }\nattributes: {bag: }", "attributes is given twice"),
        ("attributes: " + "[" * 3000, "is not valid YAML"),
    ],
)
def test_schemas_that_mean_nothing(place: Path, schema: str, message: str) -> None:
    (place / "schema.yaml").write_text(schema)
    with pytest.raises(InputError, match=message):
        read_crops(write(place, "path,hat", "a.jpg,1", "b.jpg,"))


def test_a_blank_may_mean_no(place: Path) -> None:
    (place / "schema.yaml").write_text('attributes: {hat: {yes: 1, no: ""}}')
    crops = read_crops(write(place, "path,hat", "a.jpg,1", "b.jpg,"))
    assert crops.labels.tolist() == [[1], [0]]


def test_known_columns_are_ignored_too(place: Path) -> None:
    (place / "schema.yaml").write_text("attributes: {hat: }\nignore: [person, time]")
    crops = read_crops(write(place, "path,person,time,hat", "a.jpg,Ann,yesterday,1"))
    assert crops.person is crops.time is None


@pytest.mark.parametrize(
    ("name", "message"),
    [("schema.yml", "is not read: call it schema.yaml"), ("schema.yaml", "it is not a file")],
)
def test_schemas_that_are_not_read(place: Path, name: str, message: str) -> None:
    if name == "schema.yml":
        (place / name).touch()
    else:
        (place / name).mkdir()
    with pytest.raises(InputError, match=message):
        read_crops(write(place, "path,hat", "a.jpg,1"))


def test_one_file_under_two_spellings(place: Path) -> None:
    again = f"../{place.name}/a.jpg"
    with pytest.raises(InputError, match="line 3: the same crop as in line 2"):
        read_crops(write(place, "path", "a.jpg", again))


def test_roles_are_known_words(place: Path) -> None:
    table = write(place, "path,person,role", "a.jpg,Ann,", "b.jpg,Bob,Junk")
    with pytest.raises(
        InputError, match="line 3: role is 'Junk': write distractor, junk or nothing"
    ):
        read_crops(table)
    with pytest.raises(ValueError, match="role: write distractor, junk or nothing"):
        Crops(["a.jpg"], person=["Ann"], role=["Junk"])


def test_nothing_is_left_of_a_manifest_that_cannot_be_written(place: Path) -> None:
    (place / "new" / "crops.csv").mkdir(parents=True)
    crops = Crops([place / "a.jpg"], labels=[[1]], schema=Schema((Attribute("hat", "a hat"),)))
    with pytest.raises(InputError):
        write_manifest(place / "new" / "crops.csv", {"train": crops})
    assert [path.name for path in (place / "new").iterdir()] == ["crops.csv"]


def test_parquet_as_others_write_it(place: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def read(**columns: object) -> Crops:
        parquet.write_table(pa.table({"path": ["a.jpg", "b.jpg"], **columns}), place / "c.parquet")
        return read_crops(place / "c.parquet")

    assert read(person=[7.0, float("nan")]).person.tolist() == ["7", ""]
    assert np.isnan(read(hat=[1.0, float("nan")]).labels[1, 0])
    with pytest.raises(InputError, match=r"cannot be read as Parquet \(ValueError\)"):
        read(person=[b"a", b"b"])
    beyond = pa.array([2**62, 0], pa.timestamp("us"))
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(time=beyond)


def test_columns_without_a_name(place: Path) -> None:
    with pytest.raises(InputError, match=r"crops.csv: column 2 has no name"):
        read_crops(write(place, "path,", "a.jpg,"))


def test_the_schema_keeps_its_name(place: Path) -> None:
    (place / "schema.yaml").write_text("name: site\nattributes: {helmet: {phrase: a helmet}}\n")
    crops = read_crops(write(place, "path,helmet", "a.jpg,1"))
    assert crops.schema.name == "site"
    (place / "again").mkdir()
    write_manifest(place / "again" / "crops.csv", {"train": crops})
    assert read_crops(place / "again" / "crops.csv").schema.name == "site"


def test_paths_are_written_relative_where_they_lie_below(place: Path, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "e.jpg").touch()
    write_manifest(below / "crops.csv", {"train": Crops([place / "a.jpg", below / "e.jpg"])})
    with (below / "crops.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["path", "split"], [str(place / "a.jpg"), "train"], ["e.jpg", "train"]]
    assert not (below / "schema.yaml").exists()


def test_what_cannot_be_written(place: Path) -> None:
    crops = Crops([place / "a.jpg"])
    with pytest.raises(InputError, match="neither .csv nor .parquet"):
        write_manifest(place / "crops.txt", {"train": crops})
    labelled = crops.replace(labels=[[1]], schema=Schema.of(["camera"]))
    with pytest.raises(InputError, match="'camera' is called as a column of manifests is"):
        write_manifest(place / "crops.csv", {"train": labelled})
    other = crops.replace(labels=[[1]], schema=Schema.of(["hat"]))
    with pytest.raises(InputError, match="have different attributes"):
        write_manifest(place / "crops.csv", {"train": labelled, "test": other})


def test_a_schema_that_is_there_is_not_overwritten(place: Path) -> None:
    own = place / "schema.yaml"
    own.write_text("attributes: [helmet]\n")
    with pytest.raises(InputError, match="would be read with the new manifest and says otherwise"):
        write_manifest(place / "crops.csv", {"train": Crops([place / "a.jpg"])})
    assert own.read_text() == "attributes: [helmet]\n"
    assert not (place / "crops.csv").exists()
