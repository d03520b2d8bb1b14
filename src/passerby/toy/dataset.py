"""Writes toy crops to disk in the layout of the course data."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg

from passerby.datasets.market1501_attributes import annotation_csv
from passerby.errors import InputError
from passerby.files import replacing
from passerby.toy.appearance import Appearance
from passerby.toy.camera import CAMERAS
from passerby.toy.crop import render_crop, render_distractor
from passerby.toy.population import draw_people
from passerby.toy.rng import one_of, shuffled, source

MOST_PERSONS = 5000
MOST_CROPS = 1000
_SHOT_STREAM, _DISTRACTOR_STREAM, _ORDER_STREAM = 31, 32, 33


def write_toy(
    out: Path,
    persons: int,
    seed: int = 0,
    crops_per_person: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a toy dataset: `annotations_train.csv`, `train/`, `test/` and `queries/`.

    Training crops are named `PPPP_cC_NNNNNNNNN.jpg` (person, camera, running number). `queries/`
    and `test/` show other persons, max(2, persons // 4) of them, under anonymous names: one
    query each, the rest in `test/`, mixed with a few crops that show no person. Everybody
    appears in at least two cameras.

    Args:
        out: the folder to make; it may exist if it is empty.
        persons: number of training persons, 2 to 5000.
        seed: 0 or more; the same arguments give the same pixels.
        crops_per_person: 2 to 1000.
        progress: called after each crop with the number of crops written and their total.

    Returns:
        The number of crops written.

    Raises:
        InputError: an argument is out of range, or `out` is in use or cannot be written to.
            Nothing is left behind, as with any other exception.
    """
    _check_numbers(persons, seed, crops_per_person)
    out = out.resolve()
    _check_free(out)
    strangers = max(2, persons // 4)
    people = draw_people(persons + strangers, seed)
    shots = _training_shots(people[:persons], seed, crops_per_person)
    shots += _anonymous_shots(people, persons, seed, crops_per_person)
    with replacing(out) as draft:
        for folder in ("train", "test", "queries"):
            (draft / folder).mkdir(parents=True)
        _write_annotations(draft / "annotations_train.csv", people[:persons])
        for done, shot in enumerate(shots, start=1):
            (draft / shot.path).write_bytes(_jpeg(shot))
            if progress is not None:
                progress(done, len(shots))
    return len(shots)


def _check_numbers(persons: int, seed: int, crops_per_person: int) -> None:
    if not 2 <= persons <= MOST_PERSONS:
        raise InputError(
            f"The number of toy persons is {persons}: give a number from 2 to {MOST_PERSONS}."
        )
    if not 2 <= crops_per_person <= MOST_CROPS:
        raise InputError(
            f"The number of crops per toy person is {crops_per_person}: "
            f"give a number from 2 to {MOST_CROPS}."
        )
    if seed < 0:
        raise InputError(f"The seed of the toy data is {seed}: give 0 or a larger number.")


def _check_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: name a new or empty folder for the toy data.")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty: name a new or empty folder for the toy data.")


@dataclass(frozen=True)
class _Shot:
    """A crop to be rendered; without a person it shows only the camera's place."""

    path: str
    person: Appearance | None
    camera: int
    seed: int


def _training_shots(people: Sequence[Appearance], seed: int, crops: int) -> list[_Shot]:
    shots: list[_Shot] = []
    for index, person in enumerate(people):
        for camera, shot_seed in _sightings(seed, index, crops):
            path = f"train/{index + 1:04d}_c{camera}_{len(shots) + 1:09d}.jpg"
            shots.append(_Shot(path, person, camera, shot_seed))
    return shots


def _anonymous_shots(
    people: Sequence[Appearance], first: int, seed: int, crops: int
) -> list[_Shot]:
    """Queries and test crops of everybody from the first stranger on, with distractors."""
    queries: list[_Shot] = []
    seen: list[tuple[Appearance | None, int, int]] = []
    for index in range(first, len(people)):
        sightings = list(_sightings(seed, index, crops))
        camera, shot_seed = sightings[0]
        path = f"queries/{len(queries):06d}.jpg"
        queries.append(_Shot(path, people[index], camera, shot_seed))
        seen += [(people[index], *sighting) for sighting in sightings[1:]]
    seen += [(None, *sighting) for sighting in _empty_sightings(seed, max(2, len(seen) // 20))]
    # In a random order, a file's number tells nothing about the person it shows.
    mixed = shuffled(source(seed, _ORDER_STREAM), seen)
    return queries + [_Shot(f"test/{i:06d}.jpg", *shot) for i, shot in enumerate(mixed)]


def _sightings(seed: int, index: int, crops: int) -> Iterator[tuple[int, int]]:
    """Camera and seed of each crop of a person, in two to six cameras by turns."""
    rng = source(seed, _SHOT_STREAM, index)
    cameras = shuffled(rng, list(CAMERAS))[: one_of(rng, range(2, len(CAMERAS) + 1))]
    for number in range(crops):
        yield cameras[number % len(cameras)], _seed_from(rng)


def _empty_sightings(seed: int, count: int) -> Iterator[tuple[int, int]]:
    rng = source(seed, _DISTRACTOR_STREAM)
    for _ in range(count):
        yield one_of(rng, list(CAMERAS)), _seed_from(rng)


def _seed_from(rng: np.random.Generator) -> int:
    return int(rng.random() * 2**48)


def _write_annotations(path: Path, people: Sequence[Appearance]) -> None:
    rows = [(str(number), person.annotation) for number, person in enumerate(people, start=1)]
    path.write_text(annotation_csv(rows, list(people[0].annotation)), encoding="utf-8")


def _jpeg(shot: _Shot) -> bytes:
    if shot.person is None:
        pixels = render_distractor(shot.camera, shot.seed)
    else:
        pixels = render_crop(shot.person, shot.camera, shot.seed)
    quality = CAMERAS[shot.camera].jpeg_quality
    jpeg: bytes = simplejpeg.encode_jpeg(
        pixels, quality=quality, colorspace="RGB", colorsubsampling="420"
    )
    return jpeg
