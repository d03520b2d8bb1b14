from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from passerby.data import Crops
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery, parse_age
from passerby.gallery.retention import older_than, retention_days
from passerby.inference import RuntimeModel

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        (" 8W ", timedelta(weeks=8)),
        ("1y", timedelta(days=365)),
    ],
)
def test_ages(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-3d", "1.5d", "30 months", "1e9d"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(InputError, match="is not an age: write 12h, 30d"):
        parse_age(text)


def test_retention_is_in_days() -> None:
    assert retention_days("2w") == 14
    with pytest.raises(InputError, match="is not a time to keep crops for: write 30d, 8w or 1y"):
        retention_days("23h")
    with pytest.raises(InputError, match="before the calendar"):
        older_than(parse_age("999999y"))


def test_the_earlier_of_taken_and_added_counts(
    model: RuntimeModel, toy_data: Path, tmp_path: Path
) -> None:
    """A camera whose clock is wrong keeps nothing for ever; nothing is kept by a wrong clock."""
    paths = list(find_crops([toy_data / "train"])[:4].paths)
    gallery = Gallery.create(tmp_path / "gallery", model)
    added = datetime.now(UTC)
    taken = [added - timedelta(days=40), added - timedelta(days=2), None, added.replace(year=2099)]
    gallery.add(Crops(paths, time=taken))

    def expired(days: int, now: datetime | None = None) -> int:
        return gallery.count(older_than(timedelta(days=days), now))

    assert expired(30) == 1
    assert expired(1) == 2
    in_a_month = added + timedelta(days=31)
    assert expired(30, in_a_month) == 4
    # a clock that went back purges less, not more
    assert expired(30, added - timedelta(days=400)) == 0
    assert gallery.erase(gallery.filter_of(older=timedelta(days=30)), operation="purge").rows == 1
    assert gallery.audit()[-1].operation == "purge"
