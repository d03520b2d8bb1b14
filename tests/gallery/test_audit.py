from datetime import timedelta
from pathlib import Path

import pytest

from passerby.calibration import AnswerRule
from passerby.data import Crops
from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery, audit
from passerby.gallery.adding import AddRequest
from passerby.gallery.audit import FILE_NAME, AuditFile, Entry
from passerby.inference import RuntimeModel


def test_an_entry_after_a_line_that_was_cut_off(tmp_path: Path) -> None:
    log = AuditFile(tmp_path)
    log.append(Entry.now("add", 3))
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write('{"time": "2026')
    log.append(Entry.now("forget", 2, "asked for"))
    assert [(entry.operation, entry.rows) for entry in log] == [("add", 3), ("forget", 2)]


def test_damaged_lines_hide_no_others(tmp_path: Path) -> None:
    log = AuditFile(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(
        b'\xff\xfe\n{"time": "", "who": "", "operation": "add", "rows": "many"}\n[]\n'
    )
    log.append(Entry.now("purge", 1))
    assert [entry.operation for entry in log] == ["purge"]


def test_reasons_that_are_no_text(tmp_path: Path) -> None:
    log = AuditFile(tmp_path)
    log.append(Entry.now("search", 1, "caf\udce9\nsecond line"))
    assert [entry.reason for entry in log] == ["caf?\nsecond line"]


@pytest.mark.parametrize("count", [1, 3, 40, 100])
@pytest.mark.parametrize("block", [7, 200, 1 << 16])
def test_the_latest_are_the_end_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, block: int
) -> None:
    monkeypatch.setattr(audit, "_BLOCK", block)
    log = AuditFile(tmp_path)
    assert log.latest(count) == []
    for rows in range(40):
        log.append(Entry.now("search", rows, "ü\n" * rows))
        if rows % 7 == 0:
            with (tmp_path / FILE_NAME).open("a") as file:
                file.write('{"cut off')
    assert log.latest(count) == list(log)[::-1][:count]
    assert len(list(log)) == 40


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(InputError, match=f"Cannot write to .*{FILE_NAME}"):
        AuditFile(tmp_path).append(Entry.now("add", 1))


def test_a_long_line_and_junk_hide_nothing(tmp_path: Path) -> None:
    log = AuditFile(tmp_path)
    log.append(Entry.now("add", 1))
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(b"x" * 30_000_000 + b"\n" + b"[]\n" * 100_000)
    log.append(Entry.now("purge", 1))
    assert [entry.operation for entry in log.latest(2)] == ["purge", "add"]


def test_no_operation_writes_down_whom_it_showed(
    model: RuntimeModel, toy_data: Path, tmp_path: Path
) -> None:
    """Persons, cameras, tracks and sources are text, and nothing of it enters the log."""
    paths = find_crops([toy_data / "train"]).paths[:12]
    names = (
        "Jane Example",
        "John Example",
        "north gate",
        "track zero",
        "videos/gate.mp4",
        "street",
    )
    known = {
        "person": [names[row % 2] for row in range(12)],
        "camera": [names[2]] * 12,
        "track": [names[3]] * 12,
        "source": [names[4]] * 12,
        "dataset": [names[5]] * 12,
    }
    crops = Crops(paths, **known)
    gallery = Gallery.create(tmp_path / "gallery", model, reason="a test")
    gallery.add(crops[:4], reason="crops")
    gallery.add(model.embed(crops[4:8]), reason="embeddings")
    prepared = [
        gallery.prepare(path.read_bytes(), path, {name: known[name][row] for name in known})
        for row, path in enumerate(paths)
    ]
    gallery.add_together([AddRequest(prepared[8:], "uploads", "192.0.2.7")])
    with pytest.raises(InputError):
        gallery.add(Crops([tmp_path / "missing.jpg"], person=["Jane Example"]))
    gallery.search([paths[0]], 'person = "Jane Example"', AnswerRule("top_k", 3), reason="photo")
    gallery.search(where='camera = "north gate" and source = "videos/gate.mp4"')
    gallery.export(tmp_path / "some.csv", 'person = "Jane Example"', reason="a report")
    where = gallery.filter_of(person="Jane Example", dataset="street")
    with pytest.raises(InputError, match="6 crops are meant by now"):
        gallery.erase(where, expected=5)
    gallery.erase(where, expected=6, reason="asked for")
    gallery.reindex(model, None, reason="a new model")
    gallery.repair(reason="a look")
    gallery.erase(gallery.filter_of(where='track = "track zero"'), operation="purge")
    gallery.erase(gallery.filter_of(older=timedelta(days=1)), operation="purge")

    operations = [entry.operation for entry in gallery.audit()]
    assert operations == [
        *("create", "add", "add", "add", "search", "search", "export", "forget"),
        *("reindex", "repair", "purge"),
    ]
    log = (tmp_path / "gallery" / FILE_NAME).read_text()
    assert not [name for name in names if name in log]
    assert not [path for path in paths if path.name in log]
