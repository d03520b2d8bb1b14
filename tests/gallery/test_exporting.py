import csv
from pathlib import Path

import pytest
from pyarrow import parquet

from passerby.errors import InputError
from passerby.gallery import Gallery


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
