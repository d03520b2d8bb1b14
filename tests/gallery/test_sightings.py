from datetime import UTC, datetime
from pathlib import Path

import pytest

from passerby.errors import InputError
from passerby.gallery import Sighting, find_sightings


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    for name in ("a/0007_c2_1.jpg", "a/b/plain.png", "a/0000_c3s1_2.jpg", "a/._0007_c2_1.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"looked at later")
    (tmp_path / "a/notes.txt").write_text("no image")
    return tmp_path


def test_a_folder_at_any_depth_and_market_style_names(crops: Path) -> None:
    assert find_sightings([crops / "a"], source="gate") == [
        Sighting(crops / "a/0000_c3s1_2.jpg", None, 3, None, "gate"),
        Sighting(crops / "a/0007_c2_1.jpg", 7, 2, None, "gate"),
        Sighting(crops / "a/b/plain.png", None, None, None, "gate"),
    ]


def test_a_table_says_all(crops: Path) -> None:
    table = crops / "crops.csv"
    table.write_text(
        "\ufeffpath,person,camera,time,source\n"
        "a/b/plain.png,4,1,2026-11-01T09:30:00+01:00,gate\n"
        "a/0007_c2_1.jpg,,,2026-11-02,\n"
    )
    assert find_sightings([table], source="other") == [
        Sighting(crops / "a/b/plain.png", 4, 1, datetime(2026, 11, 1, 8, 30, tzinfo=UTC), "gate"),
        Sighting(crops / "a/0007_c2_1.jpg", None, None, datetime(2026, 11, 2, tzinfo=UTC), "other"),
    ]


def test_a_table_of_paths_leaves_the_rest_to_the_names(crops: Path) -> None:
    table = crops / "crops.csv"
    table.write_text("path\na/0007_c2_1.jpg\n")
    assert find_sightings([table]) == [Sighting(crops / "a/0007_c2_1.jpg", 7, 2)]
    table.write_text("path,person\na/0007_c2_1.jpg,\n")
    assert find_sightings([table]) == [Sighting(crops / "a/0007_c2_1.jpg", None, 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file\nx.jpg\n", "has no column 'path'"),
        ("path,colour\nx.jpg,red\n", "the column 'colour' is not known"),
        ("path,camera\nx.jpg,one\n", "line 2: camera is 'one'"),
        ("path,camera\nx.jpg,99999999999\n", "line 2: camera is '99999999999'"),
        ("path,time\nx.jpg,noon\n", "line 2: time is 'noon'"),
        ("path,camera\nx.jpg\n", "line 2: there are more or fewer values"),
        ("path,camera\nx.jpg,1,2\n", "line 2: there are more or fewer values"),
        ("path,camera\n,1\n", "line 2: path is empty"),
        ("path\n", "holds no images"),
    ],
)
def test_tables_with_mistakes(tmp_path: Path, content: str, message: str) -> None:
    table = tmp_path / "crops.csv"
    table.write_text(content)
    with pytest.raises(InputError, match=message):
        find_sightings([table])


def test_a_table_that_is_none(tmp_path: Path) -> None:
    table = tmp_path / "crops.csv"
    table.write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(InputError, match="no CSV file in UTF-8"):
        find_sightings([table])


def test_places_without_crops(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="does not exist"):
        find_sightings([tmp_path / "nothing"])
    with pytest.raises(InputError, match="holds no images"):
        find_sightings([tmp_path])
    with pytest.raises(InputError, match="neither an image nor a CSV file"):
        find_sightings([tmp_path / "notes.txt"])


def test_names_that_are_not_like_the_pattern(tmp_path: Path) -> None:
    for name in ("gate_3.jpg", "holiday.jpg", "gate_4.jpg"):
        (tmp_path / name).write_bytes(b"looked at later")
    message = r"holiday.jpg is not like --pattern '\{source\}_\{camera\}.jpg'"
    with pytest.raises(InputError, match=message):
        find_sightings([tmp_path], "{source}_{camera}.jpg")
    reported: list[InputError] = []
    found = find_sightings([tmp_path], "{source}_{camera}.jpg", on_broken=reported.append)
    assert [sighting.camera for sighting in found] == [3, 4]
    assert [str(error).split()[0] for error in reported] == ["holiday.jpg"]
    with pytest.raises(InputError, match="holds no images whose names are like '{person}.jpg'"):
        find_sightings([tmp_path], "{person}.jpg", on_broken=reported.append)
