import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from passerby.data import Crops
from passerby.gallery import Gallery
from passerby.gallery.audit import Entry
from passerby.inference import RuntimeModel
from passerby.server import Limits, create_app
from passerby.server.retention import INTERVAL, ClockGuard, Retention


class Clocks:
    """A wall clock that can be set, and a steady one."""

    def __init__(self) -> None:
        self.wall, self.steady = 1e9, 50.0

    def pass_by(self, seconds: float, jump: float = 0) -> None:
        self.steady += seconds
        self.wall += seconds + jump

    def guard(self) -> ClockGuard:
        return ClockGuard(lambda: self.wall, lambda: self.steady)


@pytest.fixture
def kept_ten_days(
    tmp_path: Path, model: RuntimeModel, calibrated_model: Path, crop_files: list[Path]
) -> Gallery:
    """A gallery of a crop taken long ago, one of today, and one whose time is unknown."""
    gallery = Gallery.create(
        tmp_path / "kept", model, model_source=str(calibrated_model), retention_days=10
    )
    now = datetime.now(UTC)
    times = (now - timedelta(days=11), now, None)
    gallery.add(Crops(crop_files[: len(times)], time=times))
    return gallery


def purges(gallery: Gallery) -> list[Entry]:
    return [entry for entry in gallery.audit() if entry.operation == "purge"]


def test_what_is_too_old_is_purged_at_the_start(kept_ten_days: Gallery) -> None:
    told: list[int] = []
    retention = Retention(kept_ten_days, told.append)
    assert retention.purge() == 1
    assert len(kept_ten_days) == 2
    assert told == [1]
    entry = purges(kept_ten_days)[0]
    assert (entry.rows, entry.reason, entry.who) == (1, "older than 10 days", "passerby serve")
    assert retention.purge() == 0
    assert told == [1]


@pytest.mark.parametrize("jump", [86_400 * 400, -86_400, 61, -61])
def test_a_clock_that_jumps_purges_nothing(kept_ten_days: Gallery, caplog, jump: float) -> None:
    clocks = Clocks()
    retention = Retention(kept_ten_days, lambda _: None, clocks.guard())
    clocks.pass_by(INTERVAL, jump)
    with caplog.at_level(logging.WARNING):
        assert retention.purge() == 0
    assert len(kept_ten_days) == 3
    assert f"jumped by {jump:+.0f} s" in caplog.text
    # it has to keep time for a whole interval first
    clocks.pass_by(INTERVAL)
    assert retention.purge() == 1


def test_a_clock_that_is_corrected_a_little_is_trusted(kept_ten_days: Gallery) -> None:
    clocks = Clocks()
    retention = Retention(kept_ten_days, lambda _: None, clocks.guard())
    clocks.pass_by(INTERVAL, 2.5)
    assert retention.purge() == 1


def test_without_a_period_nothing_is_ever_purged(gallery: Gallery) -> None:
    before = len(gallery)
    assert Retention(gallery, lambda _: None).purge() == 0
    assert len(gallery) == before
    assert not purges(gallery)


class StopError(Exception):
    pass


def test_a_purge_that_fails_is_tried_again(kept_ten_days: Gallery, monkeypatch, caplog) -> None:
    slept: list[float] = []
    erase = Gallery.erase

    def failing(*_, **__):
        raise OSError("disk full")

    async def writing(work):
        return work()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        monkeypatch.setattr(Gallery, "erase", erase)
        if len(slept) == 2:
            raise StopError

    monkeypatch.setattr(Gallery, "erase", failing)
    with pytest.raises(StopError):
        asyncio.run(Retention(kept_ten_days, lambda _: None).keep_purging(writing, sleep))
    assert slept == [INTERVAL, INTERVAL]
    assert "disk full" in caplog.text
    assert len(kept_ten_days) == 2


def test_the_server_purges_when_it_starts(kept_ten_days: Gallery, unlimited: Limits) -> None:
    app = create_app(kept_ten_days, limits=unlimited)
    with TestClient(app, base_url="http://localhost") as client:
        end = time.monotonic() + 20
        while "passerby_erased_rows_total 1.0" not in client.get("/metrics").text:
            assert time.monotonic() < end
        assert client.get("/api/info").json()["rows"] == 2
        assert "more than 10 days ago" in client.get("/stored").text
