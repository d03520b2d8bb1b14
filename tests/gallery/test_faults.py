"""What a gallery survives: kills, two writers, full and read-only disks, damaged files."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from passerby.datasets.finding import find_crops
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.byte_scan import find_bytes
from passerby.gallery.erasing import finish_interrupted, traces_of
from passerby.gallery.table_schema import EMBEDDING
from passerby.inference import RuntimeModel

ADD = [sys.executable, "-m", "passerby", "gallery", "add"]

SLOWLY = """
import sys, time
from pathlib import Path
from passerby.gallery import Gallery, adding
from passerby.datasets.finding import find_crops
adding.COMMIT_ROWS = 8
gallery = Gallery.open(sys.argv[1])
def progress(done, total):
    print(done, flush=True)
    time.sleep(0.05)
gallery.add(find_crops([Path(sys.argv[2])]), progress=progress)
"""


KILLED = """
import os, signal, sys
from passerby.gallery import Gallery
gallery = Gallery.open(sys.argv[1])
store, after, times = gallery._store, sys.argv[2], int(sys.argv[3])
owners = {"clean_up": store, "annotate": store, "append": store.audit}
owner = owners.get(after, store.crops)
work = getattr(owner, after)
def killed(*arguments, **options):
    global times
    work(*arguments, **options)
    # the first note is that there is no index
    times -= arguments[-1:] != (None,)
    if not times:
        os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, after, killed)
gallery.erase(gallery.filter_of(person=sys.argv[4]))
"""


@pytest.fixture
def empty(calibrated_model: Path, model: RuntimeModel, tmp_path: Path) -> Gallery:
    return Gallery.create(tmp_path / "gallery", model, model_source=str(calibrated_model))


def run(command: list[object]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)


def test_killed_while_adding(empty: Gallery, toy_data: Path) -> None:
    """What was acknowledged is there, nothing half, and adding again completes."""
    crops = toy_data / "train"
    adding = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, empty.where, crops], stdout=subprocess.PIPE, text=True
    )
    assert adding.stdout is not None
    acknowledged = 0
    while acknowledged < 32:
        acknowledged = int(adding.stdout.readline())
    adding.send_signal(signal.SIGKILL)
    adding.wait()
    rest = adding.stdout.read().split()
    acknowledged = max([acknowledged, *map(int, rest)])

    gallery = Gallery.open(empty.where)
    rows = gallery.rows(limit=1000)
    assert acknowledged <= len(rows) < 144
    assert len(rows) % 8 == 0
    assert len({row["hash"] for row in rows}) == len(rows)
    again = gallery.add(find_crops([crops]))
    assert (again.rows, again.known) == (144 - len(rows), len(rows))
    assert len(gallery) == 144


def test_two_add_at_once(empty: Gallery, toy_data: Path) -> None:
    crops = toy_data / "train"
    both = [
        subprocess.Popen([sys.executable, "-c", SLOWLY, empty.where, crops], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [process.wait() for process in both] == [0, 0]
    gallery = Gallery.open(empty.where)
    rows = gallery.rows(limit=1000)
    assert len(rows) == len({row["hash"] for row in rows}) == 144
    assert sum(entry.rows for entry in gallery.audit()) == 144


def test_erasing_while_another_adds(empty: Gallery, toy_data: Path) -> None:
    crops = toy_data / "train"
    adding = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, empty.where, crops], stdout=subprocess.PIPE
    )
    while adding.poll() is None:
        empty.erase("camera = '2'")
        time.sleep(0.05)
    assert adding.returncode == 0
    empty.erase("camera = '2'")
    expected = int((find_crops([crops]).camera != "2").sum())
    assert len(Gallery.open(empty.where)) == expected


def in_four_files(gallery: Gallery, toy_data: Path) -> list[tuple[set[str], Path]]:
    """Add all crops, four commits of 36; return the hashes and the data file of each."""
    crops = find_crops([toy_data / "train"])
    crops = crops.replace(
        # a person's six crops lie in several files; two of them are cut out of frames
        person=["Jane Example" if person == "0003" else person for person in crops.person],
        box=[(2, 3, 20, 50) if row % 3 == 0 else None for row in range(144)],
        dataset=["street"] * 144,
        track=[f"track {row // 6}" for row in range(144)],
        source=["videos/gate.mp4"] * 144,
    )
    data = Path(gallery.where) / "crops.lance" / "data"
    parts = []
    for part in range(4):
        before = set(data.iterdir()) if data.exists() else set()
        hashes = gallery.add(crops[part::4]).hashes
        (file,) = set(data.iterdir()) - before
        parts.append((set(hashes), file))
    return parts


@pytest.mark.parametrize(
    ("after", "times"),
    [
        ("annotate", 1),
        ("append", 1),
        ("delete", 1),
        ("update", 1),
        ("update", 3),
        ("update", 4),
        ("clean_up", 1),
    ],
)
def test_killed_while_erasing(empty: Gallery, toy_data: Path, after: str, times: int) -> None:
    """Whoever opens the gallery next deletes the rows, and rewrites the files that held them."""
    in_four_files(empty, toy_data)
    where = empty.filter_of(person="Jane Example")
    store = empty._store
    names = ["hash", "frame", "path", "thumbnail", EMBEDDING, "_rowid", "_rowaddr"]
    rows = store.read(store.query(names, where))
    assert {address >> 32 for address in rows.column("_rowaddr").to_pylist()} == {0, 1, 2, 3}
    assert {row >> 32 for row in rows.column("_rowid").to_pylist()} == {0}
    paths = [path.encode() for path in rows.column("path").to_pylist()]
    wanted = [*traces_of(rows), *paths, b"Jane Example"]
    # the proof can fail: hashes, frames, thumbnails, embeddings, paths and the name are there
    assert len(wanted) == 6 + 2 + 6 + 6 + 6 + 1
    assert set(find_bytes(Path(empty.where), wanted)) == set(wanted)
    result = run([sys.executable, "-c", KILLED, empty.where, after, times, "Jane Example"])
    assert result.returncode == -signal.SIGKILL, result.stderr
    left = find_bytes(Path(empty.where), wanted)
    assert (left != {}) == (after != "clean_up")

    gallery = Gallery.open(empty.where)
    assert find_bytes(Path(empty.where), wanted) == {}
    assert len(gallery) == 138
    assert gallery.count(where) == 0
    assert not finish_interrupted(gallery._store), "nothing is left to do"
    operations = [entry.operation for entry in gallery.audit()]
    assert operations == ["create", "add", "add", "add", "add", "forget"]


def test_an_interrupted_erasure_and_a_damaged_file(empty: Gallery, toy_data: Path) -> None:
    crops = find_crops([toy_data / "train"])
    empty.add(crops[:72])
    (first,) = (Path(empty.where) / "crops.lance" / "data").iterdir()
    empty.add(crops[72:])
    assert run([sys.executable, "-c", KILLED, empty.where, "delete", 1, "0003"]).returncode < 0
    first.write_bytes(first.read_bytes()[:1000])
    repaired = run([sys.executable, "-m", "passerby", "gallery", "repair", empty.where])
    assert repaired.returncode == 0, repaired.stderr
    assert not first.exists(), "what it held of erased people is gone too"
    gallery = Gallery.open(empty.where)
    assert 0 < len(gallery) == len(gallery.rows(limit=1000)) <= 72
    assert not finish_interrupted(gallery._store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, whose mount options a test may change."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place])
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield place
    run(["umount", "-l", place])


def test_a_full_disk(small_disk: Path, calibrated_model: Path, toy_data: Path) -> None:
    where = small_disk / "gallery"
    model = RuntimeModel.load(calibrated_model)
    gallery = Gallery.create(where, model, model_source=str(calibrated_model))
    gallery.add(find_crops([toy_data / "train"])[:20])
    filler = small_disk / "filler"
    file = os.open(filler, os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space left"):
        while True:
            os.write(file, bytes(4096))
    os.close(file)
    result = run([*ADD, where, toy_data / "train"])
    assert result.returncode == 2, result.stderr
    assert "the disk is full: free some space" in " ".join(result.stderr.split())
    assert len(Gallery.open(where, model)) == 20
    filler.unlink()
    assert run([*ADD, where, toy_data / "train"]).returncode == 0
    assert len(Gallery.open(where, model)) == 144


def test_a_read_only_disk(small_disk: Path, calibrated_model: Path, toy_data: Path) -> None:
    where = small_disk / "gallery"
    model = RuntimeModel.load(calibrated_model)
    Gallery.create(where, model, model_source=str(calibrated_model)).add(
        find_crops([toy_data / "train"])[:20]
    )
    assert run(["mount", "-o", "remount,ro", small_disk]).returncode == 0
    result = run([*ADD, where, toy_data / "train"])
    assert result.returncode == 2, result.stderr
    assert "read-only: choose another place" in " ".join(result.stderr.split())
    gallery = Gallery.open(where, model)
    assert gallery.info()["rows"] == 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else(empty: Gallery, toy_data: Path) -> None:
    Path(empty.where).chmod(0o500)
    with pytest.raises(InputError, match="permission denied"):
        empty.add(find_crops([toy_data / "train"]))


def test_a_truncated_file(empty: Gallery, toy_data: Path) -> None:
    """A clear message; what can be read is kept, and adding again brings back the rest."""
    crops = find_crops([toy_data / "train"])
    empty.add(crops[:100])
    data = Path(empty.where) / "crops.lance" / "data"
    (first,) = data.iterdir()
    empty.add(crops[100:])
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])

    damaged = Gallery.open(empty.where)
    for command in (
        ["search", empty.where, "--where", 'person = "0002"'],
        ["export", empty.where, "--out", Path(empty.where).with_name("x.csv")],
        ["forget", empty.where, "--person", "2", "--yes"],
    ):
        result = run([sys.executable, "-m", "passerby", "gallery", *command])
        assert result.returncode == 2, result.stderr
        assert "is damaged or missing: `passerby gallery repair" in " ".join(result.stderr.split())
    with pytest.raises(InputError, match=r"is damaged or missing: `passerby gallery repair"):
        damaged.rows(limit=1000)
    assert damaged.repair() == 100
    assert len(damaged.rows(limit=1000)) == 44
    assert damaged.audit()[-1].operation == "repair"
    again = damaged.add(crops)
    assert (again.rows, again.known) == (100, 44)
    assert damaged.repair() == 0


@pytest.mark.parametrize("damaged", [0, 1, 2, 3])
def test_one_damaged_file_of_four(empty: Gallery, toy_data: Path, damaged: int) -> None:
    """Ids do not tell the file: only the rows of the damaged one may go."""
    parts = in_four_files(empty, toy_data)
    # rows are no longer where their ids would have them
    gone = min(parts[(damaged + 1) % 4][0])
    empty._store.crops.delete(f"hash = '{gone}'")
    hashes, file = parts[damaged]
    file.write_bytes(file.read_bytes()[:1000])
    gallery = Gallery.open(empty.where)
    assert gallery.repair() == 36
    left = {row["hash"] for row in gallery.rows(limit=1000)}
    assert left == set().union(*(part for part, _ in parts)) - hashes - {gone}
    assert len(left) == len(gallery) == 107
    assert gallery.audit()[-1].rows == 36


def test_a_missing_file(empty: Gallery, toy_data: Path) -> None:
    empty.add(find_crops([toy_data / "train"])[:50])
    shutil.rmtree(Path(empty.where) / "crops.lance" / "data")
    with pytest.raises(InputError, match="is damaged or missing"):
        Gallery.open(empty.where).rows()
    assert Gallery.open(empty.where).repair() == 50


def test_settings_of_a_later_version(empty: Gallery) -> None:
    manifests = Path(empty.where) / "crops.lance" / "_versions"
    for manifest in manifests.glob("*.manifest"):
        content = manifest.read_bytes()
        changed = content.replace(b'{"format":2,', b'{"format":7,')
        assert changed != content
        manifest.write_bytes(changed)
    with pytest.raises(InputError, match="written by another version of Passerby"):
        Gallery.open(empty.where)


def test_a_folder_that_looks_like_an_address(
    model: RuntimeModel, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    gallery = Gallery.create("./s3:/b", model)
    gallery.add(find_crops([toy_data / "train"])[:3])
    assert len(Gallery.open(tmp_path / "s3:" / "b")) == 3
