import re
from pathlib import Path

import numpy as np
import pytest

from passerby.datasets import read_crops, survey
from passerby.datasets.peta import PETA
from passerby.datasets.peta_attributes import PETA_ATTRIBUTES
from passerby.datasets.registry import recognize
from passerby.errors import InputError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "peta"
NAMES = PETA_ATTRIBUTES.names


def archive(subset: Path, labels: str, *images: str) -> Path:
    """Write `SUBSET/archive/` as PETA has it; images are empty files."""
    folder = subset / "archive"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Label.txt").write_text(labels)
    for name in images:
        (folder / name).touch()
    return subset


def true_names(crops: "object", row: int) -> set[str]:
    return {NAMES[i] for i in np.flatnonzero(crops.labels[row])}


@pytest.fixture
def sarc3d(tmp_path: Path) -> Path:
    return archive(
        tmp_path / "SARC3D",
        "002 upperBodyRed lowerBodyBlack personalLess45 personalMale footwearSneakers \n"
        "001 upperBodyBlue personalFemale carryingNothing\n",
        "001_Right.jpg",
        "001_back.bmp",
        "002_front.png",
    )


def test_labels_of_a_person_hold_for_all_images(sarc3d: Path) -> None:
    assert recognize(sarc3d).name == "peta"
    crops = read_crops(sarc3d, accept_missing=True)
    assert [path.name for path in crops.paths] == ["001_Right.jpg", "001_back.bmp", "002_front.png"]
    assert crops.person.tolist() == ["001", "001", "002"]
    assert crops.dataset.tolist() == ["peta/SARC3D"] * 3
    assert crops.camera is None
    blue = {"upperBodyBlue", "personalFemale", "carryingNothing"}
    assert [true_names(crops, row) for row in range(2)] == [blue, blue]
    assert true_names(crops, 2) == {
        "upperBodyRed",
        "lowerBodyBlack",
        "personalLess45",
        "personalMale",
        "footwearSneaker",
    }


@pytest.mark.parametrize("inner", [False, True])
def test_a_subset_alone_and_its_archive_are_the_same(sarc3d: Path, inner: bool) -> None:
    crops = read_crops(sarc3d / "archive" if inner else sarc3d, accept_missing=True)
    assert crops.persons == {"peta/SARC3D": ("001", "002")}


def test_a_copied_subset_is_known_by_its_folders_name(tmp_path: Path) -> None:
    """In whatever letters; others are datasets of their own, of which nothing can be missing."""
    for name, dataset in (("sarc3d", "peta/SARC3D"), ("mine", "peta/mine")):
        folder = archive(tmp_path / name, "1 hairLong\n", "1_a.jpg")
        seen = survey(folder)
        assert seen.crops.dataset.tolist() == [dataset]
        assert bool(seen.problems) == (name == "sarc3d")


def test_the_whole_is_its_subsets(tmp_path: Path) -> None:
    archive(tmp_path / "3DPeS", "1 hairLong\n2 hairShort\n", "1_2_FRAME_3_RGB.jpg", "2_a.jpg")
    archive(tmp_path / "CUHK", "0606.png hairBald\n", "0606.jpg")
    archive(tmp_path / "VIPeR", "1 hairShort\n", "1_90_1.bmp", "1_180_2.bmp")
    crops = read_crops(tmp_path, accept_missing=True)
    assert crops.dataset.tolist() == ["peta/3DPeS"] * 2 + ["peta/CUHK"] + ["peta/VIPeR"] * 2
    # person 1 of 3DPeS is not person 1 of VIPeR, and CUHK's numbers are images
    assert crops.persons == {"peta/3DPeS": ("1", "2"), "peta/VIPeR": ("1",)}
    assert crops.person.tolist() == ["1", "2", "", "1", "1"]
    assert crops.labels.sum() == 5


@pytest.mark.parametrize("subset", ["CUHK", "MIT"])
def test_two_subsets_have_no_persons(tmp_path: Path, subset: str) -> None:
    folder = archive(tmp_path / subset, "0606.png hairBald\n", "0606.jpg")
    crops = read_crops(folder, accept_missing=True)
    assert crops.person is None
    assert recognize(folder).protocol == "attributes"
    archive(tmp_path / "SARC3D", "1 hairBald\n", "1_a.jpg")
    assert recognize(tmp_path).protocol == "course"


def test_what_is_missing_of_a_subset(sarc3d: Path) -> None:
    with pytest.raises(
        InputError,
        match="197 of 200 images of peta/SARC3D are missing: add them, or set `accept_missing`",
    ):
        read_crops(sarc3d)


def test_what_is_missing_of_the_whole(tmp_path: Path, sarc3d: Path) -> None:
    (problem,) = survey(tmp_path).problems
    assert problem == (
        f"{tmp_path}: 18,997 of 19,000 images of PETA are missing (197 of 200 of SARC3D; all of "
        "3DPeS, CAVIAR4REID, CUHK, GRID, i-LID, MIT, PRID, TownCentre, VIPeR): add them, or set "
        "`accept_missing`."
    )


def test_rare_attributes_are_left_out_with_a_remark(tmp_path: Path) -> None:
    folder = archive(
        tmp_path / "mine", "1 accessoryShawl lowerBodyLogo hairLong accessoryFaceMask\n", "1_a.jpg"
    )
    seen = survey(folder)
    assert true_names(seen.crops, 0) == {"hairLong"}
    (remark,) = seen.remarks
    assert "accessoryFaceMask, accessoryShawl, lowerBodyLogo left out, as in PETA.mat" in remark


def test_lines_without_images_are_a_remark(tmp_path: Path) -> None:
    folder = archive(tmp_path / "mine", "1 hairLong\n2 hairLong\n0000.png hairLong\n", "1_a.jpg")
    seen = survey(folder)
    assert seen.problems == ()
    assert "no image of person 0000, 2" in seen.remarks[0]


def test_labels_that_name_other_images(tmp_path: Path) -> None:
    folder = archive(tmp_path / "mine", "7 hairLong\n8 hairLong\n", "1_a.jpg", "2_a.jpg")
    with pytest.raises(InputError, match=r"no line for 1_a\.jpg, 2_a\.jpg: add the lines, or rem"):
        read_crops(folder)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ("1 hairLong upperBodyRd\n", "upperBodyRd is not an attribute of PETA: correct the name"),
        ("1 hairLong\n1 hairShort\n", "line 2: person 1 has a line already: keep one"),
        ("1 hairLong\nanna hairShort\n", "line 2: 'anna' is not a person: begin with one"),
        ("", "has no line for 1_a.jpg: add the lines"),
    ],
)
def test_wrong_labels(tmp_path: Path, labels: str, problem: str) -> None:
    folder = archive(tmp_path / "mine", labels, "1_a.jpg")
    with pytest.raises(InputError, match=re.escape(problem)):
        read_crops(folder)


def test_images_without_a_number(tmp_path: Path) -> None:
    folder = archive(tmp_path / "mine", "1 hairLong\n", "1_a.jpg", "cover.jpg")
    with pytest.raises(InputError, match=r"cover\.jpg not named PERSON_….jpg: rename"):
        read_crops(folder)


def test_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    folder = archive(tmp_path / "mine", "", "1_a.jpg", "2_a.jpg")
    (folder / "archive" / "Label.txt").write_bytes(
        b"\xef\xbb\xbf1 hairLong\r\n\r\n2\thairShort \r\n"
    )
    crops = read_crops(folder)
    assert [true_names(crops, row) for row in range(2)] == [{"hairLong"}, {"hairShort"}]


def test_the_schema_reads_in_plain_words() -> None:
    phrases = dict(zip(NAMES, PETA_ATTRIBUTES.phrases, strict=True))
    assert len(NAMES) == 105
    assert phrases["upperBodyRed"] == "red top"
    assert phrases["personalLess30"] == "16 to 30"
    assert phrases["carryingMessengerBag"] == "carries a messenger bag"
    assert phrases["carryingNothing"] == "carries nothing"
    assert phrases["footwearLeatherShoes"] == "leather shoes"
    assert phrases["footwearRed"] == "red footwear"
    assert phrases["hairLong"] == "long hair"
    assert phrases["lowerBodyThinStripes"] == "bottom with thin stripes"
    assert len(set(phrases.values())) == 105
    assert PETA_ATTRIBUTES.groups == {}


def test_what_has_no_labels_is_not_peta(tmp_path: Path) -> None:
    (tmp_path / "SARC3D" / "archive").mkdir(parents=True)
    (tmp_path / "SARC3D" / "archive" / "001_a.jpg").touch()
    assert not PETA().recognizes(tmp_path)
    assert not PETA().recognizes(tmp_path / "nothing")


@pytest.fixture(scope="module")
def real() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"no real pedestrians at {SHARED}")
    return SHARED


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("subset", "crops", "persons", "missing"),
    [
        ("3DPeS", 1012, 193, 0),
        ("CAVIAR4REID", 1220, 72, 0),
        ("CUHK", 4563, None, 0),
        ("MIT", 888, None, 0),
        ("SARC3D", 200, 50, 0),
        ("TownCentre", 2406, 222, 4561),
    ],
)
def test_the_real_subsets(
    real: Path, subset: str, crops: int, persons: int | None, missing: int
) -> None:
    seen = survey(real / subset)
    assert len(seen.crops) == crops
    assert (seen.crops.person_count if seen.crops.has_persons else None) == persons
    assert len(seen.problems) == bool(missing)
    assert f"{missing:,} of 6,967" in "".join(seen.problems) or not missing


@pytest.mark.real_data
def test_the_real_whole(real: Path) -> None:
    seen = survey(real)
    assert len(seen.crops) == 10_289
    assert "8,711 of 19,000 images of PETA are missing" in seen.problems[0]
    assert "0000, 0001" in "".join(seen.remarks)


@pytest.mark.real_data
def test_labels_equal_those_of_the_matrix(real: Path) -> None:
    """PETA.mat: rows in the order of subsets and names, columns 5 to 109 the attributes."""
    from scipy.io import loadmat

    matrix = loadmat(real / "PETA.mat")["peta"][0, 0]
    assert [name[0][0] for name in matrix["attribute"]] == list(NAMES)
    data = matrix["data"].astype(np.int64)
    subsets = {"3DPeS": 1, "CAVIAR4REID": 2, "CUHK": 3, "MIT": 6, "SARC3D": 8}
    for subset, code in subsets.items():
        rows = data[data[:, 2] == code]
        crops = read_crops(real / subset)
        assert np.array_equal(crops.labels, rows[:, 4:])
        if crops.person is not None:
            assert crops.person.astype(np.int64).tolist() == rows[:, 3].tolist()
    crops = read_crops(real / "TownCentre", accept_missing=True)
    of_person = {row[3]: row[4:] for row in data[data[:, 2] == 9]}
    assert all(
        np.array_equal(labels, of_person[int(person)])
        for person, labels in zip(crops.person, crops.labels, strict=True)
    )
