from datetime import UTC, datetime

import pytest

from passerby.datasets.name_pattern import NamePattern
from passerby.errors import InputError


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        (
            "{source}_cam{camera}_{time:%Y%m%d-%H%M%S}_*.jpg",
            "north_gate_cam12_20261101-083000_77.jpg",
            {
                "source": "north_gate",
                "camera": "12",
                "time": datetime(2026, 11, 1, 8, 30, tzinfo=UTC),
            },
        ),
        ("{person}_c{camera}_*", "0002_c1_016620005.jpg", {"person": "0002", "camera": "1"}),
        ("{person}_c{camera}_*", "-1_c1_016620005.jpg", {"person": "-1", "camera": "1"}),
        ("{person}_c{camera}_*", "0000_c1_016620005.jpg", {"person": "0000", "camera": "1"}),
        (
            "{time}.png",
            "20261101083000.png",
            {"time": datetime(2026, 11, 1, 8, 30, tzinfo=UTC)},
        ),
        (
            "{time:%Y-%m-%dT%H:%M%z}.png",
            "2026-11-01T08:30+0200.png",
            {"time": datetime(2026, 11, 1, 6, 30, tzinfo=UTC)},
        ),
        ("{source}/*", "gate/a.jpg", {"source": "gate"}),
        (
            "cam{camera}/{track}/*.jpg",
            "camnorth gate/7/1.jpg",
            {"camera": "north gate", "track": "7"},
        ),
        ("a+(b)_{camera}.jpg", "folder/a+(b)_3.jpg", {"camera": "3"}),
    ],
)
def test_reads_what_names_say(pattern: str, name: str, found: dict) -> None:
    assert NamePattern(pattern).read(name) == found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.jpg", "names no field: use {dataset}, {person}, {camera}"),
        ("{cam}_*.jpg", "'{cam}' is not a field"),
        ("{camera:%d}.jpg", "'{camera:%d}' is not a field"),
        ("{camera}_{camera}.jpg", "names a field twice"),
        ("{camera.jpg", "'{' is not a field"),
    ],
)
def test_what_is_no_pattern(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        NamePattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "name", "message"),
    [
        ("c{camera}.jpg", "x.jpg", "x.jpg is not like `pattern` 'c{camera}.jpg'"),
        ("{source}/*", "gate/1/a.jpg", "gate/1/a.jpg is not like `pattern`"),
        ("{time:%Y_%Y}.jpg", "2026_2026.jpg", "'2026_2026' is not a time in the form '%Y_%Y'"),
        ("{time}.jpg", "yesterday.jpg", "'yesterday' is not a time in the form '%Y%m%d%H%M%S'"),
    ],
)
def test_names_that_do_not_fit(pattern: str, name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        NamePattern(pattern).read(name)
    assert message in str(caught.value)
