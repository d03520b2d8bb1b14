import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet

from passerby.data import Crops
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.inference import RuntimeModel


def test_a_table_for_other_programs(gallery: Gallery, tmp_path: Path) -> None:
    assert gallery.export(tmp_path / "crops.csv") == 144
    with (tmp_path / "crops.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    stored = {row["hash"]: row for row in gallery.rows(limit=1000)}
    assert len(rows) == 144
    for row in rows:
        assert row["camera"] == stored[row["hash"]]["camera"]
        assert float(row["backpack"]) == pytest.approx(
            stored[row["hash"]]["attributes"]["backpack"], abs=1e-6
        )

    count = gallery.export(tmp_path / "some.parquet", "camera = 1", reason="a report")
    table = parquet.read_table(tmp_path / "some.parquet")
    assert len(table) == count == gallery.count("camera = '1'")
    assert "embedding" in table.column_names
    assert (gallery.audit()[-1].operation, gallery.audit()[-1].reason) == ("export", "a report")


def test_other_endings(gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither \.csv nor \.parquet"):
        gallery.export(tmp_path / "crops.xlsx")
    with pytest.raises(InputError, match="upredd"):
        gallery.export(tmp_path / "crops.csv", "upredd")
    assert not (tmp_path / "crops.csv").exists()


def test_nobody(gallery: Gallery, tmp_path: Path) -> None:
    assert gallery.export(tmp_path / "crops.csv", "camera = 77") == 0
    assert (tmp_path / "crops.csv").read_text().startswith('"hash"')


def test_times_and_boxes_as_manifests_have_them(
    model: RuntimeModel, toy_data: Path, tmp_path: Path
) -> None:
    gallery = Gallery.create(tmp_path / "gallery", model)
    path = sorted((toy_data / "train").iterdir())[0]
    moment = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
    known = {"person": "Skirt & Dress", "camera": "north gate", "track": "12"}
    crops = Crops(
        [path], box=[(1, 2, 30, 60)], time=[moment], **{name: [v] for name, v in known.items()}
    )
    gallery.add(crops)
    gallery.export(tmp_path / "crops.csv")
    with (tmp_path / "crops.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["time"] == "2026-11-01T08:30:00+00:00"
    assert row["box"] == "1 2 30 60"
    assert {name: row[name] for name in known} == known
    assert datetime.fromisoformat(row["added"]) == gallery.rows()[0]["added"]
    gallery.export(tmp_path / "crops.parquet")
    (row,) = parquet.read_table(tmp_path / "crops.parquet").to_pylist()
    assert (row["time"], row["box"]) == (moment, [1, 2, 30, 60])
