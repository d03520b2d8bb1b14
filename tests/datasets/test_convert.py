import csv
from pathlib import Path

import numpy as np
import pytest

from passerby.datasets import read_crops, recognize
from passerby.datasets.convert import convert
from passerby.errors import InputError


def fill(folder: Path, *names: str) -> Path:
    """Make files whose content is their name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


@pytest.fixture
def market(tmp_path: Path) -> Path:
    return fill(
        tmp_path / "market",
        *(
            "bounding_box_train/0002_c1s1_000451_03.jpg",
            "bounding_box_train/0007_c6s3_070667_01.jpg",
        ),
        "query/0001_c1s1_001051_00.jpg",
        *("bounding_box_test/-1_c2s1_000301_02.jpg", "bounding_box_test/0000_c3s1_000401_01.jpg"),
        "bounding_box_test/0001_c2s1_001051_00.jpg",
    )


def test_any_dataset_becomes_a_manifest(market: Path, tmp_path: Path) -> None:
    target = tmp_path / "crops.csv"
    assert convert(market, target) == {"train": 2, "query": 1, "gallery": 3}
    for split in ("train", "query", "gallery"):
        before, after = read_crops(market, split), read_crops(target, split)
        assert after.paths == before.paths
        for name in ("dataset", "person", "camera"):
            np.testing.assert_array_equal(after.columns[name], before.columns[name])
        np.testing.assert_array_equal(after.person_codes, before.person_codes)
    assert read_crops(target, "gallery").role.tolist() == ["junk", "distractor", ""]


def test_the_course_with_its_labels(toy_data: Path, tmp_path: Path) -> None:
    target = tmp_path / "crops.csv"
    counts = convert(toy_data, target)
    assert counts["train"] == 144
    before, after = read_crops(toy_data), read_crops(target)
    assert after.schema == before.schema
    np.testing.assert_array_equal(after.labels, before.labels)
    assert (
        read_crops(target, "query").labels is None
        or np.isnan(read_crops(target, "query").labels).all()
    )


def test_splits_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    folder = fill(tmp_path / "part", "bounding_box_train/0002_c1s1_000451_03.jpg")
    assert convert(folder, tmp_path / "crops.csv") == {"train": 1}


def test_back_to_market_folders(market: Path, tmp_path: Path) -> None:
    table, folder = tmp_path / "crops.csv", tmp_path / "again"
    convert(market, table)
    convert(table, folder, to="market1501")
    assert recognize(folder).name == "market1501"
    for split in ("train", "query", "gallery"):
        before, after = read_crops(market, split), read_crops(folder, split)
        rows = {
            tuple(row)
            for crops in (before, after)
            for row in zip(crops.person, crops.camera, crops.person_codes, strict=True)
        }
        assert len(rows) == len(before) == len(after)
        assert {p.read_text() for p in before.paths} == {p.read_text() for p in after.paths}


def test_names_that_are_not_numbers_are_numbered_and_listed(tmp_path: Path) -> None:
    folder = fill(tmp_path / "people", "bob/1_c2.jpg", "alice/1_c1.jpg", "alice/2_c2.jpg")
    convert(folder, tmp_path / "market", to="market1501")
    names = sorted(p.name for p in (tmp_path / "market" / "bounding_box_train").iterdir())
    assert [name[:7] for name in names] == ["0001_c1", "0001_c2", "0002_c2"]
    with (tmp_path / "market" / "original_names.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == 3
    for name, row in rows.items():
        assert (tmp_path / "market" / name).read_text() == "/".join(Path(row["path"]).parts[-2:])
        assert row["person"] == Path(row["path"]).parent.name
    # the images take no room twice
    linked = tmp_path / "market" / next(iter(rows))
    assert linked.stat().st_nlink == 2


def test_persons_of_two_datasets_stay_two(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.jpg")
    table = tmp_path / "crops.csv"
    table.write_text("path,dataset,person,camera\na.jpg,x,7,1\nb.jpg,y,7,1\n")
    convert(table, tmp_path / "market", to="market1501")
    crops = read_crops(tmp_path / "market")
    assert crops.person.tolist() == ["0001", "0002"]
    assert len(set(crops.camera)) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["path,person", "a.jpg,1"],
            "The camera of some crops of the split 'train' is unknown, .*a.jpg first",
        ),
        (
            ["path,camera", "a.jpg,1"],
            "The person of some crops of the split 'train' is unknown, .*a.jpg first",
        ),
        (["path,person,camera,split", "a.jpg,1,1,val"], "Market-1501 has no split 'val'"),
        (["path,person,camera,box", "a.jpg,1,1,0 0 9 9"], "Market-1501 has no boxes"),
    ],
)
def test_what_market_folders_cannot_hold(tmp_path: Path, lines: list[str], message: str) -> None:
    fill(tmp_path, "a.jpg")
    (tmp_path / "crops.csv").write_text("\n".join([*lines, ""]))
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "crops.csv", tmp_path / "out" / "market", to="market1501")
    assert not (tmp_path / "out").exists()


def test_nothing_half_written_is_left(market: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(InputError, match="is there already: choose another folder"):
        convert(market, folder, to="market1501")
    with pytest.raises(InputError, match="`to` is 'duke': choose from manifest, market1501"):
        convert(market, tmp_path / "x", to="duke")
    fill(market, "bounding_box_train/holiday.jpg")
    with pytest.raises(InputError, match="not named PERSON_cCAMERA_NUMBER"):
        convert(market, tmp_path / "crops.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["market", "out"]
