"""Looking for bytes in files: what was erased must not be found in any of them."""

import mmap
from collections.abc import Iterable
from pathlib import Path

import numpy as np

_CHUNK = 1 << 26
"""Bytes looked at together."""

LEAST = 8
"""Bytes of a trace: shorter ones are found by chance."""


def find_bytes(folder: Path, traces: Iterable[bytes], but: Path | None = None) -> dict[bytes, Path]:
    """Look for byte strings in all files below a folder.

    Args:
        folder: the folder.
        traces: byte strings of at least 8 bytes.
        but: a file that is not looked at.

    Returns:
        Those that were found, with a file that holds each.
    """
    wanted = sorted(set(traces))
    found: dict[bytes, Path] = {}
    if not wanted:
        return found
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p != but):
        with path.open("rb") as file:
            if not path.stat().st_size:
                continue
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                for trace in _in_content(content, wanted):
                    found.setdefault(trace, path)
    return found


def _in_content(content: mmap.mmap, wanted: list[bytes]) -> set[bytes]:
    """Compare the first four bytes at every place, and the rest where these agree."""
    starts: dict[int, list[bytes]] = {}
    for trace in wanted:
        starts.setdefault(int.from_bytes(trace[:4], "little"), []).append(trace)
    firsts = np.array(sorted(starts), np.uint32)
    halves = np.zeros(1 << 16, bool)
    halves[firsts & 0xFFFF] = True
    found: set[bytes] = set()
    for begin in range(0, len(content), _CHUNK):
        # three bytes more: words that reach into the next chunk
        part = content[begin : begin + _CHUNK + 3]
        for offset in range(min(4, len(part) - 3)):
            words = np.frombuffer(part, "<u4", (len(part) - offset) // 4, offset)
            places = np.flatnonzero(halves[words & 0xFFFF])
            places = places[np.isin(words[places], firsts)]
            for place in places.tolist():
                at = begin + offset + 4 * place
                for trace in starts[int(words[place])]:
                    if content[at : at + len(trace)] == trace:
                        found.add(trace)
    return found
