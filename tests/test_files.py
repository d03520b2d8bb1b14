import errno
import os
import re
from pathlib import Path

import pytest

from passerby.errors import InputError
from passerby.files import check_no_input, check_writable, explain, replacing, write_text


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    write_text(target, "hé\n")
    assert target.read_bytes() == "hé\n".encode()
    assert list(target.parent.iterdir()) == [target]


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as draft:
        draft.write_text("half of the n")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    with replacing(target) as draft:
        draft.mkdir()
        (draft / "new").touch()
    assert [p.name for p in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with (
        pytest.raises(InputError, match=r"a\.txt: the disk is full: free some space"),
        replacing(target),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_other_system_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cable"), replacing(tmp_path / "a"):
        raise OSError(errno.EIO, "cable")


def test_a_file_in_place_of_a_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(InputError, match="choose another place"):
        write_text(tmp_path / "a" / "b", "")


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="neither a file nor a folder: choose another place"):
        write_text(pipe, "x")
    assert pipe.is_fifo()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to("real.txt")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_folder_comes_back_if_its_successor_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()

    def fail(self: Path, other: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), replacing(target) as draft:
        draft.mkdir()
        (draft / "new").touch()
        monkeypatch.setattr(Path, "replace", fail)
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.EFBIG, "", "a/b"), r"Cannot use a/b: .* raise the limit \(ulimit -f\)\.$"),
        (OSError(errno.ELOOP, "", b"a"), r"Cannot use a: a link leads to itself: choose another"),
        (OSError(errno.ENOSPC, ""), "Cannot use the output: the disk is full"),
        (OSError(errno.ENOENT, ""), "Cannot use the current folder: there is no such folder"),
    ],
)
def test_system_errors_in_words(error: OSError, sentence: str) -> None:
    assert re.match(sentence, str(explain(error)))


def test_a_result_in_the_place_of_an_input(tmp_path: Path) -> None:
    image, other = tmp_path / "a.jpg", tmp_path / "b.jpg"
    image.touch()
    (tmp_path / "link.jpg").symlink_to(image)
    for target in (image, tmp_path / "link.jpg"):
        with pytest.raises(InputError, match="is one of the inputs: choose another place"):
            check_no_input(target, [other, image])
    check_no_input(other, [image, other])
    other.touch()
    check_no_input(other, [image])


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match="is a link to itself"):
        write_text(tmp_path / "loop", "x")
    with pytest.raises(InputError, match="is a link to itself"):
        check_writable(tmp_path / "loop")


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "file")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(InputError, match="is a folder: give the name of a file"):
        check_writable(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="a part of the path is a file"):
        check_writable(tmp_path / "file" / "x")
