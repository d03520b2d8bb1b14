import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from passerby.datasets import read_crops, survey
from passerby.datasets.cuhk03 import CUHK03
from passerby.datasets.registry import recognize
from passerby.errors import InputError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SIZES = {"train": 7365, "query": 1400, "gallery": 5332}


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def official_names() -> list[str]:
    """All names of the official `filelist`, from the list in the package."""
    sizes = (843, 440, 77, 58, 49)
    persons = [
        (pair, person) for pair, size in enumerate(sizes, 1) for person in range(1, size + 1)
    ]
    text = Path(__file__).parents[2] / "src/passerby/datasets/cuhk03_767_700.txt"
    rows = [row for row in text.read_text().splitlines() if not row.startswith("#")]
    return [
        f"{pair}_{person:03d}_{1 + (cell > 5)}_{cell:02d}.png"
        for (pair, person), row in zip(persons, rows, strict=True)
        for cell, mark in enumerate(row.split()[1], 1)
        if mark != "."
    ]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty files under all names of the detected set."""
    return touch(tmp_path_factory.mktemp("sets") / "images_detected", *official_names())


def test_the_official_split_of_extracted_names(extracted: Path) -> None:
    assert recognize(extracted).name == "cuhk03"
    parts = {split: read_crops(extracted, split) for split in SIZES}
    assert {split: len(crops) for split, crops in parts.items()} == SIZES
    train, query, gallery = parts.values()
    assert train.person_count == 767
    assert query.person_count == gallery.person_count == 700
    assert query.persons == gallery.persons
    assert not set(train.persons["cuhk03"]) & set(query.persons["cuhk03"])
    # one query of each test person in each of the two views
    assert set(
        Counter(zip(query.person.tolist(), query.camera.tolist(), strict=True)).values()
    ) == {1}
    assert all(len(set(query.camera[query.person == person])) == 2 for person in query.person[:50])


def test_extracted_names_say_person_and_camera(tmp_path: Path) -> None:
    """By the rule of the official file: pairs hold 843, 440, 77, 58 and 49 persons."""
    said = {
        "1_001_1_01.png": ("0000", "1_1"),
        "1_843_2_06.png": ("0842", "1_2"),
        "2_001_1_01.png": ("0843", "2_1"),
        "3_001_1_01.png": ("1283", "3_1"),
        "4_001_1_01.png": ("1360", "4_1"),
        "5_049_2_10.png": ("1466", "5_2"),
    }
    folder = touch(tmp_path, *said)
    parts = [survey(folder, split).crops for split in SIZES]
    found = {
        path.name: (person, camera)
        for crops in parts
        for path, person, camera in zip(
            crops.paths, crops.person if len(crops) else [], crops.camera, strict=True
        )
    }
    assert found == said


def test_both_ways_to_name_files_are_one_dataset(tmp_path: Path) -> None:
    plain = touch(tmp_path / "cuhk03", "0000_00.jpg", "0002_01.jpg", "0002_05.jpg", "1466_09.jpg")
    cells = touch(
        tmp_path / "b", "1_001_1_01.png", "1_003_1_02.png", "1_003_2_06.png", "5_049_2_10.png"
    )
    for split in SIZES:
        one, two = survey(plain, split).crops, survey(cells, split).crops
        assert one.person.tolist() == two.person.tolist()
        assert one.camera.tolist() == two.camera.tolist()


def test_what_is_missing_is_told_and_accepted(tmp_path: Path) -> None:
    folder = touch(tmp_path / "cuhk03", "0000_00.jpg", "0000_05.jpg", "0002_00.jpg", "0002_01.jpg")
    with pytest.raises(
        InputError,
        match=re.escape(
            "7,363 of 7,365 crops of the split 'train' of CUHK03 are missing (0000_01, 0000_02, "
            "0000_03 and 7,360 more): add them, or set `accept_missing`."
        ),
    ):
        read_crops(folder)
    crops = read_crops(folder, accept_missing=True)
    assert [path.name for path in crops.paths] == ["0000_00.jpg", "0000_05.jpg"]
    assert crops.camera.tolist() == ["1_1", "1_2"]
    assert crops.dataset.tolist() == ["cuhk03"] * 2
    assert read_crops(folder, "query", accept_missing=True).paths[0].name == "0002_01.jpg"
    assert read_crops(folder, "gallery", accept_missing=True).paths[0].name == "0002_00.jpg"


def test_names_that_others_use_too_are_not_taken_for_it(tmp_path: Path) -> None:
    """`0001_02.jpg` may be a person and a camera."""
    few = touch(tmp_path / "few", "0000_00.jpg", "0000_01.jpg")
    assert not CUHK03().recognizes(few)
    # 100 images, of which 0002_04 is not in the detected set
    many = touch(tmp_path / "many", *(f"{p:04d}_{i:02d}.jpg" for p in range(20) for i in range(5)))
    assert not CUHK03().recognizes(many)
    assert not CUHK03().recognizes(touch(tmp_path / "empty"))
    assert not CUHK03().recognizes(touch(tmp_path / "cuhk03", "0001_001.jpg"))
    (many / "0002_04.jpg").unlink()
    assert not CUHK03().recognizes(many)
    names = [name for name in official_names() if name.startswith("1_")][:200]
    stems = [f"{int(n[2:5]) - 1:04d}_{int(n[8:10]) - 1:02d}.jpg" for n in names]
    assert CUHK03().recognizes(touch(tmp_path / "whole", *stems))


def test_crops_that_are_not_among_the_detected_ones(tmp_path: Path) -> None:
    """Person 3 of the first pair has no fifth image; person 844 would be of the next pair."""
    folder = touch(tmp_path, "1_001_1_01.png", "1_002_1_01.png", "1_002_1_02.png", "1_003_1_05.png")
    touch(folder, "1_844_1_01.png", "1_001_1_06.png", "cover.jpg")
    seen = survey(folder, accept_missing=True)
    assert len(seen.crops) == 3
    (problem,) = seen.problems
    assert "1_001_1_06.png, 1_003_1_05.png, 1_844_1_01.png and 1 more not among the det" in problem


def test_one_crop_in_two_files(tmp_path: Path) -> None:
    folder = touch(tmp_path, "1_001_1_01.png", "1_001_1_01.jpg", "1_001_1_02.png")
    with pytest.raises(InputError, match=r"1_001_1_01\.png is there in two files: keep one"):
        read_crops(folder, accept_missing=True)


@pytest.mark.real_data
def test_the_real_crops() -> None:
    folder = SHARED / "cuhk03"
    if not folder.is_dir():
        pytest.skip(f"no real pedestrians at {folder}")
    assert recognize(folder).name == "cuhk03"
    for split, size in SIZES.items():
        seen = survey(folder, split)
        assert (len(seen.crops), seen.problems, seen.remarks) == (size, (), ())


@pytest.mark.real_data
def test_the_list_is_the_official_one(extracted: Path) -> None:
    file = SHARED / "cuhk03-protocol" / "cuhk03_new_protocol_config_detected.mat"
    if not file.is_file():
        pytest.skip(f"no {file}")
    from scipy.io import loadmat

    official = loadmat(file)
    names = np.array([cell[0][0] for cell in official["filelist"]])
    assert names.tolist() == official_names()
    labels, views = official["labels"].ravel(), official["camId"].ravel()
    for split in SIZES:
        rows = official[f"{split}_idx"].ravel().astype(int) - 1
        crops = read_crops(extracted, split)
        assert [path.name for path in crops.paths] == names[np.sort(rows)].tolist()
        assert [int(person) + 1 for person in crops.person] == labels[rows].tolist()
        assert [int(camera[-1]) for camera in crops.camera] == views[rows].tolist()
