import shutil
from pathlib import Path

import pytest

from passerby.datasets.description import describe
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES


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
