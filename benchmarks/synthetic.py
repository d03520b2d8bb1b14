"""Made-up embeddings of a test set like Market-1501's, for benchmarks that need no images.

The interpreters of the peers import this file too: it needs NumPy alone.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from passerby.inference import Embeddings

WIDTH, CAMERAS = 512, 6
NOISE, SPREAD = 2.0, 0.5
"""Median length of a crop's noise, its person's centre having length 1, and the standard deviation
of the length's logarithm: mAP is about 0.7."""


@dataclass(frozen=True)
class Sizes:
    """Market-1501's test set; `gallery` counts the crops of the real persons."""

    persons: int = 750
    queries: int = 3368
    gallery: int = 13115
    distractors: int = 2798
    junk: int = 3819

    def part(self, share: float) -> "Sizes":
        return Sizes(**{name: math.ceil(count * share) for name, count in asdict(self).items()})


@dataclass(frozen=True)
class Crops:
    """Embeddings float32 (N, 512), of length 1; persons (0 distractor, -1 junk), cameras int64."""

    embeddings: NDArray[np.float32]
    persons: NDArray[np.int64]
    cameras: NDArray[np.int64]

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "Crops":
        return Crops(self.embeddings[rows], self.persons[rows], self.cameras[rows])


def make(path: str, seed: str, share: str, more_distractors: str) -> None:
    rng = np.random.default_rng(int(seed))
    queries, gallery = drawn(rng, Sizes().part(float(share)), int(more_distractors))
    arrays = {
        f"{side}_{field}": array
        for side, crops in (("query", queries), ("gallery", gallery))
        for field, array in vars(crops).items()
    }
    np.savez(path, **arrays)


def drawn(rng: np.random.Generator, sizes: Sizes, more_distractors: int) -> tuple[Crops, Crops]:
    """One query of each person in each of its cameras; at least one right answer in each too."""
    centres = at_length_1(rng.standard_normal((sizes.persons + 1, WIDTH), np.float32))
    centres[0] = 0  # a distractor is nothing but noise
    persons, cameras = sightings(rng, sizes)
    again = rng.integers(0, sizes.queries, sizes.gallery - sizes.queries)
    chance = rng.integers(1, sizes.persons + 1, sizes.junk)
    nobody = np.zeros(sizes.distractors + more_distractors, np.int64)
    looks = np.concatenate([persons, persons[again], chance, nobody])
    known = np.concatenate([persons, persons[again], np.full_like(chance, -1), nobody])
    where = rng.integers(0, CAMERAS, len(looks))
    where[: sizes.gallery] = np.concatenate([cameras, cameras[again]])
    order = rng.permutation(len(looks))
    return (
        Crops(embedded(rng, centres, persons), persons, cameras),
        Crops(embedded(rng, centres, looks[order]), known[order], where[order]),
    )


def sightings(
    rng: np.random.Generator, sizes: Sizes
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return as many pairs of a person and a camera as there are queries, two or more a person."""
    cameras = rng.permuted(np.tile(np.arange(CAMERAS), (sizes.persons, 1)), axis=1)
    seen = np.zeros((sizes.persons, CAMERAS), bool)
    seen[:, :2] = True
    free = np.flatnonzero(~seen)
    seen.flat[rng.choice(free, sizes.queries - seen.sum(), replace=False)] = True
    return np.nonzero(seen)[0] + 1, cameras[seen]


def embedded(
    rng: np.random.Generator,
    centres: NDArray[np.float32],
    looks: NDArray[np.int64],
    noise: float = NOISE,
) -> NDArray[np.float32]:
    width = centres.shape[1]
    crops = rng.standard_normal((len(looks), width), np.float32)
    lengths = noise * np.exp(SPREAD * rng.standard_normal((len(looks), 1)))
    crops *= (lengths / math.sqrt(width)).astype(np.float32)
    real = np.flatnonzero(looks)
    crops[real] += centres[looks[real]]
    return at_length_1(crops)


def at_length_1(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors /= np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    return vectors


def loaded(path: Path, with_junk: bool) -> tuple[Crops, Crops]:
    with np.load(path) as file:
        queries, gallery = (
            Crops(*(file[f"{side}_{field}"] for field in Crops.__annotations__))
            for side in ("query", "gallery")
        )
    return queries, gallery if with_junk else gallery[gallery.persons != -1]


def as_embeddings(crops: Crops) -> "Embeddings":
    """Return crops as Passerby has them: by roles it knows distractors and junk."""
    from passerby.data import Crops as Table
    from passerby.data.columns import DISTRACTOR, JUNK
    from passerby.inference import Embeddings

    table = Table(
        [Path("crop.jpg")] * len(crops.persons),
        person=crops.persons,
        camera=crops.cameras,
        role=np.select([crops.persons == 0, crops.persons == -1], [DISTRACTOR, JUNK], ""),
    )
    return Embeddings(table, crops.embeddings)


def size_in_words(share: float) -> str:
    if share == 1:
        return "as many as Market-1501's test crops"
    return f"{share:g} of Market-1501's size"
