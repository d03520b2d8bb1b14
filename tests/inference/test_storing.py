import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from passerby.data import Crops
from passerby.data.decoding import Pixels
from passerby.datasets import read_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Embeddings, RuntimeModel, embed_to_folder, read_embeddings
from passerby.inference.row_file import RowFile
from passerby.inference.runtime_model import Answers


class Counting(RuntimeModel):
    """Counts the crops that it looks at."""

    seen = 0

    def run(self, pixels: Pixels) -> Answers:
        self.seen += len(pixels)
        return super().run(pixels)


class Power(Exception):
    """A power cut."""


def cut_after(limit: int) -> Callable[[int, int], None]:
    def progress(done: int, _: int) -> None:
        if done >= limit:
            raise Power

    return progress


@pytest.fixture
def model(model_file: Path) -> Counting:
    return Counting.load(model_file)


@pytest.fixture
def crops(toy_data: Path, tmp_path: Path) -> Crops:
    """Fifty crops that a test may damage, with persons, cameras and labels."""
    found = read_crops(toy_data)[:50]
    folder = tmp_path / "crops"
    folder.mkdir()
    return found.replace(paths=tuple(Path(shutil.copy2(path, folder)) for path in found.paths))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "place" / "out"


def assert_same(found: Embeddings, expected: Embeddings) -> None:
    assert found.crops.paths == expected.crops.paths
    np.testing.assert_array_equal(found.crops.person, expected.crops.person)
    np.testing.assert_array_equal(found.crops.camera, expected.crops.camera)
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-5)
    np.testing.assert_allclose(found.attributes, expected.attributes, atol=1e-5)
    assert (found.schema, found.model) == (expected.schema, expected.model)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("flip", [False, True])
def test_the_rows_on_disk_are_those_in_memory(model, crops, out, flip: bool) -> None:
    at: list[tuple[int, int]] = []
    found = embed_to_folder(
        model, crops, out, flip=flip, batch_size=20, progress=lambda *done: at.append(done)
    )
    assert_same(found, model.embed(crops, flip=flip))
    assert at == [(20, 50), (40, 50), (50, 50)]
    assert isinstance(found.vectors, np.memmap)
    assert not found.vectors.flags.writeable
    assert found.crops.labels is None
    assert names(out) == ["attributes.npy", "crops.csv", "embeddings.json", "vectors.npy"]
    assert names(out.parent) == ["out"]
    assert json.loads((out / "embeddings.json").read_text()) == {
        "format": 2,
        "model": model.info.fingerprint,
        "model_name": "tiny",
        "schema": MARKET1501_ATTRIBUTES.to_dict(),
        "rows": 50,
        "embedding_size": 96,
        "flip": flip,
    }


def test_finished_rows_are_not_computed_again(model, crops, out) -> None:
    with pytest.raises(Power):
        embed_to_folder(model, crops, out, batch_size=8, progress=cut_after(24))
    assert names(out.parent) == [".out.partial"]
    model.seen = 0
    at: list[int] = []
    found = embed_to_folder(
        model, crops, out, batch_size=8, progress=lambda done, _: at.append(done)
    )
    assert model.seen == 26
    assert at == [24, 32, 40, 48, 50]
    assert_same(found, model.embed(crops))
    assert names(out.parent) == ["out"]


def test_interrupted_again_and_again(model, crops, out) -> None:
    for limit in range(5, 50, 5):
        with pytest.raises(Power):
            embed_to_folder(model, crops, out, batch_size=5, progress=cut_after(limit))
    found = embed_to_folder(model, crops, out, batch_size=5)
    assert model.seen == 50
    assert_same(found, model.embed(crops))


def test_crops_that_came_later_do_not_matter(model, crops, out) -> None:
    """What is done stays done when crops behind it are added or removed, or persons corrected."""
    with pytest.raises(Power):
        embed_to_folder(model, crops, out, batch_size=8, progress=cut_after(24))
    model.seen = 0
    others = crops.replace(person=[f"new {name}" for name in crops.person])[np.r_[:30, 40:50]]
    assert_same(embed_to_folder(model, others, out), model.embed(others))
    assert model.seen == 16 + len(others)


def renamed(crops: Crops) -> Crops:
    path = crops.paths[3].rename(crops.paths[3].with_name("renamed.jpg"))
    return crops.replace(paths=(*crops.paths[:3], path, *crops.paths[4:]))


def touched(crops: Crops) -> Crops:
    os.utime(crops.paths[3], (1, 1))
    return crops


@pytest.mark.parametrize(
    "change", [renamed, touched, lambda crops: crops[::-1], lambda crops: crops[:20]]
)
def test_other_crops_start_anew(model, crops, out, change) -> None:
    with pytest.raises(Power):
        embed_to_folder(model, crops, out, batch_size=8, progress=cut_after(24))
    model.seen = 0
    others = change(crops)
    found = embed_to_folder(model, others, out)
    assert model.seen == len(others)
    assert_same(found, model.embed(others))


def test_another_use_of_the_model_starts_anew(model, crops, out) -> None:
    with pytest.raises(Power):
        embed_to_folder(model, crops, out, batch_size=8, progress=cut_after(24))
    assert_same(embed_to_folder(model, crops, out, flip=True), model.embed(crops, flip=True))


def test_another_model_starts_anew(model, crops, out) -> None:
    with pytest.raises(Power):
        embed_to_folder(model, crops, out, batch_size=8, progress=cut_after(24))
    model.info = model.info.model_copy(update={"fingerprint": "another"})
    model.seen = 0
    assert embed_to_folder(model, crops, out).model == "another"
    assert model.seen == 50


@pytest.mark.parametrize("file", ["progress.json", "vectors.npy", "attributes.npy"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"done": 1}'])
def test_a_damaged_partial_folder_starts_anew(model, crops, out, file, content) -> None:
    with pytest.raises(Power):
        embed_to_folder(model, crops, out, batch_size=8, progress=cut_after(24))
    damaged = out.parent / ".out.partial" / file
    damaged.unlink() if content is None else damaged.write_bytes(content)
    model.seen = 0
    found = embed_to_folder(model, crops, out)
    assert model.seen == 50
    assert_same(found, model.embed(crops))


def test_rows_that_were_not_yet_safe_are_written_again(model, crops, out) -> None:
    with pytest.raises(Power):
        embed_to_folder(model, crops, out, batch_size=8, progress=cut_after(24))
    with (out.parent / ".out.partial" / "vectors.npy").open("ab") as file:
        file.write(b"half a batch")
    assert_same(embed_to_folder(model, crops, out), model.embed(crops))


def test_an_interruption_before_anything_is_done_leaves_nothing(model, crops, out) -> None:
    crops.paths[0].write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        embed_to_folder(model, crops, out)
    assert names(out.parent) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from passerby.datasets import read_crops
from passerby.inference import RuntimeModel, embed_to_folder, unfinished

unfinished.SAVE_SECONDS = 0
model, crops, out, limit = sys.argv[1:]

def progress(done, count):
    if done >= int(limit):
        os.kill(os.getpid(), signal.SIGKILL)

embed_to_folder(
    RuntimeModel.load(model), read_crops(crops), out, batch_size=8, progress=progress
)
"""


def test_killed(model, model_file: Path, crops, out) -> None:
    plain = read_crops(crops.paths[0].parent)
    command = [sys.executable, "-c", KILLED, model_file, plain.paths[0].parent, out, "24"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    # a lock file without a process that holds it is in nobody's way
    assert names(out.parent) == [".out.lock", ".out.partial"]
    found = embed_to_folder(model, plain, out)
    assert model.seen == 26
    assert_same(found, model.embed(plain))
    assert names(out.parent) == ["out"]


class TestBrokenCrops:
    @pytest.fixture
    def broken(self, crops: Crops) -> list[int]:
        for row in (2, 11, 30):
            crops.paths[row].write_bytes(b"no image")
        return [2, 11, 30]

    def test_the_first_one_stops_and_once_mended_the_work_goes_on(self, model, crops, out) -> None:
        content = crops.paths[30].read_bytes()
        crops.paths[30].write_bytes(b"no image")
        with pytest.raises(InputError, match=rf"{crops.paths[30].name} is not an image"):
            embed_to_folder(model, crops, out, batch_size=8)
        crops.paths[30].write_bytes(content)
        model.seen = 0
        found = embed_to_folder(model, crops, out, batch_size=8)
        assert model.seen == 26
        assert_same(found, model.embed(crops))

    def test_they_are_left_out(self, model, crops, broken, out) -> None:
        told: list[InputError] = []
        found = embed_to_folder(model, crops, out, batch_size=8, on_broken=told.append)
        readable = crops[np.setdiff1d(np.arange(50), broken)]
        assert_same(found, model.embed(readable))
        assert [str(error).split(" is ")[0] for error in told] == [
            str(crops.paths[row]) for row in broken
        ]

    def test_they_are_reported_again_after_an_interruption(self, model, crops, broken, out) -> None:
        for_now: list[InputError] = []
        with pytest.raises(Power):
            embed_to_folder(
                model,
                crops,
                out,
                batch_size=8,
                on_broken=for_now.append,
                progress=cut_after(24),
            )
        with pytest.raises(InputError, match=crops.paths[2].name):
            embed_to_folder(model, crops, out)
        told: list[InputError] = []
        model.seen = 0
        found = embed_to_folder(model, crops, out, on_broken=told.append)
        assert model.seen == 25
        assert [str(error) for error in told[:2]] == [str(error) for error in for_now]
        assert len(told) == 3
        assert_same(found, model.embed(crops, on_broken=lambda _: None))

    def test_none_is_readable(self, model, crops, out) -> None:
        for path in crops.paths:
            path.write_bytes(b"no image")
        with pytest.raises(InputError, match="None of the 50 crops can be decoded: give"):
            embed_to_folder(model, crops, out, batch_size=8, on_broken=lambda _: None)
        assert names(out.parent) == []


class TestThePlace:
    def test_earlier_embeddings_are_replaced(self, model, crops, out) -> None:
        embed_to_folder(model, crops, out)
        embed_to_folder(model, crops[:7], out)
        assert len(read_embeddings(out)) == 7
        assert names(out.parent) == ["out"]

    def test_earlier_embeddings_stay_until_the_new_ones_are_whole(self, model, crops, out) -> None:
        embed_to_folder(model, crops[:7], out)
        with pytest.raises(Power):
            embed_to_folder(model, crops, out, batch_size=8, progress=cut_after(8))
        assert len(read_embeddings(out)) == 7

    def test_something_else_is_not_replaced(self, model, crops, out) -> None:
        out.mkdir(parents=True)
        (out / "diary.txt").touch()
        with pytest.raises(InputError, match="out exists and holds no embeddings: choose another"):
            embed_to_folder(model, crops, out)
        assert names(out) == ["diary.txt"]

    def test_a_file_among_the_parents(self, model, crops, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="a part of the path is a file"):
            embed_to_folder(model, crops, tmp_path / "file" / "out")

    def test_a_link_is_followed(self, model, crops, out, tmp_path: Path) -> None:
        embed_to_folder(model, crops[:7], out)
        link = tmp_path / "link"
        link.symlink_to(out)
        embed_to_folder(model, crops, link)
        assert link.is_symlink()
        assert len(read_embeddings(out)) == 50

    def test_no_crops(self, model, out) -> None:
        with pytest.raises(InputError, match="no crops to embed: give at least one"):
            embed_to_folder(model, Crops(()), out)

    def test_a_batch_of_nothing(self, model, crops, out) -> None:
        with pytest.raises(InputError, match="batch size is 0: give 1 or more"):
            embed_to_folder(model, crops, out, batch_size=0)


class TestAFullDisk:
    @pytest.fixture
    def fill(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        """Lets the disk be full after so many appends."""

        def fill(appends: int) -> None:
            left, append = [appends], RowFile.append

            def full(file: RowFile, rows: np.ndarray) -> None:
                left[0] -= 1
                if left[0] < 0:
                    append(file, rows[:1])
                    raise OSError(errno.ENOSPC, "No space left on device")
                append(file, rows)

            monkeypatch.setattr(RowFile, "append", full)

        return fill

    @pytest.mark.parametrize("appends", [0, 1])
    def test_at_once(self, model, crops, out, fill, appends: int) -> None:
        fill(appends)
        with pytest.raises(InputError, match=rf"write to {out}: the disk is full: free some space"):
            embed_to_folder(model, crops, out, batch_size=8)
        assert names(out.parent) == []

    @pytest.mark.parametrize("appends", [6, 7])
    def test_later_the_work_goes_on(
        self, model, crops, out, fill, appends: int, monkeypatch
    ) -> None:
        fill(appends)
        with pytest.raises(InputError, match="the disk is full: free some space"):
            embed_to_folder(model, crops, out, batch_size=8)
        assert names(out.parent) == [".out.partial"]
        monkeypatch.undo()
        model.seen = 0
        found = embed_to_folder(model, crops, out)
        assert model.seen == 26
        assert_same(found, model.embed(crops))


def test_memory_does_not_grow_with_the_crops(model, crops, out) -> None:
    size = 20_000
    many = Crops(crops.paths[:1] * 1000)
    model.info = model.info.model_copy(update={"embedding_size": size})
    model.run = lambda pixels: (
        np.zeros((len(pixels), size), np.float32),
        np.zeros((len(pixels), 32), np.float32),
    )
    tracemalloc.start()
    found = embed_to_folder(model, many, out, batch_size=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.vectors.nbytes == 80_000_000
    assert peak < 10_000_000


def test_nobody_else_embeds_into_the_folder(model: Counting, crops: Crops, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def progress(done: int, _: int) -> None:
        with pytest.raises(InputError, match="Another process is embedding into .*out: wait"):
            embed_to_folder(model, crops, out)

    embed_to_folder(model, crops, out, progress=progress)
    assert len(read_embeddings(out)) == 50
    assert not list(tmp_path.glob(".out*"))
    embed_to_folder(model, crops, out)


def test_mirror_images_are_remembered(model: Counting, crops: Crops, tmp_path: Path) -> None:
    for flip in (True, False):
        assert embed_to_folder(model, crops[:3], tmp_path / "out", flip=flip).flip == flip
        assert model.embed(crops[:3], flip=flip).flip == flip
