from pathlib import Path

import pytest

from passerby.errors import InputError
from passerby.gallery import audit
from passerby.gallery.audit import FILE_NAME, AuditFile, Entry


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
