import re
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from passerby.datasets.description import describe
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.reporting.tables import description_tables


def test_the_numbers_of_a_toy_dataset(toy_data: Path) -> None:
    seen = []
    description = describe(toy_data, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (144, 144)
    assert (description.layout, description.crops, description.persons) == ("course", 144, 24)
    assert description.crops_per_person == (6, 6.0, 6)
    assert description.cameras is not None
    assert sum(description.cameras.values()) == 144
    assert description.attributes is not None
    assert list(description.attributes) == list(MARKET1501_ATTRIBUTES.names)
    assert sum(description.attributes[a] for a in ("young", "teenager", "adult", "old")) == 1
    assert description.problems == ()
    empty = [a for a, frequency in description.attributes.items() if frequency == 0]
    assert [a for group in description.unfilled_groups.values() for a in group] == [
        a
        for a in empty
        if any(a in MARKET1501_ATTRIBUTES.names[w] for w in MARKET1501_ATTRIBUTES.groups.values())
    ]


def test_every_problem_is_listed(toy_data: Path, tmp_path: Path) -> None:
    course = Path(shutil.copytree(toy_data, tmp_path / "course"))
    first, second = sorted((course / "train").iterdir())[:2]
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:300])
    (course / "train" / "stranger.jpg").touch()
    (course / "train" / "notes.txt").touch()
    found = describe(course)
    assert len(found.problems) == 3
    assert "stranger.jpg" in found.problems[0]
    assert f"{first} is empty" in found.problems[1]
    assert f"{second} is damaged" in found.problems[2]
    (remark,) = found.remarks
    assert "notes.txt passed over: not an image" in remark


def test_official_counts(tmp_path: Path, toy_data: Path) -> None:
    source = next((toy_data / "test").iterdir())
    folder = tmp_path / "bounding_box_test"
    folder.mkdir()
    for name in ("-1_c1s1_1_1.jpg", "0000_c1s1_2_1.jpg", "0000_c2s1_2_1.jpg", "0003_c2s1_3_1.jpg"):
        shutil.copy(source, folder / name)
    description = describe(tmp_path, "gallery")
    assert (description.persons, description.distractors, description.junk) == (1, 2, 1)
    assert description.cameras == {"1": 2, "2": 2}
    assert description.attributes is None


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_course_data_has_no_problems(real_data: Path) -> None:
    description = describe(real_data)
    assert description.problems == ()
    assert description.attributes is not None
    assert description.attributes["gender"] == pytest.approx(333 / 751)
    assert description.unfilled_groups == {}


def draw(path: Path, height: int, width: int, shade: int | None = None) -> None:
    """Save noise, or one shade of grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise if shade is None else np.full_like(noise, shade)).save(path)


def test_what_looks_wrong_is_remarked(tmp_path: Path) -> None:
    for i in range(3):
        draw(tmp_path / f"{i}.png", 64, 32)
    draw(tmp_path / "black.png", 64, 32, shade=0)
    draw(tmp_path / "grey.png", 64, 32, shade=128)
    draw(tmp_path / "wide.png", 32, 64)
    draw(tmp_path / "photo.png", 1100, 500)
    description = describe(tmp_path)
    assert description.problems == ()
    assert len(description.remarks) == 3
    blank, photo, wide = (
        next(text for text in description.remarks if word in text)
        for word in ("blank", "whole photo", "wider than high")
    )
    assert blank.startswith("2 of 7 crops, ")
    assert "black.png first: each is blank" in blank
    assert "photo.png is more than 1024 pixels high" in photo
    assert "wide.png is wider than high" in wide


def test_a_set_without_persons_is_counted_by_crop(tmp_path: Path) -> None:
    for name in "abcd":
        draw(tmp_path / f"{name}.png", 64, 32)
    (tmp_path / "crops.csv").write_text(
        "path,source,camera,track,hat,bag\n"
        "a.png,x,1,7,1,\nb.png,x,2,7,0,1\nc.png,y,2,7,0,\nd.png,y,2,7,1,0\n"
    )
    found = describe(tmp_path / "crops.csv").to_dict()
    assert found["persons"] is None
    assert found["attributes"] == {"hat": 0.5, "bag": 0.5}
    assert found["known_labels"] == {"hat": 4, "bag": 2}
    assert found["cameras"] == {"1": 1, "2": 3}
    # a number of a track counts within its source and camera
    assert (found["tracks"], found["sources"]) == (3, 2)
    assert (found["layout"], found["split"]) == ("manifest", "train")


def test_what_people_read(tmp_path: Path) -> None:
    for name in "abc":
        draw(tmp_path / f"{name}.png", 64, 32)
    (tmp_path / "crops.csv").write_text(
        "path,source,camera,track,split,hat,bag\n"
        "a.png,x,1,7,train,1,\nb.png,x,,7,train,0,1\nc.png,y,2,7,query,0,\n"
    )
    console = Console(file=StringIO(), width=100)
    for table in description_tables(describe(tmp_path / "crops.csv")):
        console.print(table)
    text = console.file.getvalue()
    for name, value in (
        ("camera 1", "1 crops"),
        ("camera unknown", "1 crops"),
        ("tracks", "2"),
        ("sources", "1"),
        ("other splits", "query"),
    ):
        assert re.search(rf"│ {name} +│ {value} +│", text)
    assert "Crops whose label is unknown: bag (1)." in text


def test_terms_of_use_are_named(toy_data: Path) -> None:
    assert "academic research only" in describe(toy_data).terms
