import re
import time
from pathlib import Path

import numpy as np
import pytest

from passerby.datasets import read_crops, survey
from passerby.datasets.convert import convert
from passerby.datasets.pa100k import PA100K_ATTRIBUTES
from passerby.datasets.registry import recognize
from passerby.errors import InputError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "pa100k"
NAMES = PA100K_ATTRIBUTES.names
SPLITS = {"train": range(1, 7), "val": range(7, 9), "test": range(9, 12)}


def labels_of(numbers: range) -> np.ndarray:
    """Age, view and sleeve one-hot, the number as bits in the rest."""
    rows = np.zeros((len(numbers), 26), np.uint8)
    for row, number in zip(rows, numbers, strict=True):
        row[[1 + number % 3, 4 + number % 3, 13 + number % 2]] = 1
        row[[0, 7, 8, 9, 10]] = [number >> bit & 1 for bit in range(5)]
    return rows


def cells(texts: list[str]) -> np.ndarray:
    found = np.empty((len(texts), 1), object)
    found[:, 0] = texts
    return found


def content() -> dict[str, np.ndarray]:
    """The fields of annotation.mat, with the official types and shapes."""
    fields = {"attributes": cells(list(NAMES))}
    for split, numbers in SPLITS.items():
        fields[f"{split}_images_name"] = cells([f"{number:06d}.jpg" for number in numbers])
        fields[f"{split}_label"] = labels_of(numbers)
    return fields


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "pa100k", content())


def write(folder: Path, fields: dict, images: str = "data", compress: bool = True) -> Path:
    from scipy.io import savemat

    (folder / images).mkdir(parents=True, exist_ok=True)
    savemat(folder / "annotation.mat", fields, do_compression=compress)
    for numbers in SPLITS.values():
        for number in numbers:
            (folder / images / f"{number:06d}.jpg").touch()
    return folder


@pytest.mark.parametrize("split", SPLITS)
def test_the_official_layout(small: Path, split: str) -> None:
    assert recognize(small).name == "pa100k"
    crops = read_crops(small, split)
    numbers = SPLITS[split]
    assert [path.name for path in crops.paths] == [f"{number:06d}.jpg" for number in numbers]
    assert crops.schema == PA100K_ATTRIBUTES
    assert np.array_equal(crops.labels, labels_of(numbers))
    assert crops.person is crops.camera is None
    assert set(crops.dataset) == {"pa100k"}


@pytest.mark.parametrize("images", ["data", "release_data", "release_data/release_data"])
def test_images_lie_in_one_of_three_folders(tmp_path: Path, images: str) -> None:
    folder = write(tmp_path, content(), images)
    assert {path.parent for path in read_crops(folder).paths} == {tmp_path / images}


def test_a_file_that_is_not_compressed(tmp_path: Path) -> None:
    assert len(read_crops(write(tmp_path, content(), compress=False), "val")) == 2


def test_images_that_are_missing(small: Path) -> None:
    for number in (2, 3, 4, 5, 9):
        (small / "data" / f"{number:06d}.jpg").unlink()
    with pytest.raises(
        InputError,
        match=re.escape(
            "4 of 6 annotated images of the split 'train' are missing (000002.jpg, 000003.jpg, "
            "000004.jpg and 1 more): add them, or set `accept_missing`."
        ),
    ):
        read_crops(small)
    crops = read_crops(small, accept_missing=True)
    assert [path.name for path in crops.paths] == ["000001.jpg", "000006.jpg"]
    assert np.array_equal(crops.labels, labels_of(SPLITS["train"])[[0, 5]])
    assert len(read_crops(small, "val")) == 2


def test_a_split_without_images(small: Path, tmp_path: Path) -> None:
    for number in (*SPLITS["val"], *SPLITS["test"], 1):
        (small / "data" / f"{number:06d}.jpg").unlink()
    with pytest.raises(
        InputError,
        match=r"has no images in its split 'val': add crops, or choose another split \(train\)\.",
    ):
        read_crops(small, "val", accept_missing=True)
    assert convert(small, tmp_path / "c.csv", accept_missing=True) == {"train": 5}
    with pytest.raises(InputError, match="1 of 6 annotated images"):
        convert(small, tmp_path / "d.csv")


def test_labels_of_quite_other_images(small: Path) -> None:
    fields = content()
    fields["train_images_name"] = cells([f"x{number}.jpg" for number in range(6)])
    write(small, fields)
    with pytest.raises(
        InputError, match="6 of 6 annotated images of the split 'train' are missing"
    ):
        read_crops(small)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("part", [0.0, 0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_file_that_is_cut_off(tmp_path: Path, part: float, compress: bool) -> None:
    folder = write(tmp_path, content(), compress=compress)
    file = folder / "annotation.mat"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * part)])
    for split in SPLITS:
        seen = survey(folder, split)
        # what stands before the cut may be read
        assert len(seen.problems) == 1 or np.array_equal(
            seen.crops.labels, labels_of(SPLITS[split])
        )
        assert all("annotation.mat" in p and "get the file again." in p for p in seen.problems)
    assert any(survey(folder, split).problems for split in SPLITS)


@pytest.mark.parametrize("field", ["attributes", "train_images_name", "train_label"])
def test_a_field_that_is_not_there(small: Path, field: str) -> None:
    fields = content()
    del fields[field]
    write(small, fields)
    with pytest.raises(InputError, match=f"has no field '{field}': get the file again"):
        read_crops(small)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("attributes", cells(list(NAMES[::-1])), "names other attributes than PA-100K's 26"),
        ("attributes", cells(list(NAMES[:25])), "names other attributes than PA-100K's 26"),
        ("train_label", labels_of(range(1, 6)), "not 26 labels for each image"),
        ("train_label", labels_of(range(1, 7)) * 2, "a label is neither 0 nor 1"),
        ("train_images_name", np.arange(6.0), "not 26 labels for each image"),
    ],
)
def test_fields_that_hold_something_else(
    small: Path, field: str, value: np.ndarray, problem: str
) -> None:
    write(small, content() | {field: value})
    with pytest.raises(InputError, match=problem):
        read_crops(small)


def test_no_such_split(small: Path) -> None:
    with pytest.raises(InputError, match="'gallery' is not a split of PA-100K"):
        read_crops(small, "gallery")


def test_groups_are_those_of_which_exactly_one_holds() -> None:
    groups = {name: NAMES[where] for name, where in PA100K_ATTRIBUTES.groups.items()}
    assert groups == {
        "age": ("AgeOver60", "Age18-60", "AgeLess18"),
        "view": ("Front", "Side", "Back"),
        "sleeve": ("ShortSleeve", "LongSleeve"),
    }


@pytest.fixture(scope="module")
def real() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"no real pedestrians at {SHARED}")
    return SHARED


@pytest.mark.real_data
def test_the_real_set(real: Path) -> None:
    start = time.process_time()
    seen = survey(real)
    assert time.process_time() - start < 20
    (problem,) = seen.problems
    assert "78,000 of 80,000 annotated images of the split 'train' are missing" in problem
    assert len(seen.crops) == 2000
    assert seen.crops.paths[0].name == "000001.jpg"
    first = {NAMES[i] for i in np.flatnonzero(seen.crops.labels[0])}
    assert first == {
        "Female",
        "Age18-60",
        "Front",
        "ShoulderBag",
        "HoldObjectsInFront",
        "ShortSleeve",
        "Trousers",
    }
    for where in PA100K_ATTRIBUTES.groups.values():
        assert (seen.crops.labels[:, where].sum(axis=1) == 1).all()
    assert "10,000 of 10,000 annotated images" in survey(real, "test").problems[0]


@pytest.mark.real_data
def test_the_groups_are_one_hot_in_all_the_real_labels(real: Path) -> None:
    from scipy.io import loadmat

    content = loadmat(real / "annotation.mat")
    assert tuple(name[0][0] for name in content["attributes"]) == NAMES
    labels = np.concatenate([content[f"{split}_label"] for split in ("train", "val", "test")])
    assert len(labels) == 100_000
    for where in PA100K_ATTRIBUTES.groups.values():
        assert (labels[:, where].sum(axis=1) == 1).all()
