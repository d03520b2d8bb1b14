import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from passerby.data import Crops
from passerby.data.columns import COLUMNS
from passerby.datasets.finding import find_crops
from passerby.errors import InputError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    names = ("0007_c2_1.jpg", "b/plain.png", "0000_c3s1_2.jpg", "-1_c1_9.jpg", "._0007_c2_1.jpg")
    for name in names:
        path = tmp_path / "a" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"looked at later")
    (tmp_path / "a/notes.txt").write_text("not an image")
    return tmp_path


def known(crops: Crops) -> list[dict[str, Any]]:
    """Return what is known of each crop, as a table of plain values."""
    return [
        {"path": path.name}
        | {
            name: value
            for name, values in crops.columns.items()
            if (value := COLUMNS[name].kind.to_python(values[row])) is not None
        }
        for row, path in enumerate(crops.paths)
    ]


def test_a_folder_at_any_depth_and_market_style_names(place: Path) -> None:
    assert known(find_crops([place / "a"], source="gate")) == [
        {"path": "-1_c1_9.jpg", "camera": "1", "source": "gate"},
        {"path": "0000_c3s1_2.jpg", "camera": "3", "source": "gate"},
        {"path": "0007_c2_1.jpg", "person": "0007", "camera": "2", "source": "gate"},
        {"path": "plain.png", "source": "gate"},
    ]


def test_a_camera_in_capital_letters(tmp_path: Path) -> None:
    (tmp_path / "0005_C2_F0012_X30.jpg").touch()
    (crop,) = known(find_crops([tmp_path]))
    assert crop["camera"] == "2"


def test_a_manifest_says_all(place: Path) -> None:
    table = place / "crops.csv"
    table.write_text(
        "\ufeffpath,person,camera,time,source\r\n"
        "a/b/plain.png,alice,north gate,2026-11-01T09:30:00+01:00,gate\r\n"
        "a/0007_c2_1.jpg,,,2026-11-02,\r\n"
    )
    assert known(find_crops([table], source="other")) == [
        {
            "path": "plain.png",
            "person": "alice",
            "camera": "north gate",
            "time": datetime(2026, 11, 1, 8, 30, tzinfo=UTC),
            "source": "gate",
        },
        {
            "path": "0007_c2_1.jpg",
            "time": datetime(2026, 11, 2, tzinfo=UTC),
            "source": "other",
        },
    ]


def test_a_manifest_of_paths_leaves_the_rest_to_the_names(place: Path) -> None:
    table = place / "crops.csv"
    table.write_text("path\na/0007_c2_1.jpg\n")
    assert known(find_crops([table])) == [
        {"path": "0007_c2_1.jpg", "person": "0007", "camera": "2"}
    ]
    table.write_text("path,person\na/0007_c2_1.jpg,\n")
    (crop,) = known(find_crops([table]))
    assert crop["camera"] == "2"


def test_a_manifest_with_files_that_are_missing(place: Path) -> None:
    table = place / "crops.csv"
    table.write_text("path\na/0007_c2_1.jpg\na/gone.jpg\n")
    with pytest.raises(InputError, match=r"1 of 2 files do not exist, .*gone\.jpg first"):
        find_crops([table])
    reported: list[InputError] = []
    assert len(find_crops([table], on_broken=reported.append)) == 1
    assert "1 of 2 files do not exist" in str(reported[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file\na/0007_c2_1.jpg\n", "has no column 'path'"),
        ("path,colour\na/0007_c2_1.jpg,red\n", "the attribute column 'colour' is 'red'"),
        ("path,time\na/0007_c2_1.jpg,noon\n", "line 2: time is 'noon'"),
        ("path,camera\na/0007_c2_1.jpg\n", "line 2: 1 values for 2 columns"),
        ("path,camera\na/0007_c2_1.jpg,1,2\n", "line 2: 3 values for 2 columns"),
        ("path,camera\n,1\n", "line 2: path is empty"),
        ("path\n", "is empty: it needs a header"),
    ],
)
def test_manifests_with_mistakes(place: Path, content: str, message: str) -> None:
    table = place / "crops.csv"
    table.write_text(content)
    with pytest.raises(InputError, match=message):
        find_crops([table])


def test_several_places_become_one_table(place: Path) -> None:
    single = place / "a" / "b" / "plain.png"
    both = find_crops([single, place / "a" / "0007_c2_1.jpg"])
    assert known(both) == [
        {"path": "plain.png"},
        {"path": "0007_c2_1.jpg", "person": "0007", "camera": "2"},
    ]


def test_places_without_crops(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="does not exist"):
        find_crops([tmp_path / "nothing"])
    with pytest.raises(InputError, match="holds no images"):
        find_crops([tmp_path])
    with pytest.raises(InputError, match="is not an image or a manifest"):
        find_crops([tmp_path / "notes.txt"])


def test_a_source_in_another_encoding(place: Path) -> None:
    with pytest.raises(InputError, match="`source`: source is .* other encodings"):
        find_crops([place / "a"], source="caf\udce9")


def test_names_that_are_not_like_the_pattern(tmp_path: Path) -> None:
    for name in ("gate_3.jpg", "holiday.jpg", "gate_4.jpg"):
        (tmp_path / name).write_bytes(b"looked at later")
    message = r"holiday.jpg is not like `pattern` '\{source\}_\{camera\}.jpg'"
    with pytest.raises(InputError, match=message):
        find_crops([tmp_path], "{source}_{camera}.jpg")
    reported: list[InputError] = []
    found = find_crops([tmp_path], "{source}_{camera}.jpg", on_broken=reported.append)
    assert known(found) == [
        {"path": "gate_3.jpg", "camera": "3", "source": "gate"},
        {"path": "gate_4.jpg", "camera": "4", "source": "gate"},
    ]
    assert [str(error).split()[0] for error in reported] == ["holiday.jpg"]
    with pytest.raises(InputError, match="holds no images whose names are like '{person}-x.jpg'"):
        find_crops([tmp_path], "{person}-x.jpg", on_broken=reported.append)


def test_a_pattern_of_folders(tmp_path: Path) -> None:
    for name in ("cam01/7/1.jpg", "cam02/7/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert known(find_crops([tmp_path], "cam{camera}/{track}/*.jpg")) == [
        {"path": "1.jpg", "camera": "01", "track": "7"},
        {"path": "1.jpg", "camera": "02", "track": "7"},
    ]


def test_a_folder_that_cannot_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However deep it lies: what is in it would be left out without a word."""
    locked = tmp_path / "a" / "locked"
    locked.mkdir(parents=True)
    look = os.scandir

    def refuse(place: str) -> object:
        if str(place) == str(locked):
            raise PermissionError(13, "Permission denied", str(place))
        return look(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=f"Cannot look into {locked}: Permission denied"):
        find_crops([tmp_path])
