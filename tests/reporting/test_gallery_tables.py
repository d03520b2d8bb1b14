from rich.console import Console

from passerby.gallery.audit import Entry
from passerby.reporting.gallery_tables import audit_table, rows_table


def printed(table: object) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_terminal_is_not_told_what_to_do() -> None:
    entry = Entry("2026-11-01T08:30:00", "me", "add", 1, "\x1b[31mred\x07")
    assert "?[31mred?" in printed(audit_table([entry]))
    row = {"person": "north\x1b[1m", "camera": None, "added": None}
    shown = printed(rows_table([{**row, "path": "a/\x1b]0;title\x07.jpg", "hash": "0" * 64}], 1))
    assert "?]0;title?.jpg" in shown
    assert "\x1b" not in shown
