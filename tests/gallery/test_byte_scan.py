from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from passerby.gallery import byte_scan
from passerby.gallery.byte_scan import find_bytes


@given(
    content=st.binary(max_size=400),
    wanted=st.lists(st.binary(min_size=8, max_size=24), max_size=4),
    inside=st.integers(0, 400),
    chunk=st.sampled_from([16, 64, 1 << 20]),
)
@settings(deadline=None)
def test_finds_what_a_plain_search_finds(
    tmp_path_factory, content: bytes, wanted: list[bytes], inside: int, chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("files")
    if wanted:
        content = content[:inside] + wanted[0] + content[inside:]
    (folder / "a").write_bytes(content)
    before, byte_scan._CHUNK = byte_scan._CHUNK, chunk
    try:
        found = find_bytes(folder, wanted)
    finally:
        byte_scan._CHUNK = before
    assert set(found) == {trace for trace in wanted if trace in content}


def test_at_the_seam_of_two_chunks(tmp_path: Path) -> None:
    trace = bytes(range(100, 124))
    for shift in range(-26, 4):
        content = np.zeros(2 * (1 << 16), np.uint8)
        at = (1 << 16) + shift
        content[at : at + len(trace)] = np.frombuffer(trace, np.uint8)
        (tmp_path / "a").write_bytes(content.tobytes())
        before, byte_scan._CHUNK = byte_scan._CHUNK, 1 << 16
        try:
            assert set(find_bytes(tmp_path, [trace])) == {trace}
        finally:
            byte_scan._CHUNK = before


def test_empty_files_and_nothing_wanted(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert find_bytes(tmp_path, [b"12345678"]) == {}
    assert find_bytes(tmp_path, []) == {}
