import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from passerby.datasets import read_crops, survey
from passerby.datasets.market1501_attributes import COLUMNS, MARKET1501_ATTRIBUTES, decode
from passerby.errors import InputError


@pytest.fixture
def course(toy_data: Path, tmp_path: Path) -> Path:
    """A toy dataset that a test may damage."""
    return Path(shutil.copytree(toy_data, tmp_path / "course"))


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_the_course_layout(toy_data: Path) -> None:
    crops = read_crops(toy_data)
    assert len(crops) == 24 * 6
    assert crops.dataset[0] == "course"
    assert crops.person[0] == crops.paths[0].name.split("_")[0]
    assert crops.camera[0] == crops.paths[0].name.split("_c")[1][0]
    with (toy_data / "annotations_train.csv").open() as file:
        rows = {int(row["id"]): row for row in csv.DictReader(file)}
    assert crops.labels is not None
    for person, labels in zip(crops.person, crops.labels, strict=True):
        expected = {column: int(rows[int(person)][column]) for column in COLUMNS}
        assert decode(labels) == expected


def test_the_anonymous_parts_of_the_course_layout(toy_data: Path) -> None:
    for part, folder in (("gallery", "test"), ("query", "queries")):
        crops = read_crops(toy_data, part)
        assert [p.name for p in crops.paths] == sorted(
            p.name for p in (toy_data / folder).iterdir()
        )
        assert crops.person is crops.camera is crops.labels is None


def test_the_official_layout(tmp_path: Path) -> None:
    touch(
        tmp_path / "bounding_box_train",
        "0002_c1s1_000451_03.jpg",
        "0002_c3s1_000551_00.jpg",
        "0007_c6s3_070667_01.jpg",
        "Thumbs.db",
        "._0002_c1s1_000451_03.jpg",
    )
    touch(
        tmp_path / "bounding_box_test",
        "-1_c2s1_000301_02.jpg",
        "0000_c3s1_000401_01.jpg",
        "0001_c10s1_001051_00.jpg",
    )
    touch(tmp_path / "query", "0001_c1s1_001051_00.jpg")
    train = read_crops(tmp_path)
    assert train.person.tolist() == ["0002", "0002", "0007"]
    assert train.camera.tolist() == ["1", "3", "6"]
    assert train.labels is None
    gallery = read_crops(tmp_path, "gallery")
    assert gallery.person.tolist() == ["", "", "0001"]
    assert gallery.role.tolist() == ["junk", "distractor", ""]
    assert gallery.camera.tolist() == ["2", "3", "10"]
    assert gallery.persons == {"market1501": ("0001",)}
    assert len(read_crops(tmp_path, "query")) == 1


def test_the_official_layout_with_attributes(tmp_path: Path, write_mat: Callable) -> None:
    touch(tmp_path / "bounding_box_train", "0002_c1s1_000451_03.jpg", "0007_c6s3_070667_01.jpg")
    fields = {c: [1, 1] for c in COLUMNS} | {
        "hat": [1, 2],
        "image_index": ["0002", "0007"],
    }
    write_mat(tmp_path / "market_attribute.mat", {"train": fields})
    crops = read_crops(tmp_path)
    assert crops.labels is not None
    assert crops.labels[:, MARKET1501_ATTRIBUTES.index("hat")].tolist() == [False, True]


def test_distractors_have_no_labels(tmp_path: Path, write_mat: Callable) -> None:
    touch(tmp_path / "bounding_box_test", "-1_c2s1_000301_02.jpg", "0000_c3s1_000401_01.jpg")
    touch(tmp_path / "bounding_box_test", "0001_c1s1_001051_00.jpg", "0003_c1s1_001051_00.jpg")
    fields = {c: [1, 1] for c in COLUMNS} | {"image_index": ["0001", "0003"]}
    write_mat(tmp_path / "market_attribute.mat", {"test": fields})
    crops = read_crops(tmp_path, "gallery")
    assert crops.labels is not None
    assert np.isnan(crops.labels).all(axis=1).tolist() == [True, True, False, False]
    assert crops.labels[2:].sum(axis=1).tolist() == [3, 3]


def test_one_folder_per_person(tmp_path: Path) -> None:
    touch(tmp_path / "0012", "a_c1.jpg", "b_c2.jpg")
    touch(tmp_path / "0005", "x_c3.png")
    crops = read_crops(tmp_path)
    assert crops.person.tolist() == ["0005", "0012", "0012"]
    assert crops.camera.tolist() == ["3", "1", "2"]


def test_folders_may_be_named_by_words(tmp_path: Path) -> None:
    touch(tmp_path / "bob", "1.jpg")
    touch(tmp_path / "alice", "1.jpg", "2.jpg")
    crops = read_crops(tmp_path)
    assert crops.person.tolist() == ["alice", "alice", "bob"]
    assert crops.camera is None


def test_a_plain_folder_and_a_single_image(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.PNG", "notes.txt", ".hidden.jpg")
    crops = read_crops(tmp_path)
    assert [p.name for p in crops.paths] == ["a.PNG", "b.jpg"]
    assert crops.person is None
    assert read_crops(tmp_path / "b.jpg").paths == (tmp_path / "b.jpg",)


def test_a_person_without_annotation(course: Path) -> None:
    lines = (course / "annotations_train.csv").read_text().splitlines()
    (course / "annotations_train.csv").write_text("\n".join([lines[0], *lines[2:]]))
    person = lines[1].split(",")[0]
    with pytest.raises(InputError, match=f"no annotation for person {int(person):04d}: add a row"):
        read_crops(course)
    seen = survey(course)
    assert len(seen.crops) == 23 * 6
    assert len(seen.problems) == 1


def test_an_annotation_without_crops(course: Path) -> None:
    with (course / "annotations_train.csv").open("a") as file:
        file.write("9999,1" + ",1" * 26 + "\n")
    with pytest.raises(InputError, match="no crop of person 9999, who is annotated: add crops"):
        read_crops(course)


def test_a_file_that_is_not_named_as_it_should(course: Path) -> None:
    touch(course / "train", "holiday.jpg")
    with pytest.raises(InputError, match=r"holiday\.jpg not named PERSON_cCAMERA_NUMBER"):
        read_crops(course)


def test_a_wrong_row_is_one_problem(course: Path) -> None:
    """Its person is not reported as lacking an annotation, too."""
    path = course / "annotations_train.csv"
    for wrong in ("9", "x"):
        lines = path.read_text().splitlines()
        cells = lines[1].split(",")
        path.write_text("\n".join([lines[0], ",".join([cells[0], wrong, *cells[2:]]), *lines[2:]]))
        (problem,) = survey(course).problems
        assert "line 2: age is" in problem


def test_several_problems_are_counted(course: Path) -> None:
    touch(course / "train", "holiday.jpg", "9999_c1_000000001.jpg")
    with pytest.raises(InputError, match=r"1 more: see `passerby data describe`"):
        read_crops(course)


@pytest.mark.parametrize("missing", ["annotations_train.csv", "train", "test"])
def test_a_missing_piece_of_the_course_layout(course: Path, missing: str) -> None:
    path = course / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=f"has no (folder )?{missing}/?: add"):
        read_crops(course, "gallery" if missing == "test" else "train")


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist: give a folder"):
        read_crops(tmp_path / "none")
    with pytest.raises(InputError, match="is empty: add crops"):
        read_crops(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="has no layout that is known: it holds 1 file"):
        read_crops(tmp_path)
    with pytest.raises(InputError, match="is not an image"):
        read_crops(tmp_path / "notes.txt")


def test_a_split_that_a_dataset_does_not_have(course: Path) -> None:
    with pytest.raises(InputError, match="'val' is not a split of course: choose from train, gal"):
        read_crops(course, "val")


@pytest.mark.real_data
def test_the_real_course_data(real_data: Path) -> None:
    crops = read_crops(real_data)
    assert len(crops) == 12_989
    assert crops.person_count == 751
    assert len(read_crops(real_data, "gallery")) == 19_688
    assert len(read_crops(real_data, "query")) == 2_248
    _, first = np.unique(crops.person, return_index=True)
    labels = crops.labels[first]
    assert labels[:, MARKET1501_ATTRIBUTES.index("upmulticolor")].sum() == 72
    assert labels[:, MARKET1501_ATTRIBUTES.index("downmulticolor")].sum() == 38
    assert labels[:, MARKET1501_ATTRIBUTES.index("downpurple")].sum() == 1


def test_annotations_of_quite_other_persons(course: Path) -> None:
    path = course / "annotations_train.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(f"9{row}" for row in rows)]))
    seen = survey(course)
    assert len(seen.crops) == 0
    assert len(seen.problems) == 2


def test_names_that_no_integer_holds(tmp_path: Path) -> None:
    touch(tmp_path / "persons" / "99999999999999999999", "a.jpg")
    touch(tmp_path / "persons" / "north gate", "a.jpg")
    assert read_crops(tmp_path / "persons").person.tolist() == [
        "99999999999999999999",
        "north gate",
    ]
