import csv
import errno
import re
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from passerby.errors import InputError
from passerby.toy import draw_people, write_toy

PERSONS, CROPS = 8, 5
TRAIN_NAME = re.compile(r"(\d{4})_c([1-6])_(\d{9})\.jpg")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "toy"
    # 10 persons (2 of them not for training) and 2 distractors
    assert write_toy(out, PERSONS, seed=3, crops_per_person=CROPS) == 10 * CROPS + 2
    return out


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def train_names(toy: Path) -> list[tuple[int, int, int]]:
    """Person, camera and number of each training crop, in the order of their numbers."""
    matches = [TRAIN_NAME.fullmatch(name) for name in names(toy / "train")]
    assert None not in matches
    fields = [tuple(int(field) for field in match.groups()) for match in matches if match]
    return sorted(((p, c, n) for p, c, n in fields), key=lambda row: row[2])


def test_the_folder_holds_the_course_layout(toy: Path) -> None:
    assert names(toy) == ["annotations_train.csv", "queries", "test", "train"]
    assert names(toy.parent) == ["toy"]


def test_the_annotations_are_those_of_the_training_persons(toy: Path) -> None:
    with (toy / "annotations_train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    people = draw_people(PERSONS, seed=3)
    assert list(rows[0]) == ["id", *people[0].annotation]
    assert len(rows) == PERSONS
    for number, (row, person) in enumerate(zip(rows, people, strict=True), start=1):
        expected = {"id": number, **person.annotation}
        assert {column: int(value) for column, value in row.items()} == expected


def test_training_crops_are_named_by_person_camera_and_number(toy: Path) -> None:
    rows = train_names(toy)
    assert [number for _, _, number in rows] == list(range(1, PERSONS * CROPS + 1))
    persons = [person for person, _, _ in rows]
    assert persons == sorted(persons)
    assert [persons.count(person) for person in range(1, PERSONS + 1)] == [CROPS] * PERSONS


def test_every_training_person_is_seen_by_two_cameras_or_more(toy: Path) -> None:
    for person in range(1, PERSONS + 1):
        assert len({camera for p, camera, _ in train_names(toy) if p == person}) >= 2


def test_test_and_queries_are_numbered_without_gaps(toy: Path) -> None:
    strangers, distractors = 2, 2
    in_test = strangers * (CROPS - 1) + distractors
    assert names(toy / "queries") == [f"{i:06d}.jpg" for i in range(strangers)]
    assert names(toy / "test") == [f"{i:06d}.jpg" for i in range(in_test)]


def test_every_crop_is_a_jpeg_of_the_right_size(toy: Path) -> None:
    for path in toy.rglob("*.jpg"):
        pixels = simplejpeg.decode_jpeg(path.read_bytes())
        assert pixels.shape == (128, 64, 3)
        assert pixels.std() > 8


def test_the_same_arguments_write_the_same_files(toy: Path, tmp_path: Path) -> None:
    write_toy(tmp_path / "again", PERSONS, seed=3, crops_per_person=CROPS)
    for path in toy.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(toy)).read_bytes()


def test_a_person_s_crops_do_not_depend_on_how_many_persons_there_are(
    toy: Path, tmp_path: Path
) -> None:
    write_toy(tmp_path / "fewer", 3, seed=3, crops_per_person=CROPS)
    for name in names(tmp_path / "fewer" / "train"):
        assert (toy / "train" / name).read_bytes() == (
            tmp_path / "fewer" / "train" / name
        ).read_bytes()


def test_a_quarter_as_many_other_persons_are_asked_about(tmp_path: Path) -> None:
    write_toy(tmp_path / "toy", 13, crops_per_person=2)
    assert len(names(tmp_path / "toy" / "queries")) == 3


def test_progress_counts_every_crop(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    total = write_toy(
        tmp_path / "toy",
        persons=2,
        crops_per_person=2,
        progress=lambda done, of: calls.append((done, of)),
    )
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    out = tmp_path / "empty"
    out.mkdir()
    write_toy(out, persons=2, crops_per_person=2)
    assert "train" in names(out)


@pytest.mark.parametrize(
    ("persons", "seed", "crops", "message"),
    [
        (1, 0, 2, "The number of toy persons is 1: give a number from 2 to 5000."),
        (5001, 0, 2, "The number of toy persons is 5001: give a number from 2 to 5000."),
        (2, 0, 1, "The number of crops per toy person is 1: give a number from 2 to 1000."),
        (2, -1, 2, "The seed of the toy data is -1: give 0 or a larger number."),
    ],
)
def test_numbers_out_of_range_are_input_errors(
    tmp_path: Path, persons: int, seed: int, crops: int, message: str
) -> None:
    with pytest.raises(InputError) as error:
        write_toy(tmp_path / "toy", persons, seed, crops)
    assert str(error.value) == message
    assert names(tmp_path) == []


def test_a_folder_in_use_is_an_input_error_and_stays_as_it_is(tmp_path: Path) -> None:
    out = tmp_path.resolve() / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("keep me")
    with pytest.raises(InputError) as error:
        write_toy(out, persons=2)
    assert str(error.value) == f"{out} is not empty: name a new or empty folder for the toy data."
    assert names(out) == ["notes.txt"]
    assert names(tmp_path) == ["mine"]


def test_a_file_in_the_place_is_an_input_error(tmp_path: Path) -> None:
    out = tmp_path.resolve() / "mine"
    out.write_text("keep me")
    with pytest.raises(InputError) as error:
        write_toy(out, persons=2)
    assert str(error.value) == f"{out} is a file: name a new or empty folder for the toy data."
    assert out.read_text() == "keep me"


def test_nothing_is_left_of_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, calls = simplejpeg.encode_jpeg, []

    def encode_until_full(pixels: np.ndarray, **options: object) -> bytes:
        calls.append(pixels)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        jpeg: bytes = encode(pixels, **options)
        return jpeg

    monkeypatch.setattr("passerby.toy.dataset.simplejpeg.encode_jpeg", encode_until_full)
    with pytest.raises(InputError, match="the disk is full"):
        write_toy(tmp_path / "toy", persons=2, crops_per_person=2)
    assert names(tmp_path) == []


def test_nothing_is_left_of_an_interruption(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_toy(tmp_path / "toy", persons=2, crops_per_person=2, progress=interrupt)
    assert names(tmp_path) == []
